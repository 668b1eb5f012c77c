"""A reviewed sample: its estimates where the answer is known, and the rows that are refused."""

from dataclasses import astuple, replace
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import write_csv
from hgld.hierarchy.comparison.published_noise import (
    ARGUABLE,
    COLUMNS,
    WRONG,
    ReviewedLandmark,
    SampledLandmark,
    read_review,
    verdict_fraction,
)

LABELS = {"lake", "dam", "river", "church"}
SIZES = {"name differs, from 0.9": 100, "name agrees, from 0.9": 900}


def reviewed_landmark(key: int, ours: str, verdict: str, score: str = "0.9500", right: str = "") -> ReviewedLandmark:
    return ReviewedLandmark(
        str(key), f"Place {key}", "lake", ours, score, "dam", verdict, verdict, right, "a reason", "ana"
    )


def rows(differing: list[str], agreeing: list[str]) -> list[ReviewedLandmark]:
    different = [reviewed_landmark(n, "dam", verdict) for n, verdict in enumerate(differing)]
    return different + [reviewed_landmark(100 + n, "lake", verdict) for n, verdict in enumerate(agreeing)]


def write(path: Path, table: list[ReviewedLandmark], **changes: str) -> Path:
    frame = pd.DataFrame([[row.stratum, *astuple(row)] for row in table], columns=COLUMNS)
    for name, value in changes.items():
        frame.loc[0, name] = value
    write_csv(frame, path)
    return path


def test_strata_are_weighted_by_their_size() -> None:
    reviewed = rows(["ours", "neither", "both", "theirs"], ["theirs"] * 9 + ["both"])
    assert verdict_fraction(reviewed, WRONG, SIZES).fraction == pytest.approx(0.1 * 2 / 4)
    assert verdict_fraction(reviewed, ARGUABLE, SIZES).fraction == pytest.approx(0.1 * 3 / 4 + 0.9 * 1 / 10)


def test_unknown_verdicts_are_left_out_or_bound_the_fraction() -> None:
    reviewed = rows(["ours", "unknown", "theirs", "theirs"], ["theirs"] * 8 + ["unknown"] * 2)
    options: tuple[Literal["miss", "left out", "hit"], ...] = ("miss", "left out", "hit")
    fractions = [verdict_fraction(reviewed, WRONG, SIZES, unknown).fraction for unknown in options]
    assert fractions == pytest.approx([0.1 / 4, 0.1 / 3, 0.1 * 2 / 4 + 0.9 * 2 / 10])


def test_strata_without_rows_are_not_in_the_population() -> None:
    reviewed = rows(["ours", "theirs"], ["theirs"] * 5)
    assert verdict_fraction(reviewed[:2], WRONG, SIZES).fraction == pytest.approx(0.5)


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
def test_stratum_follows_from_labels_and_score(ours: str, score: str, stratum: str) -> None:
    assert SampledLandmark("1", "Place", "lake", ours, score, "dam").stratum == stratum


def test_review_round_trip(tmp_path: Path) -> None:
    reviewed = sorted(
        [
            reviewed_landmark(7, "dam", "neither", right="river"),
            reviewed_landmark(10, "dam", "both"),
            reviewed_landmark(2, "lake", "theirs", ""),
        ],
        key=lambda row: row.sort_key,
    )
    assert read_review(write(tmp_path / "review.csv", reviewed), LABELS) == reviewed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"landmark_id": "x7"}, "landmark_id 'x7' is not a number"),
        ({"landmark_id": "2"}, "duplicate landmark_id '2', first on line 2"),
        ({"stratum": "name differs, below 0.5"}, "its labels and score give 'name differs, from 0.9'"),
        ({"score": "sure"}, "score 'sure' is not a number from 0 to 1"),
        ({"score": "nan"}, "score 'nan' is not a number from 0 to 1"),
        ({"published": "lakes"}, "published 'lakes' is not a known label"),
        ({"verdict": "mine"}, "verdict 'mine'; expected one of theirs, both"),
        ({"blind": ""}, "blind ''; expected one of"),
        ({"blind": "theirs"}, "verdict 'ours' after blind 'theirs'"),
        ({"right": "river"}, "right 'river'; expected a third label, and the verdict 'neither'"),
        ({"verdict": "neither", "right": "dam"}, "right 'dam'; expected a third label"),
        ({"reason": " "}, "reason or decided_by is empty"),
        ({"decided_by": ""}, "reason or decided_by is empty"),
    ],
)
def test_invalid_row_is_reported_with_its_line(tmp_path: Path, change: dict[str, str], message: str) -> None:
    path = write(
        tmp_path / "review.csv",
        [reviewed_landmark(1, "dam", "ours"), reviewed_landmark(2, "dam", "both")],
        **change,
    )
    with pytest.raises(HgldError) as error:
        read_review(path, LABELS)
    assert message in str(error.value)
    assert f"{path}:{3 if change.get('landmark_id') == '2' else 2}: " in str(error.value)


def test_ours_cannot_win_with_the_same_label(tmp_path: Path) -> None:
    path = write(tmp_path / "review.csv", [reviewed_landmark(1, "lake", "ours")])
    with pytest.raises(HgldError, match="verdict 'ours' where both have the same label"):
        read_review(path, LABELS)


def test_unsorted_rows_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "review.csv", [reviewed_landmark(10, "dam", "both"), reviewed_landmark(9, "dam", "both")])
    with pytest.raises(HgldError, match="not sorted by stratum and landmark_id"):
        read_review(path, LABELS)


def test_long_list_of_problems_is_shortened(tmp_path: Path) -> None:
    reviewed = [replace(reviewed_landmark(n, "dam", "both"), reason="") for n in range(30)]
    with pytest.raises(HgldError, match="30 problem") as error:
        read_review(write(tmp_path / "review.csv", reviewed), LABELS)
    assert "... and 10 more" in str(error.value)
