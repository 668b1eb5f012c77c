"""The commands on real data: landmarks with published labels, frozen Wikidata statements, a real SPARQL server."""

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
def labels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    out = tmp_path_factory.mktemp("crosswalk") / "labels.csv"
    with serving([SHARED / "wikidata"]) as endpoint:
        done = CliRunner().invoke(main, ["assign", str(CROSSWALK), "--endpoint", endpoint, "-o", str(out)])
    assert done.exit_code == 0, done.output
    yield out


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
