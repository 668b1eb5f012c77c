"""The difference of two releases: each kind of change by hand, and independence of the order of rows."""

from pathlib import Path

import pandas as pd
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.foundation.tables import write_csv, write_parquet
from hgld.hierarchy.comparison.release_diff import diff_releases, read_release_labels

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
    table = [(key, f"{URL}Place_{key}", supercategory, label, "") for key, (supercategory, label) in rows.items()]
    write_csv(pd.DataFrame(table, columns=COLUMNS), folder / f"{split}_label_to_hierarchical.csv")
    if source:
        names = [f"Place {key}" for key in rows]
        write_parquet(pd.DataFrame({"category": names, "source": source}), folder / "labels.parquet")
    return folder


def test_each_kind_of_change_is_found(tmp_path: Path) -> None:
    old = read_release_labels(release(tmp_path / "old", OLD, "clip"))
    new = read_release_labels(release(tmp_path / "new", NEW, "review"))
    result = diff_releases(old, new)
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
    assert result.kinds == dict.fromkeys(result.kinds, 1) | {"source": 2, "nature": 0, "place": 0, "category": 0}
    assert diff_releases(old, read_release_labels(release(tmp_path / "without sources", NEW))).unchanged == 2
    by_label = {row.label: (row.old, row.new, row.won, row.lost) for row in result.labels}
    assert by_label == {
        "church": (1, 2, 1, 0), "lake": (2, 1, 0, 1), "river": (1, 1, 1, 1), "castle / fort": (1, 0, 0, 1),
        "ocean area": (1, 1, 0, 0), "dam": (0, 1, 1, 0),
    }  # fmt: skip
    for old_count, new_count, won, lost in by_label.values():
        assert new_count - old_count == won - lost
    lines = [str(change) for change in result.changes]
    assert f"moved          train 2: lake (clip) → river (review)  {URL}Place_2" in lines
    assert any("train 1: church, cathedral (clip) → church, church building (review)" in line for line in lines)


def test_ids_of_splits_are_different_spaces(tmp_path: Path) -> None:
    old = release(tmp_path / "old", {"1": ("", "lake")})
    release(old, {"1": ("", "church")}, split="index")
    new = release(tmp_path / "new", {"1": ("", "lake")})
    release(new, {"1": ("", "church"), "2": ("", "")}, split="index")
    result = diff_releases(read_release_labels(old), read_release_labels(new))
    assert [(c.kind, c.split, c.landmark_id) for c in result.changes] == [("added", "index", "2")]


def test_result_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    names = [release(tmp_path / "old", OLD), release(tmp_path / "new", NEW)]
    first = diff_releases(*map(read_release_labels, names)).to_dict()
    release(tmp_path / "old", dict(reversed(OLD.items())))
    release(tmp_path / "new", dict(reversed(NEW.items())))
    assert diff_releases(*map(read_release_labels, names)).to_dict() == first


def test_title_comes_from_the_metadata_if_valid(tmp_path: Path) -> None:
    folder = release(tmp_path / "a", OLD)
    assert read_release_labels(folder).name == str(folder)
    write_text('{"name": "H-GLDv2", "version": "1.0"}', folder / "metadata.json")
    assert read_release_labels(folder).name == f"H-GLDv2 1.0 ({folder})"
    write_text("{", folder / "metadata.json")
    assert read_release_labels(folder).name == str(folder)


def test_release_compared_with_itself_has_no_changes(tmp_path: Path) -> None:
    labels = read_release_labels(release(tmp_path / "a", OLD))
    result = diff_releases(labels, labels)
    assert (result.unchanged, result.changes, result.moves) == (7, (), ())
    assert result.summary().endswith("unchanged             7 landmarks")


def test_invalid_releases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HgldError, match=r"no release; expected train_label_to_hierarchical\.csv or index_"):
        read_release_labels(tmp_path)
    labels = read_release_labels(release(tmp_path / "a", {"1": ("", "lake")}))
    with pytest.raises(HgldError, match="have no landmark in common"):
        diff_releases(labels, read_release_labels(release(tmp_path / "b", {"2": ("", "lake")})))
    path = tmp_path / "a" / "train_label_to_hierarchical.csv"
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(HgldError, match=r"hierarchical\.csv:3: duplicate landmark_id '1', first on line 2"):
        read_release_labels(tmp_path / "a")
