"""The noise of the published labels: documents state what the script computes, and the sample is the drawn one."""

import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv, write_csv
from hgld.hierarchy.comparison.published_noise import ReviewedLandmark, read_review
from tests.paths import PUBLISHED_LABELS, ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def noise() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "published_noise.py"))


@pytest.fixture
def drawing() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "published_sample.py"))


@pytest.fixture(scope="module")
def rows(noise: dict[str, Any]) -> list[ReviewedLandmark]:
    reviewed: list[ReviewedLandmark] = noise["reviewed"]()
    return reviewed


def words(path: Path) -> str:
    return " ".join(path.read_text(encoding="utf-8").split())


def test_page_has_the_tables_of_the_script(noise: dict[str, Any], rows: list[ReviewedLandmark]) -> None:
    committed = (DOCS / "published_noise.md").read_text(encoding="utf-8")
    assert noise["page"](committed, rows) == committed, "run: python -m docs.published_noise"


@pytest.mark.parametrize("document", ["README.md", "DATA_CARD.md"])
def test_documents_state_the_estimate(noise: dict[str, Any], rows: list[ReviewedLandmark], document: str) -> None:
    estimates = noise["estimates"](rows)
    stated = words(ROOT / document)
    for statement in (
        "wrong on any reading",
        "wrong as first judged, blind",
        "wrong, or another would do as well",
    ):
        assert estimates[statement] in stated, f"{document}: no '{statement}': {estimates[statement]}"
    assert f"{len(rows)} " in stated
    assert "python -m docs.published_noise" in stated


def test_page_states_the_counts(noise: dict[str, Any], rows: list[ReviewedLandmark]) -> None:
    stated = words(DOCS / "published_noise.md")
    differing = sum(row.ours != row.published for row in rows)
    assert f"made from {len(rows)} landmarks" in stated and f"among them {differing} for which" in stated
    assert f"{sum(size for size, _ in noise['strata']().values()):,} published train landmarks" in stated
    assert differing >= 100 and len(rows) - differing >= 50


def test_all_drawn_landmarks_of_each_stratum_are_reviewed(noise: dict[str, Any], rows: list[ReviewedLandmark]) -> None:
    drawn = {name: drawn for name, (_, drawn) in noise["strata"]().items()}
    assert Counter(row.stratum for row in rows) == drawn


def test_examples_on_the_page_have_their_published_labels(rows: list[ReviewedLandmark]) -> None:
    published = {row.category: row.published for row in rows}
    for name, label in {
        "Hněvkovice Reservoir": "dam", "Hostivař Reservoir": "lake", "Volcan Osorno": "mountain",
        "Mount Pelée": "volcano", "Neue Hungerburgbahn": "rail transportation",
        "Gelmerbahn": "cable transportation", "Burgruine Reifnitz": "ruins",
        "Burgruine Wolkenstein": "castle / fort", "Bronnbach Abbey": "monastery", "Abbey, Middelburg": "church",
    }.items():  # fmt: skip
        assert published[name] == label


@pytest.mark.skipif(
    not PUBLISHED_LABELS.is_file(),
    reason="the published labels (../shared/data) are not beside this checkout",
)
def test_reviewed_landmarks_are_the_ones_drawn(drawing: dict[str, Any], rows: list[ReviewedLandmark]) -> None:
    assert drawing["redraw"]().startswith(f"the {len(rows)} reviewed landmarks are the ones drawn")
    known = drawing["published"]()
    published = dict(zip(known["landmark_id"], zip(known["name"], known["label"], strict=True), strict=True))
    frame = drawing["frame"]()
    for row in rows:
        assert published[row.landmark_id] == (row.category, row.published)
        assert frame[row.landmark_id] == row.stratum


def test_reviewed_row_that_was_not_drawn_is_reported(drawing: dict[str, Any], rows: list[ReviewedLandmark]) -> None:
    frame = {row.landmark_id: row.stratum for row in rows[:-1]} | {"1": rows[-1].stratum}
    # replaces the function in the script's globals
    drawing["redraw"].__globals__["frame"] = lambda: frame
    with pytest.raises(HgldError) as error:
        drawing["redraw"]()
    assert "1 drawn and not reviewed, 1 reviewed and not drawn" in str(error.value)
    assert "200 landmarks in 'name agrees, from 0.9', 4825 in published_noise_strata.csv" in str(error.value)


def test_frame_has_the_stratum_sizes_of_the_estimate(
    drawing: dict[str, Any],
) -> None:
    letters = Counter("".join(drawing["FRAME"].read_text(encoding="utf-8").split()))
    table = drawing["strata"]()
    assert letters == dict(zip(table["letter"], table["landmarks"], strict=True))


def test_sheet_is_blind_and_converts_to_the_same_verdicts(
    drawing: dict[str, Any], rows: list[ReviewedLandmark], tmp_path: Path
) -> None:
    drawing["sheet"](tmp_path / "sheet.csv")
    table = read_csv(tmp_path / "sheet.csv", drawing["SHEET"])
    by_id = {row.landmark_id: row for row in rows}
    first = [by_id[row["landmark_id"]].published == row["a"] for _, row in table.iterrows()]
    assert 0.4 < sum(first) / len(first) < 0.6, "the published label should be first in about half of the rows"
    same = [by_id[key].ours == by_id[key].published for key in table["landmark_id"]]
    assert 0.4 < sum(same[:330]) / sum(same) < 0.6, "agreements and differences should be mixed"
    for n, key in enumerate(table["landmark_id"]):
        row = by_id[key]
        chosen = {"theirs": row.published, "ours": row.ours}.get(row.blind)
        pair = {table.at[n, "a"]: "a", table.at[n, "b"]: "b"}
        table.at[n, "choice"] = pair[chosen] if chosen else row.blind
        table.at[n, "reason"] = row.reason
    write_csv(table, tmp_path / "filled.csv")
    message = drawing["enter"](tmp_path / "filled.csv", "ana", tmp_path / "review.csv")
    assert "the same blind verdict in 100.0%" in message and "kappa 1.00" in message
    review = read_review(tmp_path / "review.csv", drawing["labels"]())
    assert [(row.landmark_id, row.blind) for row in review] == [(row.landmark_id, row.blind) for row in rows]
    assert {row.decided_by for row in review} == {"ana"}


def test_sheet_with_other_landmarks_is_refused(drawing: dict[str, Any], tmp_path: Path) -> None:
    drawing["sheet"](tmp_path / "sheet.csv")
    write_csv(read_csv(tmp_path / "sheet.csv", drawing["SHEET"])[1:], tmp_path / "short.csv")
    with pytest.raises(HgldError, match="its landmarks are not those of the sample"):
        drawing["enter"](tmp_path / "short.csv", "ana", tmp_path / "review.csv")
