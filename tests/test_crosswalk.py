"""The commands on real data: landmarks with published labels, frozen Wikidata statements, a real SPARQL server."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation.tables import read_csv
from hgld.hierarchy.comparison.agreement import compare_labels, read_pair
from hgld.pipeline.commands.assign import COLUMNS, EVIDENCE
from hgld.pipeline.sparql.oxigraph import serving
from tests.paths import SHARED

CROSSWALK = SHARED / "gldv2" / "crosswalk_wikidata.csv"

pytestmark = pytest.mark.skipif(not CROSSWALK.is_file(), reason="../shared/data is not beside this checkout")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serving([SHARED / "wikidata"]) as url:
        yield url


def assign(landmarks: Path, endpoint: str, out: Path) -> Path:
    done = CliRunner().invoke(main, ["assign", str(landmarks), "--endpoint", endpoint, "-o", str(out)])
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def labels(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assign(CROSSWALK, endpoint, tmp_path_factory.mktemp("crosswalk") / "labels.csv")


def test_labels_agree_with_the_published_ones(labels: Path) -> None:
    result = compare_labels(*read_pair(labels, CROSSWALK))
    assert result.share_of_reference.total >= 50
    assert result.share_of_reference.fraction >= 0.95, result.text()


def test_every_category_resolves_to_the_item_of_the_crosswalk(labels: Path) -> None:
    resolved = read_csv(labels, COLUMNS + EVIDENCE).set_index("landmark_id")["qid"]
    known = read_csv(CROSSWALK, ["landmark_id", "category", "qid"], extra=True).set_index("landmark_id")["qid"]
    assert resolved.to_dict() == known.to_dict()


def test_the_report_counts_unlabelled_landmarks_separately(labels: Path) -> None:
    done = CliRunner().invoke(main, ["compare", str(labels), str(CROSSWALK)])
    assert done.exit_code == 0
    assert "reference only" in done.output


# Category → its label; the classes of all are below an ignored class.
BELOW_IGNORED = {
    "Lviv": "city",
    "Addu Atoll": "island",
    "Arabian Peninsula": "island",  # a cultural region, too
    "Born Centre Cultural": "museum",
    "Amazon Basin": "river",
    "Canton City": "city",
    "Acadia Parish, Louisiana": "",
    "1929 Academy Awards": "",
    "Eastern Front (World War II)": "",
    "Golden Lion": "",
    "Denmark": "",
    "Asia": "",
    "Russian Orthodox Church": "",
}


def test_an_ignored_class_above_silences_only_names_that_are_not_clear(endpoint: str, tmp_path: Path) -> None:
    with (tmp_path / "in.csv").open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([["landmark_id", "category"], *((name, name) for name in BELOW_IGNORED)])
    table = read_csv(assign(tmp_path / "in.csv", endpoint, tmp_path / "out.csv"), COLUMNS + EVIDENCE)
    assert "" not in set(table["qid"])
    assert dict(zip(table["landmark_id"], table["hierarchical_label"], strict=True)) == BELOW_IGNORED
