"""A reviewed sample: the shares it gives where the answer is known, and the rows that are not accepted."""

from dataclasses import astuple, replace
from pathlib import Path

import pandas as pd
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import write_csv
from hgld.hierarchy.comparison.published_noise import (
    ARGUABLE,
    COLUMNS,
    WRONG,
    Case,
    Judged,
    read_review,
    share,
)

LABELS = {"lake", "dam", "river", "church"}
SIZES = {"name differs, from 0.9": 100, "name agrees, from 0.9": 900}


def judged(key: int, ours: str, verdict: str, score: str = "0.9500", right: str = "") -> Judged:
    return Judged(
        str(key), f"Place {key}", "lake", ours, score, "dam", verdict, verdict, right, "a reason", "ana"
    )


def rows(differing: list[str], agreeing: list[str]) -> list[Judged]:
    found = [judged(n, "dam", verdict) for n, verdict in enumerate(differing)]
    return found + [judged(100 + n, "lake", verdict) for n, verdict in enumerate(agreeing)]


def write(path: Path, table: list[Judged], **changes: str) -> Path:
    frame = pd.DataFrame([[row.stratum, *astuple(row)] for row in table], columns=COLUMNS)
    for name, value in changes.items():
        frame.loc[0, name] = value
    write_csv(frame, path)
    return path


def test_shares_are_weighted_by_the_size_of_the_stratum() -> None:
    reviewed = rows(["ours", "neither", "both", "theirs"], ["theirs"] * 9 + ["both"])
    assert share(reviewed, WRONG, SIZES).share == pytest.approx(0.1 * 2 / 4)
    assert share(reviewed, ARGUABLE, SIZES).share == pytest.approx(0.1 * 3 / 4 + 0.9 * 1 / 10)


def test_unknown_rows_are_left_out_or_bound_the_share() -> None:
    reviewed = rows(["ours", "unknown", "theirs", "theirs"], ["theirs"] * 8 + ["unknown"] * 2)
    shares = [share(reviewed, WRONG, SIZES, unknown).share for unknown in ("miss", "left out", "hit")]
    assert shares == pytest.approx([0.1 / 4, 0.1 / 3, 0.1 * 2 / 4 + 0.9 * 2 / 10])


def test_a_part_of_the_strata_is_a_population_of_its_own() -> None:
    reviewed = rows(["ours", "theirs"], ["theirs"] * 5)
    assert share(reviewed[:2], WRONG, SIZES).share == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("ours", "score", "stratum"),
    [
        ("dam", "0.9000", "name differs, from 0.9"),
        ("dam", "0.8999", "name differs, 0.5 to 0.9"),
        ("dam", "0.4999", "name differs, below 0.5"),
        ("lake", "0.9000", "name agrees, from 0.9"),
        ("lake", "0.1000", "name agrees, below 0.9"),
        ("lake", "", "Wikidata agrees"),
        ("dam", "", "Wikidata differs"),
    ],
)
def test_the_stratum_of_a_case(ours: str, score: str, stratum: str) -> None:
    assert Case("1", "Place", "lake", ours, score, "dam").stratum == stratum


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    reviewed = sorted(
        [
            judged(7, "dam", "neither", right="river"),
            judged(10, "dam", "both"),
            judged(2, "lake", "theirs", ""),
        ],
        key=lambda row: row.order,
    )
    assert read_review(write(tmp_path / "review.csv", reviewed), LABELS) == reviewed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"landmark_id": "x7"}, "landmark_id 'x7' is no number"),
        ({"landmark_id": "2"}, "landmark_id '2' stands on line 2 already"),
        ({"stratum": "name differs, below 0.5"}, "its labels and score say 'name differs, from 0.9'"),
        ({"score": "sure"}, "score 'sure' is no number from 0 to 1"),
        ({"score": "nan"}, "score 'nan' is no number from 0 to 1"),
        ({"published": "lakes"}, "published 'lakes' is none of the labels"),
        ({"verdict": "mine"}, "verdict 'mine'; expected one of theirs, both"),
        ({"blind": ""}, "blind ''; expected one of"),
        ({"blind": "theirs"}, "verdict 'ours' after 'theirs'"),
        ({"right": "river"}, "right 'river'; expected a third label, and the verdict 'neither'"),
        ({"verdict": "neither", "right": "dam"}, "right 'dam'; expected a third label"),
        ({"reason": " "}, "a reason and decided_by are needed"),
        ({"decided_by": ""}, "a reason and decided_by are needed"),
    ],
)
def test_a_row_that_is_not_sound_is_named_with_its_line(
    tmp_path: Path, change: dict[str, str], message: str
) -> None:
    path = write(tmp_path / "review.csv", [judged(1, "dam", "ours"), judged(2, "dam", "both")], **change)
    with pytest.raises(HgldError) as error:
        read_review(path, LABELS)
    assert message in str(error.value)
    assert f"{path}:{3 if change.get('landmark_id') == '2' else 2}: " in str(error.value)


def test_ours_cannot_win_where_it_is_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "review.csv", [judged(1, "lake", "ours")])
    with pytest.raises(HgldError, match="verdict 'ours' where both have the same label"):
        read_review(path, LABELS)


def test_rows_are_kept_sorted(tmp_path: Path) -> None:
    path = write(tmp_path / "review.csv", [judged(10, "dam", "both"), judged(9, "dam", "both")])
    with pytest.raises(HgldError, match="not sorted by stratum and landmark_id"):
        read_review(path, LABELS)


def test_a_long_list_of_faults_is_cut(tmp_path: Path) -> None:
    reviewed = [replace(judged(n, "dam", "both"), reason="") for n in range(30)]
    with pytest.raises(HgldError, match="30 fault") as error:
        read_review(write(tmp_path / "review.csv", reviewed), LABELS)
    assert "... and 10 more" in str(error.value)
