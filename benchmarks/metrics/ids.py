"""Which gallery items are the query itself: those with its id. Ids that can never match are an error."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from hgld.foundation.errors import HgldError

# Endings with which one list of ids is often written and the other is not.
ENDINGS = (".jpg", ".jpeg", ".png", ".0")
KINDS: tuple[tuple[Any, str], ...] = ((str, "text"), (bytes, "bytes"), ((int, float), "numbers"))


def own_items(query_ids: Sequence[Any], gallery_ids: Sequence[Any]) -> list[list[int]]:
    """For each query the gallery rows that have its id.

    Raises HgldError for ids of two kinds (text and numbers), for missing ones (None, NaN), and where no id is in both
    lists but some would be without spaces or an ending such as .jpg.

    >>> own_items(["a", "b"], ["b", "c", "b"])
    [[], [0, 2]]
    """
    queries, items = _plain(query_ids, "query_ids"), _plain(gallery_ids, "gallery_ids")
    if queries and items and (first := _kind(type(queries[0]))) != (other := _kind(type(items[0]))):
        raise HgldError(
            f"query_ids are {first} (such as {queries[0]!r}) and gallery_ids {other} ({items[0]!r}): no query would "
            "find itself; give both alike"
        )
    rows_of: dict[Hashable, list[int]] = {key: [] for key in queries}
    for row, key in enumerate(items):
        if key in rows_of:
            rows_of[key].append(row)
    if not any(rows_of.values()):
        _check_spelling(queries, items)
    return [rows_of[key] for key in queries]


def _plain(ids: Sequence[Any], name: str) -> list[Hashable]:
    """Ids as numbers, text or other hashable values, also from tensors, arrays and Series, and lists of their elements.

    Raises HgldError where they are of several kinds, or one is missing.
    """
    values: list[Any] = ids.tolist() if hasattr(ids, "tolist") else list(ids)
    types = set(map(type, values))
    if any(hasattr(kind, "item") for kind in types):
        values = [value.item() if hasattr(value, "item") and not value.shape else value for value in values]
        types = set(map(type, values))
    if len({_kind(kind) for kind in types}) > 1 or types & {float, type(None)} or any(map(_unhashable, types)):
        for row, value in enumerate(values):
            kind = type(value)
            if _kind(kind) != _kind(type(values[0])) or value is None or value != value or _unhashable(kind):
                raise HgldError(
                    f"{name}: {value!r} in row {row} (row 0 is {values[0]!r}); ids must be all text or all numbers, "
                    "and none may be missing"
                )
    return values


def _kind(type_: type) -> str:
    return next((name for types, name in KINDS if issubclass(type_, types)), type_.__name__)


def _unhashable(type_: type) -> bool:
    return type_.__hash__ is None


def _check_spelling(queries: Sequence[Hashable], items: Sequence[Hashable]) -> None:
    """Raise HgldError where an id of one list, trimmed, is in the other; the two lists have none in common."""
    for ids, others in ((queries, set(items)), (items, set(queries))):
        for value in ids:
            if isinstance(value, str) and (short := _trimmed(value)) != value and short in others:
                raise HgldError(
                    f"no id is in both query_ids and gallery_ids, but {value!r} of the one and {short!r} of the other "
                    "differ only in form: no query would find itself; write both alike"
                )


def _trimmed(text: str) -> str:
    short = text.strip()
    if "." not in short:
        return short
    ending = next((ending for ending in ENDINGS if short.lower().endswith(ending)), "")
    return short[: len(short) - len(ending)]
