"""Which gallery items are the query itself: those with its id. Ids that can never match are an error."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterator, Sequence
from types import NoneType
from typing import Any, NamedTuple

from pandas.api.typing import NAType

from hgld.foundation.errors import HgldError

# Endings with which one list of ids is often written and the other is not
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".0")
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
    the gallery but for spaces around it, an ending such as .jpg that one of the two lacks, or the Unicode form, and,
    where no id is in both lists, for one that is there but for these, capitals, leading zeros, and the folders that one
    of the two lacks.

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
    """Raise HgldError where an id of one list differs only in form (`_Form`) from one of the other.

    queries: those that are not in the gallery. deep: also capitals, folders and leading zeros are form.
    """
    # queries by name, and then by each shorter way to write what is around it
    known: dict[str, dict[_Around, Hashable]] = {}
    for query in queries:
        if form := _form(query, deep):
            of_name = known.setdefault(form.name, {})
            for around in form.shorter():
                of_name.setdefault(around, query)
    for item in items if known else ():
        form = _form(item, deep)
        for around in form.shorter() if form and form.name in known else ():
            for other in around.partners():
                if form and (query := known[form.name].get(other)) is not None:
                    raise _other_form(query, item, form.name)


def _other_form(query: Hashable, item: Hashable, name: str) -> HgldError:
    pair = (item, "gallery_ids", query) if _text(query) == name else (query, "query_ids", item)
    return HgldError(
        f"{pair[0]!r} of {pair[1]} is {pair[2]!r} in the other list: the two differ only in form, and the query "
        "would not find itself; write both alike"
    )


class _Around(NamedTuple):
    """The last folders and the ending of an id, or nothing instead; and whether this is all that the id has."""

    folders: tuple[str, ...]
    ending: str
    all_folders: bool
    whole_ending: bool

    def partners(self) -> Iterator[_Around]:
        """With which of them this one is one image: each part is all that one of the two ids has."""
        for all_folders in (True, False)[: 1 + self.all_folders]:
            for whole_ending in (True, False)[: 1 + self.whole_ending]:
                yield _Around(self.folders, self.ending, all_folders, whole_ending)


class _Form(NamedTuple):
    """An id in parts.

    Two ids are one image in two forms if they have one name, the folders of one of them are the last folders of the
    other, and their endings are equal or one has none. So `photos/a.jpg` is `a.jpg` and `/data/photos/a`, but neither
    `index/a.jpg`, which is in another folder, nor `photos/a.png`, which is another file.
    """

    name: str
    folders: tuple[str, ...]
    ending: str

    def shorter(self) -> Iterator[_Around]:
        """With all or fewer of its folders, and with and without its ending."""
        for start in range(len(self.folders) + 1):
            for ending in {self.ending, ""}:
                yield _Around(self.folders[start:], ending, start == 0, ending == self.ending)


def _form(value: Hashable, deep: bool) -> _Form | None:
    """The parts of an id, without spaces around it and invisible characters, in Unicode's composed form.

    None for a number, and without a name.

    deep: also in lower case, with its folders apart, and without leading zeros.
    """
    text = _text(value)
    if text is None:
        return None
    text = "".join(char for char in unicodedata.normalize("NFC", text) if unicodedata.category(char) != "Cf").strip()
    folders: list[str] = []
    if deep:
        parts = [part for part in text.casefold().replace("\\", "/").split("/") if part not in ("", ".")]
        *folders, text = parts or [""]
    length = next((len(ending) for ending in ENDINGS if text.lower().endswith(ending)), 0) if "." in text else 0
    name, ending = text[: len(text) - length], text[len(text) - length :]
    if deep:
        name = name.lstrip("0") or name[-1:]
    return _Form(name, tuple(folders), ending) if name else None


def _text(value: Hashable) -> str | None:
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else None
