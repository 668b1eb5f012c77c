"""Real input: landmarks with published labels, real facts of Wikidata, a real SPARQL server, the real commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation.tables import read_csv
from hgld.hierarchy.comparison.agreement import compare_files
from hgld.pipeline.commands.assign import COLUMNS, EVIDENCE
from hgld.pipeline.sparql.oxigraph import serving
from tests.paths import SHARED

DATA = SHARED
CROSSWALK = DATA / "gldv2" / "crosswalk_wikidata.csv"

pytestmark = pytest.mark.skipif(
    not CROSSWALK.is_file(), reason="the real data (../shared/data) are not beside this checkout"
)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    out = tmp_path_factory.mktemp("crosswalk") / "labels.csv"
    with serving([DATA / "wikidata"]) as endpoint:
        done = CliRunner().invoke(main, ["assign", str(CROSSWALK), "--endpoint", endpoint, "-o", str(out)])
    assert done.exit_code == 0, done.output
    yield out


def test_the_published_labels_agree(labels: Path) -> None:
    result = compare_files(labels, CROSSWALK)
    assert result.share_of_reference.total >= 50
    assert result.share_of_reference.share >= 0.95, result.text()


def test_every_category_leads_to_the_item_that_the_crosswalk_names(labels: Path) -> None:
    found = read_csv(labels, COLUMNS + EVIDENCE).set_index("landmark_id")["qid"]
    known = read_csv(CROSSWALK, ["landmark_id", "category", "qid"], extra=True).set_index("landmark_id")[
        "qid"
    ]
    assert found.to_dict() == known.to_dict()


def test_the_report_has_the_empty_ones_apart(labels: Path) -> None:
    done = CliRunner().invoke(main, ["compare", str(labels), str(CROSSWALK)])
    assert done.exit_code == 0
    assert "reference only" in done.output
