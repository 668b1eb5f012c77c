"""`hgld check`: the class graph is that of the stage, else that of the profile's facts, else there is none."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params, load_params
from hgld.foundation.tables import write_parquet
from hgld.hierarchy.curation.verdict import Verdict
from hgld.hierarchy.curation.verdicts import append_verdict, load_verdicts
from hgld.pipeline.commands.check import CheckResult, check, class_snapshot
from hgld.pipeline.stages import check as check_stage
from tests.paths import ROOT

REVIEW = Path("review")


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The sample's settings in an empty folder, with a copy of the curated files and of the facts."""
    shutil.copytree(ROOT / "hierarchy/curated", tmp_path / "hierarchy/curated")
    facts = tmp_path / "sources" / "sample" / "wikidata"
    facts.mkdir(parents=True)
    shutil.copy(ROOT / "sources" / "sample" / "wikidata" / "facts.ttl", facts)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return load_params(profile="sample")


def test_the_tables_of_the_stage_take_precedence_over_the_facts(params: Params) -> None:
    source, snapshot = class_snapshot(params)
    assert source == "sources/sample/wikidata"
    assert snapshot is not None
    assert {"Q16970", "Q23397"} <= snapshot.used
    assert snapshot.names["Q16970"] == "church building"
    folder = params.data / "wikidata"
    write_parquet(pd.DataFrame({"qid": ["Q1"], "class": ["Q2"]}), folder / "item_classes.parquet")
    write_parquet(pd.DataFrame({"child": ["Q2"], "parent": ["Q23397"]}), folder / "class_edges.parquet")
    write_parquet(pd.DataFrame({"qid": ["Q2"], "label": ["pond"]}), folder / "class_labels.parquet")
    source, snapshot = class_snapshot(params)
    assert source == "data/sample/wikidata"
    assert snapshot is not None
    assert snapshot.used == {"Q2"}
    assert "taxonomy.csv: 1 used" in check(params, REVIEW).report


def test_a_missing_class_graph_is_reported(params: Params) -> None:
    shutil.rmtree("sources")
    assert check(params, REVIEW) == CheckResult(
        [], "No class graph to check the rows against; to get one, run: dvc repro wikidata"
    )


def test_strict_reports_rows_without_effect_as_problems(params: Params) -> None:
    assert check(params, REVIEW).problems == []
    problems = check(params, REVIEW, strict=True).problems
    assert any("is not in the class graph" in text for text in problems)


def test_an_unreadable_file_of_facts_is_named(params: Params) -> None:
    Path("sources/sample/wikidata/facts.ttl").write_text("<a> <b> .\n", encoding="utf-8")
    with pytest.raises(HgldError, match=r"facts\.ttl: not RDF"):
        check(params, REVIEW)


def _metadata(params: Params, category: str) -> None:
    for split in ("train", "index"):
        table = pd.DataFrame({"landmark_id": ["7"], "category": [category]})
        write_parquet(table, params.data / "metadata" / f"{split}_label_to_category.parquet")


def test_verdict_on_a_category_that_does_not_exist_is_a_problem(params: Params) -> None:
    verdict = Verdict("Red Chapell", "church", "", "", "", "ana", "2026-01-03", "", "sample")
    append_verdict(REVIEW, verdict)
    note = "review/ana.csv: 1 row of profile sample, whose metadata is not here: the categories are not checked"
    assert check(params, REVIEW).report.startswith(note)
    _metadata(params, "http://commons.wikimedia.org/wiki/Category:Red_Chapel")
    assert check(params, REVIEW).problems == [
        "review/ana.csv:2: the verdict has no effect: no category 'Red Chapell' in the metadata of sample; "
        "did you mean 'Red Chapel'?"
    ]


def test_profiles_of_verdicts_exist(params: Params) -> None:
    append_verdict(REVIEW, Verdict("Red Chapel", "church", "", "", "", "ana", "2026-01-03", "", "smaple"))
    release = params.release.model_copy(update={"verdicts_from": ["gdlv2"]})
    assert check(params.model_copy(update={"release": release}), REVIEW).problems == [
        "params.yaml: sample.release.verdicts_from: no profile 'gdlv2'; did you mean 'gldv2'?",
        "review/ana.csv:2: the verdict does not count: no profile 'smaple' in params.yaml; did you mean 'sample'?",
    ]


@pytest.mark.usefixtures("params")
def test_fix_puts_rows_in_order_and_names_what_it_changed() -> None:
    path = Path("hierarchy/curated/taxonomy.csv")
    before = path.read_text(encoding="utf-8")
    lines = before.splitlines(keepends=True)
    lines.insert(400, lines.pop(3))
    path.write_text("".join(lines), encoding="utf-8")
    done = CliRunner().invoke(main, ["check"])
    assert done.exit_code == 1
    assert "taxonomy.csv:401: out of order: it belongs after line 3; sort the rows: hgld check --fix" in done.output
    done = CliRunner().invoke(main, ["check", "--fix"])
    assert (done.exit_code, done.output.splitlines()[0]) == (0, f"{path}: sorted")
    assert path.read_text(encoding="utf-8") == before
    assert CliRunner().invoke(main, ["check", "--fix"]).output.startswith("All files are in order.")


def test_verdicts_of_a_time_to_come_are_problems(params: Params) -> None:
    append_verdict(REVIEW, Verdict("Red Chapel", "church", "", "", "", "ana", "2098-01-03", "", "sample"))
    (problem,) = check(params, REVIEW).problems
    assert problem.startswith("review/ana.csv:2: decided_on 2098-01-03 is in the future")


@pytest.mark.usefixtures("params")
def test_rename_corrects_the_verdicts_on_a_label_that_the_taxonomy_renamed() -> None:
    """The old name stops the stages, and says how to go on; no verdict on another label is changed."""
    rows = [("Red Chapel", "kirk", "kirk"), ("Blue Lake", "lake", "kirk"), ("Rock", "", "lake")]
    for category, label, suggested in rows:
        append_verdict(
            REVIEW, Verdict(category, label, suggested, "clip", "0.5", "ana", "2026-01-03", "a, b", "sample")
        )
    before = (REVIEW / "ana.csv").read_text()
    with pytest.raises(HgldError) as caught:
        load_verdicts(REVIEW, ["church", "lake"])
    assert caught.value.args[1:] == (
        "review/ana.csv:2: unknown label 'kirk'",
        "After a label was renamed in the taxonomy, correct its verdicts with: hgld check --rename OLD=NEW",
    )
    done = CliRunner().invoke(main, ["check"])
    assert (done.exit_code, done.output.splitlines()) == (1, ["Error: 1 problem(s)", *caught.value.args[1:]])
    for wrong, message in (
        ("church=lake", "'church' is a label"), ("kirk=chruch", "did you mean 'church'?"), ("kirk", "expected OLD=NEW"),
        ("=church", "expected OLD=NEW"),
    ):  # fmt: skip
        done = CliRunner().invoke(main, ["check", "--rename", wrong])
        assert (done.exit_code, message in done.output) == (1, True)
        assert (REVIEW / "ana.csv").read_text() == before
    done = CliRunner().invoke(main, ["check", "--rename", "kirk=church"])
    assert (done.exit_code, done.output.splitlines()[0]) == (0, "review/ana.csv: 'kirk' is now 'church'")
    assert (REVIEW / "ana.csv").read_text() == before.replace("kirk", "church")


@pytest.mark.usefixtures("params")
def test_rename_names_the_rows_that_it_cannot_read_and_changes_nothing() -> None:
    """It said that no verdict says so, and `hgld check` that one does: a circle."""
    append_verdict(REVIEW, Verdict("Red Chapel", "kirk", "", "", "", "ana", "2026-01-03"))
    append_verdict(REVIEW, Verdict("Red Chapel", "kirk", "", "", "", "bob", "2026-01-03"))
    (REVIEW / "Eve.csv").write_text((REVIEW / "bob.csv").read_text())
    with (REVIEW / "ana.csv").open("a") as file:
        file.write("Blue Lake,kirk\nRock,kirk,,,,ana,tomorrow,,\n")
    before = {path.name: path.read_text() for path in REVIEW.iterdir()}
    done = CliRunner().invoke(main, ["check", "--rename", "kirk=church"])
    first, *problems = done.output.splitlines()
    assert done.exit_code == 1 and "nothing was renamed: 3 row(s) or file(s)" in first and "correct them first" in first
    assert [line.split(": ")[0] for line in problems] == ["review/Eve.csv", "review/ana.csv:3", "review/ana.csv:4"]
    assert {path.name: path.read_text() for path in REVIEW.iterdir()} == before


@pytest.mark.parametrize(("profile", "time", "source", "message"), [
    ("smaple", "2026-01-03", [], "no profile 'smaple' in params.yaml; did you mean 'sample'?"),
    ("sample", "2098-01-03", [], "review/ana.csv:2: decided_on 2098-01-03 is in the future"),
    ("sample", "2026-01-03", ["gdlv2"], "verdicts_from: no profile 'gdlv2'; did you mean 'gldv2'?"),
])  # fmt: skip
def test_the_first_stage_refuses_what_the_command_refuses_before_there_are_results(
    params: Params, profile: str, time: str, source: list[str], message: str
) -> None:
    append_verdict(REVIEW, Verdict("Red Chapel", "church", "", "", "", "ana", time, "", profile))
    release = params.release.model_copy(update={"verdicts_from": source})
    params = params.model_copy(update={"release": release})
    with pytest.raises(HgldError, match=re.escape(message)) as caught:
        check_stage.run(params, [])
    assert list(caught.value.args[1:]) == check(params, REVIEW).problems
    assert not (params.data / "check" / "valid.json").exists()


@pytest.mark.usefixtures("params")
def test_the_command_checks_curated_files_and_settings() -> None:
    done = CliRunner().invoke(main, ["check"])
    assert done.exit_code == 0, done.output
    assert "The curated files are valid." in done.output
    assert "Against the class graph of sources/sample/wikidata" in done.output
    text = Path("params.yaml").read_text(encoding="utf-8").replace("name: sup_hap,", "name: sup_hpa,")
    Path("params.yaml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(main, ["check"])
    assert done.exit_code == 1
    assert "2 problem(s)" in done.output  # one in each profile
    assert "gldv2: train.loss: unknown loss 'sup_hpa'; did you mean 'sup_hap'?" in done.output
