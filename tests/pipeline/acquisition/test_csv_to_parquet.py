"""GLDv2's CSVs become sorted Parquet tables; every malformed row is listed by file and line."""

import csv
import gzip
import io
import random
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_parquet
from hgld.pipeline.acquisition import csv_to_parquet
from hgld.pipeline.acquisition.csv_to_parquet import empty_parquet, to_parquet
from hgld.pipeline.acquisition.gldv2_tables import TABLES
from hgld.pipeline.acquisition.row_errors import MAX_SHOWN
from tests.full_disk import full_disk
from tests.paths import SHARED

GLDV2 = SHARED / "gldv2"
A, B = "00001e1234567890", "ffffffffffffffff"
ATTRIBUTION = list(TABLES["train_attribution"].columns)
IDS = st.text("0123456789abcdef", min_size=16, max_size=16)
# csv may write a line end in a quoted value differently; csv and Arrow do not support NUL
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=20)
VALUES = {
    "id": IDS,
    "ids": st.lists(IDS, min_size=1, max_size=4, unique=True).map(" ".join),
    "landmark": st.from_regex(r"[0-9]{1,18}", fullmatch=True),
    "text": st.one_of(st.just("None"), st.just("NULL"), TEXT.filter(len), TEXT.map(lambda text: f'a,"{text}",b')),
    "usage": st.sampled_from(["Public", "Private", "Ignored"]),
    "any": st.one_of(st.just("None"), st.just("nan"), st.just(""), TEXT),
    "prose": st.one_of(st.just("None"), st.just(""), TEXT, TEXT.map(lambda text: f'a,"{text}",\nb')),
}  # fmt: skip


def _convert(name: str, path: Path, text: str | bytes) -> dict[str, list[str]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    target = path.with_suffix(".parquet")
    to_parquet(TABLES[name], path, target)
    columns: dict[str, list[str]] = pq.read_table(target).to_pydict()
    return columns


@pytest.mark.parametrize("name", TABLES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_table_is_converted_without_loss(tmp_path: Path, name: str, data: st.DataObject) -> None:
    table = TABLES[name]
    row = st.tuples(*(VALUES[kind] for kind in table.columns.values()))
    rows = data.draw(st.lists(row, min_size=1, max_size=12, unique_by=lambda row: row[0]))
    if name == "train_clean":
        seen: set[str] = set()
        rows = [row for row in rows if not seen & set(row[1].split()) and not seen.update(row[1].split())]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=data.draw(st.sampled_from(["\n", "\r\n"])))
    writer.writerows([list(table.columns), *rows])
    columns = _convert(name, tmp_path / "t.csv", text.getvalue())
    if name == "train_clean":
        expected = sorted((image, row[0]) for row in rows for image in row[1].split())
    else:
        expected = sorted(rows)
    assert list(zip(*columns.values(), strict=True)) == expected


def test_numeric_looking_ids_and_the_word_none_stay_text(tmp_path: Path) -> None:
    text = f"id,images,Usage\n{B},None,Ignored\n{A},{A} {B},Public\n"
    assert _convert("retrieval_solution", tmp_path / "r.csv", text) == {
        "id": [A, B],
        "images": [f"{A} {B}", "None"],
        "usage": ["Public", "Ignored"],
    }


def test_neither_row_order_nor_spilling_to_disk_changes_a_byte(tmp_path: Path) -> None:
    rows = [f"{number * 0x1234567_89ABCD % 2**64:016x},drawing:{number},{number % 3}" for number in range(3000)]
    files = []
    for turn, in_memory in enumerate((1 << 30, 1 << 30, 0)):
        path = tmp_path / f"{turn}.csv"
        random.Random(turn).shuffle(rows)
        path.write_text("\n".join(["id,url,landmark_id", *rows, ""]))
        assert to_parquet(TABLES["train"], path, path.with_suffix(".parquet"), in_memory) == 3000
        files.append(path.with_suffix(".parquet").read_bytes())
    assert files[0] == files[1] == files[2]
    assert read_parquet(tmp_path / "0.parquet")["id"].is_monotonic_increasing


def test_multi_line_value_may_span_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_to_parquet, "_BLOCK_BYTES", 300)
    value = "line\n" * 20
    rows = [f'{number:016x},u,"{number} {value}",l,t' for number in range(50)]
    columns = _convert("train_attribution", tmp_path / "t.csv", "\n".join([",".join(ATTRIBUTION), *rows, ""]))
    assert columns["author"] == [f"{number} {value}" for number in range(50)]


PIECES = ['"', '""', ',"', '",', "x", " ", ",", "\n", "\r\n", "\r", "é", "\0", ",1\n", f'{A},"u",1\n', f",u,2\n{B},"]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
@example(f'"http://x,1\n{B},"http://y,2')
@example('"http://x"yz,1')
@example(f'"http://x,1\n{B},http://y",2')
@example(f"x,1\r{B},y,2")
def test_no_row_is_read_otherwise_than_by_the_strict_reader(tmp_path: Path, text: str) -> None:
    """Whatever is converted has exactly the rows that Python's strict reader finds, one per line of the file."""
    text = f"{A},{text}\n"
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline="\n"), strict=True) if row]
        valid = all(len(row) == 3 and re.fullmatch("[0-9a-f]{16}", row[0]) for row in rows)
        valid = valid and all(re.fullmatch(r"[^\r\n]+", row[1]) and re.fullmatch("[0-9]+", row[2]) for row in rows)
        valid = valid and len({row[0] for row in rows}) == len(rows)
    except csv.Error:
        valid = False
    if valid:
        columns = _convert("train", tmp_path / "t.csv", f"id,url,landmark_id\n{text}")
        assert [list(row) for row in zip(*columns.values(), strict=True)] == sorted(rows)
    else:
        with pytest.raises(HgldError, match=r"(?s)t\.csv:.*malformed row|is already in line"):
            _convert("train", tmp_path / "t.csv", f"id,url,landmark_id\n{text}")


def test_quotation_mark_that_swallows_rows_is_an_error(tmp_path: Path) -> None:
    """The rows between two stray marks are one valid value; none of them may disappear in it."""
    rows = [f"{number:016x},u,author {number},l,t" for number in range(300)]
    rows[7] = rows[7].replace("author 7", '"author 7')
    rows[200] = rows[200].replace("author 200", 'author 200"')
    with pytest.raises(HgldError, match=r"1 malformed row\(s\):\n.*t\.csv:9: author is .* a text without rows"):
        _convert("train_attribution", tmp_path / "t.csv", "\n".join([",".join(ATTRIBUTION), *rows, ""]))


def test_value_larger_than_a_block_is_read(tmp_path: Path) -> None:
    images = [f"{number:016x}" for number in range(1_100_000)]
    columns = _convert("train_clean", tmp_path / "t.csv", f"landmark_id,images\n1,{' '.join(images)}\n")
    assert columns["id"] == images and set(columns["landmark_id"]) == {"1"}


def test_every_malformed_row_is_listed_with_its_line_and_text(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    lines = [
        b"id,url,landmark_id",
        f"{A},u,1".encode(),
        f"{B},u".encode(),  # 3: too few
        b"x,y,z,w",  # 4: too many
        f'{A[:-1]}1,"a\nb",1'.encode(),  # 5 and 6: one over two lines
        b"xyz,u,1",  # 7: not an id
        f'{B},"never closed,1'.encode(),  # 8
        f"{A[:-1]}2,\xff,1".encode("latin-1"),  # 9: not UTF-8
        f"{A[:-1]}3,u,{'1' * 19}".encode(),  # 10
        f"{A[:-1]}4,u,".encode(),  # 11
        f"{A[:-1]}5,u,1".encode(),
    ]
    with pytest.raises(HgldError) as error:
        _convert("train", path, b"\n".join(lines) + b"\n")
    lines = str(error.value).split("\n")
    assert lines[0] == f"{path}: 8 malformed row(s):"
    assert lines[1:] == [
        f"{path}:3: 2 values for 3 columns: '{B},u'",
        f"{path}:4: 4 values for 3 columns: 'x,y,z,w'",
        f"{path}:5: url is 'a\\nb', expected a non-empty text on one line: '{A[:-1]}1,\"a\\nb\",1'",
        f"{path}:7: id is 'xyz', expected 16 hex digits: 'xyz,u,1'",
        f"{path}:8: not a CSV row (unexpected end of data): '{B},\"never closed,1'",
        f"{path}:9: not UTF-8 (character 18 of the row): '{A[:-1]}2,\\udcff,1'",
        f"{path}:10: landmark_id is '{'1' * 19}', expected 1 to 18 digits: '{A[:-1]}3,u,{'1' * 19}'",
        f"{path}:11: landmark_id is '', expected 1 to 18 digits: '{A[:-1]}4,u,'",
    ]
    assert not path.with_suffix(".parquet").exists()


def test_more_than_twenty_malformed_rows_are_written_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    with pytest.raises(HgldError) as error:
        _convert("index", path, "id\n" + "bad\n" * 1000)
    full = tmp_path / "index.csv.malformed.txt"
    assert f"1,000 malformed row(s), all listed in {full}" in str(error.value)
    assert str(error.value).count("\n") == MAX_SHOWN
    assert len(full.read_text().splitlines()) == 1000
    _convert("index", path, f"id\n{A}\n")
    assert not full.exists()


def test_landmark_with_very_many_images_is_valid(tmp_path: Path) -> None:
    many = " ".join(f"{number:016x}" for number in range(20_000))
    with pytest.raises(HgldError) as error:
        _convert("train_clean", tmp_path / "t.csv", f"landmark_id,images\n1,{many}\n2,zz\n")
    assert "1 malformed row(s)" in str(error.value) and "t.csv:3: images is 'zz'" in str(error.value)


def test_all_duplicate_keys_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    with pytest.raises(HgldError, match=rf"train\.csv:4: {A} is already in line 2"):
        _convert("train", path, f"id,url,landmark_id\n{A},u,1\n{B},u,1\n{A},u,2\n")
    with pytest.raises(HgldError, match=rf"clean\.csv:3: {B} is already in line 2"):
        _convert("train_clean", tmp_path / "clean.csv", f"landmark_id,images\n1,{A} {B}\n2,{B}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,url\n", "expected the header id,url,landmark_id"),
        ("", "expected the header .* found ''"),
        ("id,url,landmark_id\r0,u,1\r", r"expected the header .* found 'id,url,landmark_id\\r0,u,1'"),
        ("id,url,landmark_id\n".encode("utf-16"), "expected the header"),
        ("id,url,landmark_id\n", "a header without rows"),
        ("<html><body>Not found</body></html>", "expected the header"),
    ],
)
def test_file_that_is_not_the_table_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(HgldError, match=message):
        _convert("train", tmp_path / "train.csv", text)


def test_missing_optional_table_has_columns_and_no_rows(tmp_path: Path) -> None:
    empty_parquet(TABLES["train_attribution"], tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["id", "url", "author", "license", "title"] and len(table) == 0
    assert set(table.schema.types) == {pa.string()}


@pytest.mark.parametrize(
    ("name", "part", "rows"),
    [
        ("train", "train.part.csv.gz", 15_060),
        ("index_image_to_landmark", "index_image_to_landmark.part.csv.gz", 30_000),
        ("train_label_to_hierarchical", "train_supercategory.part.csv", 254),
    ],
)
def test_real_rows_are_valid(tmp_path: Path, name: str, part: str, rows: int) -> None:
    real = GLDV2 / part
    if not real.is_file():
        pytest.skip(f"no {real}: part of the real data, which is not in this repository")
    data = gzip.decompress(real.read_bytes()) if part.endswith(".gz") else real.read_bytes()
    (tmp_path / "t.csv").write_bytes(data)
    assert to_parquet(TABLES[name], tmp_path / "t.csv", tmp_path / "t.parquet") == rows


@pytest.mark.parametrize("in_memory", [0, 1 << 30])
def test_full_disk_leaves_the_old_table(tmp_path: Path, in_memory: int) -> None:
    path, target = tmp_path / "index.csv", tmp_path / "index.parquet"
    path.write_text("id\n" + "".join(f"{number * 0x1234567_89ABCD % 2**64:016x}\n" for number in range(9000)))
    target.write_bytes(b"old")
    with (
        full_disk(5000),
        pytest.raises(HgldError, match=r"cannot write .*the previous version is unchanged"),
    ):
        to_parquet(TABLES["index"], path, target, in_memory)
    assert target.read_bytes() == b"old" and not list(tmp_path.glob(".*"))
