"""Agreement of two label files: by hand, against published values, and in the edge cases."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgld.foundation.errors import HgldError
from hgld.hierarchy.comparison.agreement import cohen_kappa, compare_labels, read_pair
from hgld.hierarchy.comparison.proportions import wilson

OURS = {"1": "lake", "2": "lake", "3": "church", "4": "", "5": "church", "6": "", "8": "lake"}
THEIRS = {"1": "lake", "2": "river", "3": "church", "4": "lake", "5": "", "6": "", "9": "lake"}


def test_counts_match_a_count_by_hand() -> None:
    result = compare_labels(OURS, THEIRS)
    assert (result.agreement.hits, result.agreement.total) == (2, 3)
    assert (result.share_of_reference.hits, result.share_of_reference.total) == (2, 4)
    assert (result.empty_in_ours, result.empty_in_reference, result.empty_in_both) == (1, 1, 1)
    assert (result.only_in_ours, result.only_in_reference) == (1, 1)
    by_label = {row.label: row for row in result.labels}
    assert (by_label["lake"].precision, by_label["lake"].recall) == (0.5, 1.0)
    assert math.isnan(by_label["river"].precision)
    assert by_label["river"].recall == 0
    assert [(c.ours, c.reference, c.count) for c in result.confusions] == [("lake", "river", 1)]


def test_wilson_interval_has_published_values() -> None:
    # Newcombe 1998, table I: 81 of 263, and 0 of 20
    assert wilson(81, 263).low == pytest.approx(0.2553, abs=5e-5)
    assert wilson(81, 263).high == pytest.approx(0.3662, abs=5e-5)
    assert wilson(0, 20).low == 0
    assert wilson(0, 20).high == pytest.approx(0.1611, abs=5e-5)
    assert math.isnan(wilson(0, 0).fraction)


def test_kappa_of_known_table_and_its_limits() -> None:
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed 0.7, chance 0.5
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohen_kappa(pairs) == pytest.approx(0.4)
    assert cohen_kappa([("y", "y")] * 3) == 1
    assert math.isnan(cohen_kappa([]))


labels = st.dictionaries(st.integers(0, 20).map(str), st.sampled_from(["", "lake", "river", "church"]))


@given(labels, labels)
def test_each_common_landmark_is_counted_once_in_any_order(ours: dict[str, str], theirs: dict[str, str]) -> None:
    result = compare_labels(ours, theirs)
    not_compared = result.empty_in_ours + result.empty_in_reference + result.empty_in_both
    assert result.agreement.total + not_compared == len(ours.keys() & theirs.keys())
    assert result.agreement.hits + sum(c.count for c in result.confusions) == result.agreement.total
    backwards = compare_labels(dict(reversed(ours.items())), dict(reversed(theirs.items())))
    assert result.to_dict() == backwards.to_dict()
    json.dumps(result.to_dict(), allow_nan=False)


def write(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_files_are_joined_by_landmark(tmp_path: Path) -> None:
    ours = write(tmp_path / "a.csv", ["landmark_id,hierarchical_label", "1,ocean area ", "2,lake"])
    theirs = write(tmp_path / "b.csv", ["hierarchical_label,x,landmark_id", "ocean area ,,1", "river,,2"])
    result = compare_labels(*read_pair(ours, theirs))
    assert result.to_dict()["share"] == 0.5
    assert "1 of 2 with both labels = 50.0%" in result.text()
    assert "river" in result.text()


def test_bad_files_are_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "a.csv", ["landmark_id,hierarchical_label", "1,lake"])
    twice = write(tmp_path / "b.csv", ["landmark_id,hierarchical_label", "1,lake", "1,river"])
    other = write(tmp_path / "c.csv", ["landmark_id,hierarchical_label", "2,lake"])
    with pytest.raises(HgldError, match=r"b\.csv:3: duplicate landmark_id '1', first on line 2"):
        read_pair(good, twice)
    with pytest.raises(HgldError, match="no landmark_id in common"):
        read_pair(good, other)
    with pytest.raises(HgldError, match="expected the header"):
        read_pair(good, write(tmp_path / "d.csv", ["id", "1"]))


def test_nothing_to_compare_prints_none() -> None:
    assert "none" in compare_labels({"1": ""}, {"1": "lake"}).text()
