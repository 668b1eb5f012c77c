"""`--set loss.0.settings.tau=0.02`: single settings by their path, with values as YAML types them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hgld.foundation.errors import HgldError
from hgld.foundation.text_input import parse_yaml


def with_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The settings with each `key=value` set; values: nested dictionaries and lists, which stay as they are.

    Raises HgldError for anything but key=value, and for a place in a list that is not there. Whether a key exists is
    checked with all settings.

    >>> with_overrides({"loss": [{"name": "sup_ap"}]}, ["lr=1e-4", "loss.0.weight=2", "head.lr=0.1"])
    {'loss': [{'name': 'sup_ap', 'weight': 2}], 'lr': 0.0001, 'head': {'lr': 0.1}}
    """
    result: Any = dict(values)
    for text in overrides:
        path, equals, value = text.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise HgldError(f"--set {text[:100]}: expected KEY=VALUE, such as lr=1e-4 or loss.0.weight=0.5")
        result = _set(result, keys, parse_yaml(value, f"--set {path}"), f"--set {path}")
    settings: dict[str, Any] = result
    return settings


def _set(values: Any, keys: Sequence[str], value: Any, where: str) -> Any:
    """A copy of `values` with the value at the path `keys`."""
    if not keys:
        return value
    first, *rest = keys
    if isinstance(values, list):
        if not first.isdecimal() or int(first) >= len(values):
            known = f"0 to {len(values) - 1}" if values else "none, it is empty"
            raise HgldError(f"{where}: {first!r} is no place in a list; there are {known}")
        return [_set(item, rest, value, where) if n == int(first) else item for n, item in enumerate(values)]
    inner = values if isinstance(values, Mapping) else {}
    if rest and first in inner and not isinstance(inner[first], list | Mapping):
        raise HgldError(f"{where}: {first!r} is a single value; set it as a whole")
    return {**inner, first: _set(inner.get(first, {}), rest, value, where)}
