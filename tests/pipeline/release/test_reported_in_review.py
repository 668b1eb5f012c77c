"""A report on the way through the tools: check, queue, review, and the verdict that answers it."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hgld.cli import main
from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv
from hgld.hierarchy.curation.errata import FILE
from hgld.hierarchy.curation.verdict import Verdict, utc_now
from hgld.hierarchy.curation.verdicts import append_verdict, load_verdicts, read_verdicts
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.review.queue_items import open_items
from hgld.pipeline.stages import queue, release
from hgld.pipeline.stages.queue import COLUMNS
from tests.paths import ROOT

REVIEW = Path("review")
LABELS = list(load_taxonomy(ROOT / "hierarchy/curated").natures)


@pytest.fixture
def reported(proposed):
    """The world in which Blue Lake was judged, and then reported."""
    shutil.copy(ROOT / "params.yaml", proposed.folder)
    append_verdict(REVIEW, Verdict("Blue Lake", "lake", "lake", "wikidata", "", "ana", "2026-01-03"))
    done = _hgld("report", "Blue Lake", "it is a river", "--by", "Zoe")
    assert done.exit_code == 0, done.output
    return proposed


def _hgld(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def _open(world, annotator: str = "ana") -> list[str]:
    return [item.category for item in open_items(world.params, REVIEW, LABELS, annotator)]


def test_reports_are_no_verdicts(reported) -> None:
    files = read_verdicts(REVIEW, LABELS)
    assert (files.problems, files.not_read, len(files.rows)) == ([], [], 1)
    assert len(load_verdicts(REVIEW, LABELS)) == 1
    with pytest.raises(HgldError, match=r"annotator 'errata': errata\.csv is another file of that folder"):
        append_verdict(REVIEW, Verdict("Blue Lake", "lake", "", "", "", "errata", utc_now()))


def test_a_report_leads_the_queue_until_a_newer_verdict(reported) -> None:
    queue.run(reported.params)
    first = read_csv(reported.data / "queue" / "queue.csv", COLUMNS).iloc[0]
    assert (first["category"], first["reason"]) == ("Blue Lake", "reported")
    assert "by Zoe: it is a river; ana said lake on 2026-01-03" in first["evidence"]
    assert _open(reported)[0] == _open(reported, "bob")[0] == "Blue Lake"
    append_verdict(REVIEW, Verdict("Blue Lake", "river", "lake", "wikidata", "", "ana", utc_now()))
    assert "Blue Lake" not in _open(reported)
    queue.run(reported.params)
    assert "Blue Lake" not in set(read_csv(reported.data / "queue" / "queue.csv", COLUMNS)["category"])
    release.run(reported.params)
    table = read_csv(reported.data / "release/train_label_to_hierarchical.csv", [], extra=True)
    assert table.set_index("landmark_id").loc["12", "hierarchical_label"] == "river"


def test_a_decision_of_a_maintainer_ends_it(reported) -> None:
    path = REVIEW / FILE
    path.write_text(path.read_text().replace(",open,", ",rejected,"))
    queue.run(reported.params)
    assert "reported" not in set(read_csv(reported.data / "queue" / "queue.csv", COLUMNS)["reason"])


def test_check_names_faults_with_their_line_and_counts_open_reports(reported, monkeypatch: pytest.MonkeyPatch) -> None:
    params = (ROOT / "params.yaml").read_text().replace("hierarchy/curated", str(ROOT / "hierarchy/curated"))
    Path("params.yaml").write_text(params)
    done = _hgld("check")
    assert done.exit_code == 0, done.output
    assert "errata.csv: 1 open report; hgld review asks about them first" in done.output
    with (REVIEW / FILE).open("a") as handle:
        handle.write("Blue Lake,x,,2026-01-03,opne,\nBlue Lakke,x,,2026-01-03,open,\n")
    done = _hgld("check")
    assert done.exit_code == 1
    assert "review/errata.csv:3: status 'opne' is none of open, accepted, rejected; did you mean 'open'?" in done.output
    assert "review/errata.csv:4: the report has no effect: no category 'Blue Lakke'" in done.output
    done = _hgld("check", "--inputs")
    assert done.exit_code == 1 and "review/errata.csv:3: status 'opne'" in done.output
    with pytest.raises(HgldError, match=r"review/errata\.csv:3: status 'opne'"):
        queue.run(reported.params)


def test_fix_and_rename_leave_the_reports_as_they_are(reported) -> None:
    params = (ROOT / "params.yaml").read_text().replace("hierarchy/curated", str(ROOT / "hierarchy/curated"))
    Path("params.yaml").write_text(params)
    before = (REVIEW / FILE).read_bytes()
    assert _hgld("check", "--fix").exit_code == 0
    done = _hgld("check", "--rename", "no such label=lake")
    assert done.exit_code == 0, done.output
    assert (REVIEW / FILE).read_bytes() == before
