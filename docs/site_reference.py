"""The reference pages of the site, as Markdown, from the code that they describe."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parents[1]


def command_line() -> str:
    """Every command of `hgld`: usage, help, options."""
    from hgld import cli

    parts = ["# Command line", _prose(inspect.cleandoc(cli.main.help or ""))]
    for title, names in cli._SECTIONS.items():
        parts.append(f"## {title}")
        for name in names:
            parts += _command(cli.main.commands[name], f"hgld {name}")
    return "\n\n".join(parts) + "\n"


def _command(command: click.Command, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    yield f"### `{name}`"
    yield _fenced(command.get_usage(context).removeprefix("Usage: "))
    yield _prose(inspect.cleandoc(command.help or "").replace("\b\n", ""))
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    if options:
        yield _table(("option", "meaning"), (_option(option, context) for option in options))
    if isinstance(command, click.Group):
        for child, inner in command.commands.items():
            yield from _command(inner, f"{name} {child}")


def _option(option: click.Option, context: click.Context) -> tuple[str, str]:
    record = option.get_help_record(context)
    names, text = record or ("", "")
    return f"<code>{html.escape(names)}</code>", _escaped(text)


def settings() -> str:
    """Every setting of params.yaml: meaning, type and range, default, the values of both profiles."""
    from ruamel.yaml import YAML

    from hgld.foundation.settings import Params

    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    parts = [
        "# params.yaml",
        "One section per stage, in two profiles: `sample` is part of the repository and needs no network, `gldv2` is "
        "the full dataset. `profile: NAME` at the top, or `hgld STAGE --profile NAME`, selects one. An unknown key is "
        "an error that suggests the nearest known one. “–” stands for a setting that the file leaves at its default.",
    ]
    for section, field in Params.model_fields.items():
        model = field.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            continue
        parts += [f"## {section}", _escaped(inspect.cleandoc(model.__doc__ or ""))]
        own = [values[profile][section] for profile in ("sample", "gldv2")]
        rows = (_setting(name, inner, own) for name, inner in model.model_fields.items())
        parts.append(_table(("setting", "meaning", "values", "default", "sample", "gldv2"), rows))
    return "\n\n".join(parts) + "\n"


def _setting(name: str, field: FieldInfo, profiles: list[dict[str, Any]]) -> tuple[str, ...]:
    required = field.is_required()
    default = "required" if required else _values(field.default)
    shown = [_values(values[name]) if name in values else "–" for values in profiles]
    return f"`{name}`", _escaped(field.description or ""), _allowed(field), default, *shown


def _values(value: Any) -> str:
    """A value, or each of a list, as code."""
    return ", ".join(f"`{_plain(each)}`" for each in (value if isinstance(value, list) and value else [value]))


def _plain(value: Any) -> str:
    """A value as YAML has it, on one line."""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_defaults=True)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_plain(inner)}' for key, inner in value.items())}}}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return '""' if value == "" else str(value)


_NAMES = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "NoneType": "null"}


def _allowed(field: FieldInfo) -> str:
    """The type of a setting and its range, in words."""
    kind = str(getattr(field.annotation, "__name__", "")) if isinstance(field.annotation, type) else ""
    fields = getattr(field.annotation, "model_fields", None)
    text = ", ".join(fields) if fields else _NAMES.get(kind) or _words(str(field.annotation))
    limits = {type(limit).__name__: limit for limit in field.metadata}
    bounds = [
        f"{sign} {_number(getattr(limits[name], name.lower()))}"
        for name, sign in (("Ge", "≥"), ("Gt", ">"), ("Le", "≤"), ("Lt", "<"))
        if name in limits
    ]
    return _escaped(", ".join([text, *bounds]))


def _number(value: float) -> str:
    """1,000,000, 0.0001, 1e12 or 2^63."""
    if value == 2**63:
        return "2^63"
    return f"{value:,}" if value == int(value) else f"{value:g}"


def _words(annotation: str) -> str:
    choices = re.findall(r"Literal\[([^\]]*)\]", annotation)
    if choices and annotation.startswith("typing.Literal"):
        return " or ".join(part.strip(" '") for part in choices[0].split(","))
    if annotation.startswith("list["):
        return "list"
    if "Mapping" in annotation:
        return "numbers by name"
    parts = [_NAMES.get(part.strip(), part.strip()) for part in annotation.split("|")]
    return " or ".join(part for part in parts if part.isascii() and "[" not in part) or "text"


def losses() -> str:
    """Every loss: its docstring, under the name of LOSSES."""
    from hgld.benchmarks import losses as package
    from hgld.benchmarks.ranking.surrogates import TAU

    text = inspect.cleandoc(inspect.getmodule(package.make_loss).__doc__ or "")
    parts = ["# Losses", _prose(text), f"`TAU`, the default temperature of the ranks, is {TAU:g}."]
    for name, loss in package.LOSSES.items():
        parts += [f"## `{name}`", f"::: {loss.__module__}.{loss.__name__}\n    options: {{members: false}}"]
    return "\n\n".join(parts) + "\n"


def metrics() -> str:
    """`evaluate`, the names of metrics, and the function of each."""
    from hgld.benchmarks.metrics import definitions, per_query

    functions = [
        name
        for name, value in vars(definitions).items()
        if inspect.isfunction(value) and value.__module__ == definitions.__name__ and not name.startswith("_")
    ]
    parts = [
        "# Metrics in Python",
        "[The metrics](../metrics.md) has their definitions and rules.",
        _prose(inspect.cleandoc(per_query.__doc__ or "")),
        "## Scores of embeddings",
        "::: hgld.benchmarks.metrics.per_query.evaluate",
        "::: hgld.benchmarks.metrics.per_query.parse",
        "## Each metric",
        _prose(inspect.cleandoc(definitions.__doc__ or "")),
        *(f"::: {definitions.__name__}.{name}" for name in functions),
    ]
    return "\n\n".join(parts) + "\n"


def release_files() -> str:
    """Every table of a release, with its columns."""
    from hgld.pipeline.release.texts.columns import TABLES

    parts = [
        "# Files of a release",
        "The tables of `data/PROFILE/release`, and of a published version. `columns.json` in the release says the same "
        "to programs. [Load, archive and publish a release](../release.md) lists the other files, "
        "[Use a release](../release_tools.md) the conversions. Text is never missing, but empty.",
    ]
    for table in TABLES:
        key = ", ".join(f"`{name}`" for name in table.key)
        parts += [f"## `{table.file}`", f"{_escaped(table.about)}. Key: {key}."]
        rows = ((f"`{name}`", column.type, _escaped(column.about)) for name, column in table.columns.items())
        parts.append(_table(("column", "type", "content"), rows))
    return "\n\n".join(parts) + "\n"


def _prose(text: str) -> str:
    """A docstring as Markdown: its paragraphs escaped, what is indented as code."""
    parts = re.split(r"\n\n+", text)
    return "\n\n".join(_fenced(inspect.cleandoc(part)) if part.startswith("    ") else _escaped(part) for part in parts)


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Text that is no Markdown, but may have `code`."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part.startswith("`") else _plain_text(part) for part in parts)


def _plain_text(text: str) -> str:
    return re.sub(r"([\\*_\[\]{}#])", r"\\\1", html.escape(text, quote=False))
