"""GLDv2's nine metadata CSVs as typed tables: names, columns, and how each becomes one row a fact."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import csv as pacsv

from hgld.hierarchy.errors import HgldError
from hgld.hierarchy.schemas import validated


def _explode_clean(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a landmark with its images in one cell → one row an image."""
    split = frame.assign(id=frame["images"].str.split(" ")).explode("id")
    return split[["id", "landmark_id"]].astype("str")


def _usage(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={"Usage": "usage"})


@dataclass(frozen=True)
class Table:
    """One upstream CSV: its header, the key its rows are sorted by, and how it is brought into shape."""

    file: str
    header: list[str]
    key: list[str]
    shape: Callable[[pd.DataFrame], pd.DataFrame] = field(default=lambda frame: frame)


TABLES: dict[str, Table] = {
    "train": Table("train.csv", ["id", "url", "landmark_id"], ["id"]),
    "train_clean": Table("train_clean.csv", ["landmark_id", "images"], ["id"], _explode_clean),
    "train_label_to_category": Table(
        "train_label_to_category.csv", ["landmark_id", "category"], ["landmark_id"]
    ),
    "index": Table("index.csv", ["id"], ["id"]),
    "index_image_to_landmark": Table("index_image_to_landmark.csv", ["id", "landmark_id"], ["id"]),
    "index_label_to_category": Table(
        "index_label_to_category.csv", ["landmark_id", "category"], ["landmark_id"]
    ),
    "test": Table("test.csv", ["id"], ["id"]),
    "retrieval_solution": Table("retrieval_solution_v2.1.csv", ["id", "images", "Usage"], ["id"], _usage),
    "recognition_solution": Table(
        "recognition_solution_v2.1.csv", ["id", "landmarks", "Usage"], ["id"], _usage
    ),
}


def read_table(name: str, path: Path) -> pd.DataFrame:
    """One upstream CSV in its table's shape, rows sorted by key, every value a string.

    Raises HgldError that lists the malformed rows with file and line, or the values that break the schema.
    """
    table = TABLES[name]
    frame = table.shape(_read_strings(path, table.header))
    if frame.empty:
        raise HgldError(f"{path}: a header and no rows; expected a table: fetch the file again")
    return validated(frame.sort_values(table.key, kind="stable", ignore_index=True), name, str(path))


def _read_strings(path: Path, header: list[str]) -> pd.DataFrame:
    """A CSV of text through Arrow's parser: 4 million rows in seconds."""
    bad: list[str] = []

    def note(row: pacsv.InvalidRow) -> str:
        # Arrow counts the header as row 1; without threads the number is always known
        bad.append(
            f"{path}:{row.number}: {row.actual_columns} values for {row.expected_columns} columns: {row.text[:80]}"
        )
        return "skip"

    try:
        try:
            table = _parsed(path, header, None)
        except pa.ArrowInvalid:
            # Arrow decodes a malformed row before it hands it over, and cannot report that this failed
            _check_utf8(path)
            table = _parsed(path, header, note)
    except OSError as error:
        raise _unreadable(path, error) from None
    except pa.ArrowInvalid as error:
        raise HgldError(f"{path}: not a UTF-8 CSV file: {error}") from None
    if table.column_names != header:
        raise HgldError(
            f"{path}:1: expected the header {','.join(header)}; found {','.join(table.column_names)}"
        )
    if bad:
        raise HgldError(f"{len(bad)} malformed row(s):\n" + "\n".join(bad))
    frame: pd.DataFrame = table.to_pandas()
    return frame.astype("str")


def _parsed(path: Path, header: list[str], handler: Callable[[pacsv.InvalidRow], str] | None) -> pa.Table:
    return pacsv.read_csv(
        path,
        read_options=pacsv.ReadOptions(use_threads=False),
        parse_options=pacsv.ParseOptions(invalid_row_handler=handler),
        convert_options=pacsv.ConvertOptions(
            column_types={name: pa.string() for name in header}, strings_can_be_null=False
        ),
    )


def _check_utf8(path: Path) -> None:
    """Raise HgldError with the line of the first byte that is not UTF-8."""
    with path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                found = f"{error.reason} (byte {error.start + 1} of the line)"
                raise HgldError(f"{path}:{number}: not a UTF-8 CSV file: {found}; fetch it again") from None


def _unreadable(path: Path, error: OSError) -> HgldError:
    if isinstance(error, FileNotFoundError):
        return HgldError(f"no file {path}")
    return HgldError(f"{path}: cannot be read: {error.strerror or error}")
