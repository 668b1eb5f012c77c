"""The quality of the verdicts as text tables, JSON, and a page that stands alone or is served by `hgld review`."""

import json
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files

from markupsafe import Markup

from hgld.foundation.display.html_page import render_page
from hgld.foundation.display.text_table import TextTable
from hgld.foundation.display.visible import visible
from hgld.foundation.files import without_nan
from hgld.hierarchy.curation.verdict import LANDMARK
from hgld.pipeline.review.quality import Conflict, Quality

_PACKAGE = "hgld.pipeline.review"
STYLE = "quality.css"
UNKNOWN = "–"
_NAME_WIDTH = 22
_MOST_STALE = 200  # that a page lists


def nothing(quality: Quality) -> str:
    """What to say when there is no verdict."""
    return f"No verdicts for the profile {quality.profile} yet; hgld review adds some."


def number(value: float, digits: int = 3) -> str:
    """A number that may be unknown (NaN).

    >>> number(0.5), number(float("nan"))
    ('0.500', '–')
    """
    return f"{value:.{digits}f}" if value == value else UNKNOWN


def percent(value: float) -> str:
    """A fraction in percent.

    >>> percent(0.125), percent(float("nan"))
    ('12.5 %', '–')
    """
    return f"{100 * value:.1f} %" if value == value else UNKNOWN


def interval(low: float, high: float) -> str:
    """The bounds of an interval in percent.

    >>> interval(0.5, 1.0), interval(float("nan"), 1.0)
    ('50.0–100.0 %', '–')
    """
    return f"{100 * low:.1f}–{100 * high:.1f} %" if low == low and high == high else UNKNOWN


def label_name(label: str) -> str:
    """A label, or that there is none."""
    return label.strip() or "no label"


def title(conflict: Conflict) -> str:
    """The category, or the name of the class.

    >>> title(Conflict("Q40080", (), "class", "beach"))
    'class beach (Q40080)'
    """
    return conflict.category if conflict.kind == LANDMARK else f"class {conflict.name} ({conflict.category})"


def opinions(pairs: tuple[tuple[str, str], ...]) -> str:
    """Who gave which label to a category.

    >>> opinions((("ana", "lake"), ("ben", "")))
    'ana: lake, ben: no label'
    """
    return ", ".join(f"{annotator}: {label_name(label)}" for annotator, label in pairs)


def as_table(quality: Quality) -> str:
    """Text for the terminal."""
    if not (quality.verdicts or quality.class_verdicts or quality.unsure):
        return nothing(quality) + "\n"
    parts = [
        f"{quality.verdicts} verdicts on landmarks and {quality.class_verdicts} on classes, profile {quality.profile}; "
        f"stale: {quality.stale}; unsure: {quality.unsure}",
        _annotators(quality),
        f"Krippendorff's alpha: {number(quality.alpha)}; weighted by the hierarchy: {number(quality.alpha_weighted)} "
        f"({quality.judged_twice} categories judged twice)",
        *([_pairs(quality)] if quality.pairs else []),
        *([_confusions(quality)] if quality.confusions else []),
        f"Precision of the accepted labels, from the controls\n{_precision(quality)}",
        _conflicts(quality),
    ]
    return "\n\n".join(parts) + "\n"


def _annotators(quality: Quality) -> str:
    header = ["annotator", "verdicts", "accepted", "corrected", "no label", "first", "last", "per minute"]
    rows = [
        [
            _short(row.annotator),
            row.verdicts,
            *(percent(fraction) for fraction in (row.accepted, row.corrected, row.no_label)),
            row.first,
            row.last,
            number(row.per_minute, 1),
        ]
        for row in quality.annotators
    ]
    return str(TextTable(header, rows, text=["annotator"]))


def _short(name: str) -> str:
    """A name that leaves room for the numbers of its row."""
    return name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 1] + "…"


def _pairs(quality: Quality) -> str:
    rows = [[row.first, row.second, row.categories, percent(row.agreement)] for row in quality.pairs]
    return str(TextTable(["annotator", "and", "both judged", "agree"], rows, text=["annotator", "and"]))


def _confusions(quality: Quality) -> str:
    rows = [[label_name(row.first), label_name(row.second), row.count] for row in quality.confusions]
    return str(TextTable(["label", "confused with", "times"], rows, text=["label", "confused with"]))


def _precision(quality: Quality) -> str:
    rows = [
        [row.source, row.labels, row.controls, percent(row.estimate), interval(row.low, row.high)]
        for row in quality.precision
    ]
    header = ["source", "labels", "controls judged", "estimate", "95 % interval"]
    return str(TextTable(header, rows, text=["source"]))


def _conflicts(quality: Quality) -> str:
    lines = [visible(f"  {title(row)}: {opinions(row.opinions)}") for row in quality.conflicts]
    return "\n".join([f"Open conflicts: {len(lines)}", *lines])


def as_json(quality: Quality) -> str:
    """Every number; null where it is not known."""
    return json.dumps(without_nan(asdict(quality)), indent=2, ensure_ascii=False) + "\n"


def as_html(quality: Quality) -> str:
    """A page that stands alone."""
    return _page(quality, css=Markup(files(_PACKAGE).joinpath(STYLE).read_text(encoding="utf-8")))


def as_served_html(quality: Quality) -> str:
    """The page of the workbench, whose policy allows no inline style: it links /static/quality.css."""
    return _page(quality, css=None)


def _page(quality: Quality, css: Markup | None) -> str:
    functions = {"number": number, "percent": percent, "interval": interval, "label_name": label_name}
    values = {"css": css, "nothing": nothing(quality), "opinions": opinions, "most_stale": _MOST_STALE, **functions}
    values |= {"title": title}
    return render_page(_PACKAGE, "quality.html", quality=quality, **values)


FORMATS: dict[str, Callable[[Quality], str]] = {"table": as_table, "json": as_json, "html": as_html}
