"""Which gallery items are the query itself: those with its id. Ids that can never match are an error."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from types import NoneType
from typing import Any

from pandas.api.typing import NAType

from hgld.foundation.errors import HgldError

# Endings with which one list of ids is often written and the other is not
ENDINGS = (".jpg", ".jpeg", ".png", ".0")
KINDS: tuple[tuple[Any, str], ...] = (
    *((bool, "true or false"), (str, "text"), (bytes, "bytes")),
    ((int, float), "numbers"),
    (NAType, "missing values"),
)


def as_ids(ids: Any, name: str) -> Sequence[Any]:
    """Ids as a sequence: what is given, or for a tensor, array or Series its values.

    Raises HgldError for anything that has no order, is used up when read, or is a single text.
    """
    if hasattr(ids, "tolist"):
        ids = ids.tolist()
    if not isinstance(ids, Sequence) or isinstance(ids, (str, bytes)):
        raise HgldError(f"{name} must be a list, with one id per row; got {type(ids).__name__}")
    return ids


def own_items(query_ids: Sequence[Any], gallery_ids: Sequence[Any]) -> list[list[int]]:
    """For each query the gallery rows that have its id.

    Raises HgldError for ids of two kinds (text and numbers), for missing ones (None, NaN, NA), for a query that is in
    the gallery only without spaces or an ending such as .jpg, and where no id is in both lists but some would be in
    lower case, without folders, or without leading zeros.

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
    _check_spelling([key for key, rows in rows_of.items() if not rows], items, deep=not any(rows_of.values()))
    return [rows_of[key] for key in queries]


def _plain(ids: Sequence[Any], name: str) -> list[Hashable]:
    """Ids as numbers, text or other hashable values, also from tensors, arrays and Series, and lists of their elements.

    Raises HgldError where they are of several kinds, or one is missing.
    """
    values = list(as_ids(ids, name))
    types = set(map(type, values))
    if any(hasattr(kind, "item") for kind in types):
        values = [value.item() if hasattr(value, "item") and not value.shape else value for value in values]
        types = set(map(type, values))
    plain = types <= {str} or types <= {int} or types <= {bytes}
    if not plain:
        for row, value in enumerate(values):
            kind = type(value)
            if _kind(kind) != _kind(type(values[0])) or not _is_id(value):
                raise HgldError(
                    f"{name}: {value!r} in row {row} (row 0 is {values[0]!r}); ids must be all text or all numbers, "
                    "and none may be missing"
                )
    return values


def _kind(type_: type) -> str:
    return next((name for types, name in KINDS if issubclass(type_, types)), type_.__name__)


def _is_id(value: Any) -> bool:
    """Whether a value can be an id: hashable, and neither missing nor true or false."""
    return type(value).__hash__ is not None and not isinstance(value, (bool, NoneType, NAType)) and bool(value == value)


def _check_spelling(queries: Sequence[Hashable], items: Sequence[Hashable], *, deep: bool) -> None:
    """Raise HgldError where an id of one list, spelled more simply, is in the other.

    queries: those that are not in the gallery. deep: also other spellings than spaces and endings.
    """
    gallery = set(items)
    for name, ids, others in (("query_ids", queries, gallery), ("gallery_ids", items, set(queries))):
        for value in ids:
            if not isinstance(value, str):
                break
            if short := next((text for text in _simpler(value, deep) if text != value and text in others), None):
                raise HgldError(
                    f"{value!r} of {name} is {short!r} in the other list: the two differ only in form, and the query "
                    "would not find itself; write both alike"
                )


def _simpler(text: str, deep: bool) -> Iterator[str]:
    """Simpler spellings of an id, each from the one before."""
    yield (text := text.strip())
    if "." in text:
        ending = next((ending for ending in ENDINGS if text.lower().endswith(ending)), "")
        yield (text := text[: len(text) - len(ending)])
    if deep:
        yield (text := text[max(text.rfind("/"), text.rfind("\\")) + 1 :])
        yield (text := text.lower())
        yield text.lstrip("0")
