"""`hgld check` as a command: the class graph is the built one, else that of the profile's facts, else none."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params, load_params
from hgld.foundation.tables import write_parquet
from hgld.pipeline.commands.check import class_snapshot, curated
from tests.paths import ROOT


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The sample's settings in an empty folder, with a copy of the curated files and of the facts."""
    for path in (ROOT / "hierarchy/curated").glob("*.csv"):
        (tmp_path / "hierarchy").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "hierarchy")
    facts = tmp_path / "sources" / "sample" / "wikidata"
    facts.mkdir(parents=True)
    shutil.copy(ROOT / "sources" / "sample" / "wikidata" / "facts.ttl", facts)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return load_params(profile="sample")


def test_the_facts_serve_until_the_stage_has_run(params: Params) -> None:
    found = class_snapshot(params)
    assert found is not None
    assert found[1] == "sources/sample/wikidata"
    assert {"Q16970", "Q23397"} <= found[0].used
    assert found[0].names["Q16970"] == "church building"
    folder = params.data / "wikidata"
    write_parquet(pd.DataFrame({"qid": ["Q1"], "class": ["Q2"]}), folder / "item_classes.parquet")
    write_parquet(pd.DataFrame({"child": ["Q2"], "parent": ["Q23397"]}), folder / "class_edges.parquet")
    write_parquet(pd.DataFrame({"qid": ["Q2"], "label": ["pond"]}), folder / "class_labels.parquet")
    found = class_snapshot(params)
    assert found is not None
    assert (found[0].used, found[1]) == ({"Q2"}, "data/sample/wikidata")
    text = curated(params, Path("review"))[1]
    assert "taxonomy.csv: 1 used" in text


def test_without_a_class_graph_it_says_so(params: Params) -> None:
    shutil.rmtree("sources")
    assert curated(params, Path("review")) == (
        [],
        "No class graph at hand (dvc repro wikidata makes one): rows were not held against it.",
    )


def test_strict_takes_rows_without_use_for_mistakes(params: Params) -> None:
    assert curated(params, Path("review"))[0] == []
    problems = curated(params, Path("review"), strict=True)[0]
    assert any("is not in the class graph" in text for text in problems)


def test_broken_facts_are_named(params: Params) -> None:
    Path("sources/sample/wikidata/facts.ttl").write_text("<a> <b> .\n", encoding="utf-8")
    with pytest.raises(HgldError, match=r"facts\.ttl: not RDF"):
        curated(params, Path("review"))


@pytest.mark.usefixtures("params")
def test_the_command() -> None:
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
