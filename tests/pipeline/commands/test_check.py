"""`hgld check`: the class graph is that of the stage, else that of the profile's facts, else there is none."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params, load_params
from hgld.foundation.tables import write_parquet
from hgld.pipeline.commands.check import CheckResult, check, class_snapshot
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
