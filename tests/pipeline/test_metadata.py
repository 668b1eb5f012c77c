"""GLDv2's CSVs become typed tables; what does not fit is listed by file and line."""

from pathlib import Path

import pytest

from hgld.hierarchy.errors import HgldError
from hgld.pipeline.metadata import read_table

A, B = "00001e1234567890", "ffffffffffffffff"


def _write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_ids_that_look_like_numbers_and_the_word_none_stay_text(tmp_path: Path) -> None:
    path = _write(tmp_path / "r.csv", f"id,images,Usage\n{B},None,Ignored\n{A},{A} {B},Public\n")
    table = read_table("retrieval_solution", path)
    assert table.to_dict("list") == {
        "id": [A, B],
        "images": [f"{A} {B}", "None"],
        "usage": ["Public", "Ignored"],
    }


def test_the_clean_list_becomes_one_row_an_image(tmp_path: Path) -> None:
    path = _write(tmp_path / "c.csv", f"landmark_id,images\n7,{B} {A}\n")
    assert read_table("train_clean", path).to_dict("list") == {"id": [A, B], "landmark_id": ["7", "7"]}


def test_row_order_does_not_matter(tmp_path: Path) -> None:
    rows = [f"{i:016x},drawing:{i},{i % 3}" for i in range(20)]
    one = read_table("train", _write(tmp_path / "1.csv", "\n".join(["id,url,landmark_id", *rows, ""])))
    two = read_table("train", _write(tmp_path / "2.csv", "\n".join(["id,url,landmark_id", *rows[::-1], ""])))
    assert one.equals(two)


def test_every_malformed_row_is_listed_with_its_line(tmp_path: Path) -> None:
    path = _write(tmp_path / "train.csv", f"id,url,landmark_id\n{A},u,1\n{B},u\nx,y,z,w\n")
    with pytest.raises(HgldError) as error:
        read_table("train", path)
    assert "2 malformed row(s)" in str(error.value)
    assert f"{path}:3: 2 values for 3 columns: {B},u" in str(error.value)
    assert f"{path}:4: 4 values for 3 columns" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,url\n", "expected the header id,url,landmark_id"),
        ("id,url,landmark_id\nxyz,u,1\n", "16 hex digits"),
        (f"id,url,landmark_id\n{A},u,1\n{A},u,2\n", "not a valid 'train' table"),
        (f"id,url,landmark_id\n{A},u,{'1' * 19}\n", "1 to 18 digits"),
        ("", "not a UTF-8 CSV"),
        ("id,url,landmark_id\n", "a header and no rows"),
        (b"id,url,landmark_id\n\xff\xfe,u\n", "train.csv:2: not a UTF-8 CSV file"),
        (b"id,url,landmark_id\n" + A.encode() + b",\xff,1\n", "not a UTF-8 CSV"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(HgldError, match=message):
        read_table("train", _write(tmp_path / "train.csv", text))
