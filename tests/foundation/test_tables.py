"""Text stays text through CSV and Parquet; malformed rows are reported with file and line."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgld.foundation import tables
from hgld.foundation.errors import HgldError
from hgld.foundation.tables import (
    check_unique,
    read_csv,
    read_csv_with_lines,
    read_parquet,
    write_csv,
    write_parquet,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=20)
VALUES = st.lists(st.tuples(TEXT | st.sampled_from(["None", "NA", "nan", "00001e1234567890", "1e5", ""]), TEXT))


@given(VALUES)
def test_csv_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    rows = [row for row in rows if row != ("a", "b")]
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype="str")
    write_csv(frame, path)
    assert read_csv(path, ["a", "b"]).equals(frame)


@given(VALUES)
def test_parquet_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("parquet") / "a.parquet"
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype="str").assign(n=range(len(rows)), x=0.5, yes=True)
    write_parquet(frame, path)
    assert read_parquet(path).equals(frame.astype({"n": "int64", "x": "float64", "yes": "bool"}))


def test_parquet_bytes_do_not_depend_on_index_or_string_dtype(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ["x", "y"]}, dtype="str")
    write_parquet(frame, tmp_path / "1")
    write_parquet(frame.set_axis([7, 9]).astype(object), tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_extra_columns_are_refused_unless_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("b,a,c\n1,2,3\n")
    assert list(read_csv(tmp_path / "a.csv", ["a", "b"], extra=True).columns) == ["b", "a", "c"]
    with pytest.raises(HgldError, match=r"a\.csv:1: expected the header a,b; found b,a,c"):
        read_csv(tmp_path / "a.csv", ["a", "b"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"a,b\n1,2\n3\n4,5,6\n",
            r"2 malformed row\(s\):\n.*a\.csv:3: 1 values for 2 columns: 3\n.*a\.csv:4: 3 values",
        ),
        (b"", "found nothing"),
        (b"a,b\n1,\xff\n", "not UTF-8"),
        (b'a,b\n1,"2\n', "not a CSV row"),
    ],
)
def test_malformed_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(HgldError, match=message):
        read_csv(tmp_path / "a.csv", ["a", "b"])


@pytest.mark.parametrize(("content", "message"), [
    ("a;b\n1;2\n", "expected commas between the values; found a;b; save the file with commas"),
    ("a\tb\n1\t2\n", r"expected commas between the values; found a\tb; save the file with commas"),
    ("A,b\n", "expected the header a,b (and any others); found A,b: no column 'a'"),
    ("a,b,b\n", "expected the header a,b (and any others); found a,b,b: two columns 'b'"),
    ("a,b,,,c\n", "expected the header a,b (and any others); found a,b,,,c: a column without a name"),
    ("\ufeff\ufeffa,b\n", r"expected the header a,b (and any others); found \ufeffa,b: no column 'a'"),
])  # fmt: skip
def test_wrong_header_is_refused_with_the_difference(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    with pytest.raises(HgldError) as caught:
        read_csv(tmp_path / "a.csv", ["a", "b"], extra=True)
    assert str(caught.value) == f"{tmp_path}/a.csv:1: {message}"


def test_columns_that_a_spreadsheet_has_added_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,,\n1,,,\n2,x,,\n")
    assert read_csv(tmp_path / "a.csv", ["a", "b"], extra=True).to_dict("list") == {"a": ["1", "2"], "b": ["", "x"]}
    (tmp_path / "a.csv").write_text("a,b,,\n1,,,\n2,x,,y\n")
    with pytest.raises(HgldError, match=r"a\.csv:3: a value in a column without a name"):
        read_csv(tmp_path / "a.csv", ["a", "b"], extra=True)


def test_message_about_a_huge_header_is_short(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",".join(f"column {number}" for number in range(100_000)))
    for extra in (False, True):
        with pytest.raises(HgldError) as caught:
            read_csv(tmp_path / "a.csv", ["a"], extra=extra)
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_that_is_not_utf_8_is_named(tmp_path: Path, end: str) -> None:
    lines = [b"a,b", *(b"%d,x" % number for number in range(5000))]
    for place in (1, 7, 4000, 5000):
        wrong = [*lines[:place], b"0,caf\xe9", *lines[place:]]
        (tmp_path / "a.csv").write_bytes(end.encode().join(wrong))
        with pytest.raises(HgldError, match=rf"a\.csv:{place + 1}: not UTF-8"):
            read_csv(tmp_path / "a.csv", ["a", "b"])


def test_table_that_does_not_fit_into_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes before it is read, in values while it is."""
    with (tmp_path / "a.csv").open("wb") as handle:
        handle.write(b"a,b\n")
        handle.truncate(tables._MAX_BYTES + 1)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 1000, mtime=0))
    with pytest.raises(HgldError, match=r"a\.csv: more than 1,024 MiB, which are held in memory at once; split"):
        read_csv(tmp_path / "a.csv", ["a", "b"])
    assert len(read_csv(tmp_path / "a.csv.gz", ["a", "b"])) == 1000
    monkeypatch.setattr(tables, "_MAX_VALUES", 1999)
    with pytest.raises(HgldError, match=r"a\.csv\.gz: more than 1,999 values; split the file"):
        read_csv(tmp_path / "a.csv.gz", ["a", "b"])
    monkeypatch.setattr(tables, "_MAX_BYTES", 4000)
    with pytest.raises(HgldError, match=r"a\.csv\.gz: more than 0 MiB"):
        read_csv(tmp_path / "a.csv.gz", ["a", "b"])


def test_missing_table_names_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(HgldError, match="dvc repro build"):
        read_parquet(tmp_path / "build" / "labels.parquet")
    with pytest.raises(HgldError, match="no file"):
        read_csv(tmp_path / "a.csv", ["a"])
    with pytest.raises(HgldError, match="is a folder"):
        read_csv(tmp_path, ["a"])


def test_damaged_table_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(HgldError, match="not the expected Parquet table"):
        read_parquet(tmp_path / "a.parquet")
    write_parquet(pd.DataFrame({"a": ["x"]}, dtype="str"), tmp_path / "b.parquet")
    with pytest.raises(HgldError, match="not the expected Parquet table"):
        read_parquet(tmp_path / "b.parquet", ["a", "missing"])


def test_line_of_a_row_is_where_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,b\n\n1,"two\nlines"\n\n\n2,x\n"three\n\nlines",y\n3,z\n')
    frame, lines = read_csv_with_lines(path, ["a", "b"])
    assert list(zip(frame["b"], lines, strict=True)) == [("two\nlines", 3), ("x", 7), ("y", 8), ("z", 11)]
    path.write_text('a,b\n1,"two\nlines",more\n\n2,"never closed\n')
    with pytest.raises(HgldError, match=r"a\.csv:5: not a CSV row"):
        read_csv(path, ["a", "b"])
    path.write_text('a,b\n\n1,"two\nlines",more\n')
    with pytest.raises(HgldError, match=r"a\.csv:3: 3 values for 2 columns"):
        read_csv(path, ["a", "b"])


def test_duplicate_key_is_reported_with_both_lines(tmp_path: Path) -> None:
    check_unique(tmp_path / "a.csv", "id", ["1", "2"], [2, 3])
    with pytest.raises(HgldError) as caught:
        check_unique(tmp_path / "a.csv", "id", ["1", "2", "1", "1"], [2, 4, 5, 7])
    assert str(caught.value).splitlines() == [
        "2 duplicate row(s); keep one of each:",
        f"{tmp_path}/a.csv:5: duplicate id '1', first on line 2",
        f"{tmp_path}/a.csv:7: duplicate id '1', first on line 2",
    ]
    with pytest.raises(HgldError, match=r"(?s)30 duplicate row.*and 10 more"):
        check_unique(tmp_path / "a.csv", "id", ["1"] * 31, range(2, 33))


def test_long_values_are_read_as_they_are_written(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ["00001e1234567890 " * 60_000], "b": ["x"]}, dtype="str")
    write_csv(frame, tmp_path / "a.csv")
    assert read_csv(tmp_path / "a.csv", ["a", "b"]).equals(frame)


@pytest.mark.parametrize("again", ["landmark_id,category", "\ufefflandmark_id,category", "category,landmark_id",
                                   '"landmark_id", Category'])  # fmt: skip
def test_second_header_is_no_row(tmp_path: Path, again: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"landmark_id,category\n1,Lake\n{again}\n2,category\n", encoding="utf-8")
    with pytest.raises(HgldError, match=r"1 malformed row\(s\):\n.*a\.csv:3: the header again; delete this line"):
        read_csv(path, ["landmark_id", "category"])
    path.write_text("category\nCategory\nlake\n")
    assert len(read_csv(path, ["category"])) == 2


def test_value_cannot_forge_a_line_of_a_message(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,b\n"\x1b]0;x\x07\nb.csv:9: \xe2\x80\xae",2,3\n')
    with pytest.raises(HgldError) as caught:
        read_csv(path, ["a", "b"])
    assert str(caught.value).splitlines() == [
        "1 malformed row(s):",
        f"{path}:2: 3 values for 2 columns: \\x1b]0;x\\x07\\nb.csv:9: \\u202e,2,3",
    ]


def test_many_malformed_rows_are_counted_not_listed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n" + "1\n" * 1000)
    with pytest.raises(HgldError, match=r"(?s)^1000 malformed.*and 980 more$") as caught:
        read_csv(tmp_path / "a.csv", ["a", "b"])
    assert len(str(caught.value).splitlines()) == 22


def test_a_table_of_more_rows_than_any_stage_writes_is_not_read(tmp_path: Path) -> None:
    """Fifty million equal values take some kilobytes of a Parquet file, and gigabytes of memory."""
    path = tmp_path / "large.parquet"
    part = pa.table({"id": pa.DictionaryArray.from_arrays(np.zeros(1 << 20, np.int8), ["x"])})
    with pq.ParquetWriter(path, part.schema) as writer:
        for _ in range(48):
            writer.write_table(part, row_group_size=1 << 20)
    assert path.stat().st_size < 200_000
    with pytest.raises(HgldError, match=r"large\.parquet: 50,331,648 rows, more than the 50,000,000"):
        read_parquet(path, ["id"])
