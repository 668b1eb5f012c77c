"""Drift: two releases made by hand, each kind of change once, and the same whatever the order of the rows."""

from pathlib import Path

import pandas as pd
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.foundation.tables import write_csv, write_parquet
from hgld.hierarchy.comparison.release_diff import drift, read_edition

COLUMNS = ["landmark_id", "category", "supercategory", "hierarchical_label", "natural_or_human_made"]
URL = "http://commons.wikimedia.org/wiki/Category:"

OLD = {
    "1": ("cathedral", "church"), "2": ("", "lake"), "3": ("", ""), "4": ("fort", "castle / fort"),
    "9": ("", "river"), "10": ("reservoir", "lake"), "11": ("", "ocean area "),
}  # fmt: skip
NEW = {
    "1": ("church building", "church"), "2": ("", "river"), "3": ("", "church"), "4": ("", ""),
    "10": ("reservoir", "lake"), "11": ("", "ocean area"), "12": ("", "dam"),
}  # fmt: skip


def release(folder: Path, rows: dict[str, tuple[str, str]], source: str = "", split: str = "train") -> Path:
    """The released table of one split, and the sources of its categories."""
    folder.mkdir(exist_ok=True)
    table = [
        (key, f"{URL}Place_{key}", supercategory, label, "") for key, (supercategory, label) in rows.items()
    ]
    write_csv(pd.DataFrame(table, columns=COLUMNS), folder / f"{split}_label_to_hierarchical.csv")
    if source:
        names = [f"Place {key}" for key in rows]
        write_parquet(pd.DataFrame({"category": names, "source": source}), folder / "labels.parquet")
    return folder


def test_each_kind_of_change(tmp_path: Path) -> None:
    old = read_edition(release(tmp_path / "old", OLD, "clip"))
    new = read_edition(release(tmp_path / "new", NEW, "review"))
    result = drift(old, new)
    assert [(c.kind, c.landmark_id, c.old_label, c.new_label) for c in result.changes] == [
        ("added", "12", "", "dam"),
        ("removed", "9", "river", ""),
        ("labelled", "3", "", "church"),
        ("emptied", "4", "castle / fort", ""),
        ("moved", "2", "lake", "river"),
        ("supercategory", "1", "church", "church"),
        ("source", "10", "lake", "lake"),
        ("source", "11", "ocean area", "ocean area"),
    ]
    assert (result.old_landmarks, result.new_landmarks, result.old_labelled, result.new_labelled) == (
        7,
        7,
        6,
        6,
    )
    assert result.unchanged == 0
    assert result.kinds == dict.fromkeys(result.kinds, 1) | {"source": 2}
    assert drift(old, read_edition(release(tmp_path / "mute", NEW))).unchanged == 2
    by_label = {row.label: (row.old, row.new, row.won, row.lost) for row in result.labels}
    assert by_label == {
        "church": (1, 2, 1, 0), "lake": (2, 1, 0, 1), "river": (1, 1, 1, 1), "castle / fort": (1, 0, 0, 1),
        "ocean area": (1, 1, 0, 0), "dam": (0, 1, 1, 0),
    }  # fmt: skip
    for old_count, new_count, won, lost in by_label.values():
        assert new_count - old_count == won - lost
    assert f"moved          train 2: lake (clip) → river (review)  {URL}Place_2" in result.text()
    assert (
        "supercategory  train 1: church, cathedral (clip) → church, church building (review)" in result.text()
    )


def test_the_splits_are_different_spaces(tmp_path: Path) -> None:
    old = release(tmp_path / "old", {"1": ("", "lake")})
    release(old, {"1": ("", "church")}, split="index")
    new = release(tmp_path / "new", {"1": ("", "lake")})
    release(new, {"1": ("", "church"), "2": ("", "")}, split="index")
    result = drift(read_edition(old), read_edition(new))
    assert [(c.kind, c.split, c.landmark_id) for c in result.changes] == [("added", "index", "2")]


def test_the_order_of_the_rows_plays_no_role(tmp_path: Path) -> None:
    names = [release(tmp_path / "old", OLD), release(tmp_path / "new", NEW)]
    first = drift(*map(read_edition, names)).to_dict()
    release(tmp_path / "old", dict(reversed(OLD.items())))
    release(tmp_path / "new", dict(reversed(NEW.items())))
    assert drift(*map(read_edition, names)).to_dict() == first


def test_a_release_is_called_by_its_own_name(tmp_path: Path) -> None:
    folder = release(tmp_path / "a", OLD)
    assert read_edition(folder).name == str(folder)
    write_text('{"name": "H-GLDv2", "version": "1.0"}', folder / "metadata.json")
    assert read_edition(folder).name == f"H-GLDv2 1.0 ({folder})"
    write_text("{", folder / "metadata.json")
    assert read_edition(folder).name == str(folder)


def test_a_release_that_equals_itself_has_no_changes(tmp_path: Path) -> None:
    one = read_edition(release(tmp_path / "a", OLD))
    result = drift(one, one)
    assert (result.unchanged, result.changes, result.moves) == (7, (), ())
    assert result.text().endswith("source                0 have the same label from another source")


def test_what_is_no_release_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HgldError, match=r"no release; expected train_label_to_hierarchical\.csv or index_"):
        read_edition(tmp_path)
    one = read_edition(release(tmp_path / "a", {"1": ("", "lake")}))
    with pytest.raises(HgldError, match="have no landmark in common"):
        drift(one, read_edition(release(tmp_path / "b", {"2": ("", "lake")})))
    path = tmp_path / "a" / "train_label_to_hierarchical.csv"
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(HgldError, match=r"hierarchical\.csv:3: landmark_id '1' stands on line 2 already"):
        read_edition(tmp_path / "a")
