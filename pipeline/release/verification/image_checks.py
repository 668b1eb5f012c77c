"""Do the images of a release agree with its landmarks and labels? Read in parts; 8 bytes are kept of an image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hgld.pipeline.release.verification.label_checks import fault
from hgld.pipeline.release.verification.release_tables import LABEL, ReleaseTable

Ids = npt.NDArray[np.uint64]
USAGES = ("Public", "Private", "Ignored")

# The value of each byte as a hex digit, 255 for what is none; upper-case letters are none.
_DIGITS = np.full(256, 255, np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


@dataclass(frozen=True)
class SplitImages:
    """The images of a split: their ids as numbers, sorted; and the categories of its landmarks."""

    ids: Ids
    categories: set[str]


class Found:
    """The rows with a fault, by kind: all that an image is called are kept, of a fault that millions have too."""

    def __init__(self) -> None:
        self._names: dict[str, list[pa.Array]] = {}

    def add(self, what: str, rows: npt.NDArray[np.bool_], names: pa.Array) -> None:
        """The marked rows have a fault; names: what each row is called."""
        if rows.any():
            self._names.setdefault(what, []).append(names.filter(pa.array(rows)))

    def lines(self, path: Path) -> list[str]:
        """One message per kind of fault."""
        found = {what: pa.chunked_array(parts) for what, parts in self._names.items()}
        return [line for what, names in found.items() for line in fault(path, what, names)]


def image_faults(table: ReleaseTable, landmarks: pd.DataFrame) -> tuple[list[str], SplitImages]:
    """The faults of train or index, and its images.

    landmarks: those of the split, with `name`; each must have an image, and each image the labels of its landmark.
    """
    found, parts = Found(), list[Ids]()
    landmarks = landmarks.drop_duplicates("landmark_id")
    known = pa.array(landmarks["landmark_id"], pa.string())
    expected = {"category": "name", **{name: name for name in LABEL}}
    columns = {name: pa.array(landmarks[column], pa.string()) for name, column in expected.items()}
    seen = np.zeros(len(landmarks), np.bool_)
    for batch in table.batches(["image_id", "landmark_id", *columns]):
        names = batch.column("image_id")
        parts.append(_ids(names, found))
        place = pc.index_in(batch.column("landmark_id"), value_set=known)
        unknown = _marked(pc.is_null(place))
        found.add(f"images of a landmark that {_landmark_file(table)} lacks", unknown, names)
        seen[pc.drop_null(place).to_numpy()] = True
        for name, values in columns.items():
            differ = pc.not_equal(batch.column(name), values.take(place))
            found.add(f"images with another {name} than their landmark", _marked(differ) & ~unknown, names)
    alone = landmarks.loc[~seen, "landmark_id"].tolist()
    faults = [
        *found.lines(table.path),
        *fault(table.path, f"landmarks of {_landmark_file(table)} without an image", alone),
    ]
    ids, repeated = _sorted(parts)
    return [*faults, *_repeated(table.path, repeated)], SplitImages(ids, set(landmarks.loc[seen, "name"]))


def _landmark_file(table: ReleaseTable) -> str:
    return f"{table.path.stem}_label_to_hierarchical.csv"


def query_faults(table: ReleaseTable, labels: pd.DataFrame, index: SplitImages | None) -> tuple[list[str], SplitImages]:
    """The faults of test, and its images; index: the images of the index, if they could be read."""
    found, parts, categories = Found(), list[Ids](), set[str]()
    labels = labels.drop_duplicates("category")
    known = pa.array(labels["category"], pa.string())
    columns = {name: pa.array(labels[name], pa.string()) for name in LABEL}
    for batch in table.batches(["image_id", "usage", "relevant", "category", *LABEL]):
        names, category = batch.column("image_id"), batch.column("category")
        parts.append(_ids(names, found))
        usage = pc.is_in(batch.column("usage"), value_set=pa.array(USAGES))
        found.add(f"images whose usage is none of {', '.join(USAGES)}", ~_marked(usage), names)
        none = _marked(pc.equal(category, ""))
        place = pc.index_in(category, value_set=known)
        unknown = _marked(pc.is_null(place)) & ~none
        found.add("images of a category without a row in labels.parquet", unknown, names)
        categories |= set(category.unique().to_pylist()) - {""}
        for name, values in columns.items():
            differ = pc.fill_null(pc.not_equal(batch.column(name), values.take(place)), False)
            stray = none & ~_marked(pc.equal(batch.column(name), ""))
            found.add(f"images with another {name} than their category", (_marked(differ) & ~unknown) | stray, names)
        if index is not None:
            _check_relevant(batch, index.ids, found)
    ids, repeated = _sorted(parts)
    return [*found.lines(table.path), *_repeated(table.path, repeated)], SplitImages(ids, categories)


def _check_relevant(batch: pa.RecordBatch, index: Ids, found: Found) -> None:
    """Every relevant image is one of the index."""
    lists = pc.split_pattern_regex(batch.column("relevant"), " +")
    values, owners = pc.list_flatten(lists), pc.list_parent_indices(lists)
    given = pc.not_equal(values, "")
    values, owners = values.filter(given), owners.filter(given)
    numbers, valid = _numbers(values)
    strange = ~(valid & contained(numbers, index))
    names = pc.binary_join_element_wise(batch.column("image_id").take(owners), values, ": ")
    found.add("relevant images that index.parquet lacks", strange, names)


def contained(ids: Ids, known: Ids) -> npt.NDArray[np.bool_]:
    """Which of the ids are among the known ones, which are sorted. Faster than numpy.isin, which does not know it."""
    if not len(known):
        return np.zeros(len(ids), np.bool_)
    found: npt.NDArray[np.bool_] = known[np.searchsorted(known, ids).clip(max=len(known) - 1)] == ids
    return found


def id_numbers(names: pa.Array) -> Ids:
    """Image ids as numbers, sorted; those that are no 16 hex digits are left out."""
    numbers, valid = _numbers(names)
    return np.sort(numbers[valid])


def _ids(names: pa.Array, found: Found) -> Ids:
    """The ids as numbers; those that are no 16 hex digits are a fault, and left out."""
    numbers, valid = _numbers(names)
    found.add("ids that are not 16 hex digits", ~valid, names)
    return numbers[valid]


def _numbers(names: pa.Array) -> tuple[Ids, npt.NDArray[np.bool_]]:
    """Each id as a number, and which of them are 16 lower-case hex digits; the others are 0."""
    whole = _marked(pc.equal(pc.binary_length(names), 16))
    numbers, valid = np.zeros(len(names), np.uint64), whole.copy()
    rows = np.flatnonzero(whole)
    text = b"".join(pc.cast(names.filter(pa.array(whole)), pa.binary()).to_pylist())
    digits = _DIGITS[np.frombuffer(text, np.uint8)].reshape(-1, 16)
    valid[rows] = (digits < 16).all(axis=1)
    pairs = (digits[:, ::2] << 4) | (digits[:, 1::2] & 15)
    numbers[rows] = np.ascontiguousarray(pairs).view(">u8").ravel()
    numbers[~valid] = 0
    return numbers, valid


def _sorted(parts: list[Ids]) -> tuple[Ids, Ids]:
    """The ids in order, and those that occur again."""
    ids = np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.uint64)
    return ids, ids[1:][ids[1:] == ids[:-1]]


def _repeated(path: Path, ids: Ids) -> list[str]:
    return fault(path, "images with the id of another row", hexadecimal(ids))


def hexadecimal(ids: Ids) -> list[str]:
    """Ids as they are written.

    >>> hexadecimal(np.array([10], np.uint64))
    ['000000000000000a']
    """
    return [f"{number:016x}" for number in ids.tolist()]


def _marked(values: pa.Array) -> npt.NDArray[np.bool_]:
    """A boolean array of Arrow as one of NumPy; a missing value is false."""
    marks: npt.NDArray[np.bool_] = pc.fill_null(values, False).to_numpy(zero_copy_only=False)
    return marks
