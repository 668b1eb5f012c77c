"""The stage `build`: labels with their evidence, the hierarchy, and independence of row order and hash seed."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.foundation.files import sha256
from hgld.foundation.settings import load_params
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.hierarchy.curation.verdict import Verdict, utc_now
from hgld.hierarchy.curation.verdicts import append_verdict
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.stages import build as stage
from hgld.pipeline.stages import check
from hgld.pipeline.stages.build import LabelledCategories, label_categories
from hgld.pipeline.wikidata.tables import WikidataTables
from tests.paths import ROOT

TAXONOMY = load_taxonomy()


def frame(columns: str, *rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns.split()).astype(
        {name: "int64" if name == "candidates" else "str" for name in columns.split()}
    )


FACTS = WikidataTables(
    items=frame(
        "category qid method confidence candidates",
        ("Bare", "Q26", "p373", "low", 1),
        ("Hoover Dam", "Q172822", "category-item", "high", 1),
        ("Lake Garda", "Q6414", "sitelink", "high", 1),
        ("Nowhere", "", "none", "", 0),
        ("Old Fort", "Q20", "p373", "medium", 2),
        ("Old Fort", "Q21", "p373", "low", 2),
        ("Two", "Q22", "p373", "low", 2),
        ("Two", "Q23", "p373", "low", 2),
    ),
    item_classes=frame(
        "qid class",
        ("Q172822", "Q1244922"), ("Q172822", "Q15911738"), ("Q172822", "Q570116"), ("Q20", "Q1785071"),
        ("Q21", "Q33506"), ("Q22", "Q1785071"), ("Q23", "Q16970"), ("Q6414", "Q23397"),
    ),
    class_edges=frame(
        "child parent",
        ("Q12323", "Q500"), ("Q1244922", "Q12323"), ("Q15911738", "Q159719"), ("Q23397", "Q501"), ("Q500", "Q501"),
        ("Q501", "Q500"), ("Q33506", "Q570116"),
    ),
    class_labels=frame("qid label", ("Q1244922", "embankment dam"), ("Q23397", "lake"), ("Q1785071", "fort")),
)  # fmt: skip


def _write_facts(folder: Path) -> None:
    for name in ("items", "item_classes", "class_edges", "class_labels"):
        write_parquet(getattr(FACTS, name), folder / f"{name}.parquet")


def row(result: LabelledCategories, category: str) -> dict[str, object]:
    return result.labels.set_index("category").loc[category].to_dict()  # type: ignore[return-value]


def test_labels_and_their_evidence() -> None:
    result = label_categories(FACTS, TAXONOMY)
    assert list(result.labels["category"]) == [
        "Bare",
        "Hoover Dam",
        "Lake Garda",
        "Nowhere",
        "Old Fort",
        "Two",
    ]
    assert row(result, "Hoover Dam") == {
        "qid": "Q172822", "method": "category-item", "candidates": 1, "class": "Q1244922",
        "supercategory": "embankment dam", "hierarchical_label": "dam", "natural_or_human_made": "human-made",
        "path": "Q1244922", "note": "",
    }  # fmt: skip
    assert row(result, "Old Fort")["hierarchical_label"] == "castle / fort"
    assert row(result, "Old Fort")["note"] == "2 candidates; 1 of confidence 'medium' agree"
    assert row(result, "Two")["hierarchical_label"] == row(result, "Two")["qid"] == ""
    assert row(result, "Two")["note"] == "ambiguous: Q22 castle / fort, Q23 church"
    assert row(result, "Bare")["note"] == "the item has no class"
    assert row(result, "Nowhere")["note"] == "no item found"
    assert row(result, "Nowhere")["method"] == "none"


def test_every_considered_class_has_its_outcome() -> None:
    considered = label_categories(FACTS, TAXONOMY).considered
    rows = considered[considered["category"] == "Hoover Dam"]
    assert list(rows[["class", "outcome", "hierarchical_label", "path"]].itertuples(index=False, name=None)) == [
        ("Q570116", "ignored", "", ""),
        ("Q1244922", "decides", "dam", "Q1244922"),
        ("Q15911738", "outranked", "power plant", "Q15911738"),
    ]
    assert list(considered.loc[considered["category"] == "Old Fort", "qid"]) == ["Q20", "Q21"]
    assert "Nowhere" not in set(considered["category"])


def test_removed_edges_have_their_reason() -> None:
    result = label_categories(FACTS, TAXONOMY)
    cut = {(a, b): reason for a, b, reason in result.removed_edges.itertuples(index=False, name=None)}
    assert cut.keys() == {("Q500", "Q501"), ("Q33506", "Q570116")}
    assert cut["Q500", "Q501"] == "cycle: of 2 classes"
    assert len(result.dag) + len(cut) == len(FACTS.class_edges)
    assert {"Q1785071", "Q570116", "Q500"} <= set(result.classes["class"])
    assert result.metrics["labelled"] == 3
    assert result.metrics["ambiguous"] == 1
    assert result.metrics["removed_edges"] == {"cycle": 1, "ignored class": 1}


def test_metrics_describe_the_hierarchy() -> None:
    metrics = label_categories(FACTS, TAXONOMY).metrics
    assert metrics["shape"] == {
        "roots": 2, "leaves": 3, "depth_max": 2, "depth_mean": 1, "branching_max": 2, "branching_mean": 1.25,
        "branching_median": 1, "share_with_several_parents": 0.0,
    }  # fmt: skip
    assert metrics["share_of_used_classes_with_label"] == 0.8571  # all but "tourist attraction"
    assert metrics["share_of_statements_with_label"] == 0.875
    assert metrics["supercategories"] == 3
    assert metrics["hierarchical_labels"] == 3


def test_a_shortcut_is_not_in_the_hierarchy_but_may_be_the_path_of_a_label() -> None:
    edges = pd.concat(
        [FACTS.class_edges, frame("child parent", ("Q700", "Q701"), ("Q701", "Q23397"), ("Q700", "Q23397"))]
    )
    classes = pd.concat([FACTS.item_classes, frame("qid class", ("Q26", "Q700"))])
    result = label_categories(WikidataTables(FACTS.items, classes, edges, FACTS.class_labels), TAXONOMY)
    assert row(result, "Bare")["path"] == "Q700>Q23397"
    assert ("Q700", "Q23397") not in set(result.dag.itertuples(index=False, name=None))
    reasons = result.removed_edges.set_index("child").loc["Q700", "reason"]
    assert reasons == "shortcut: a longer way says the same"


def test_no_items_give_zero_coverage() -> None:
    nothing = WikidataTables(
        *(table.iloc[:0] for table in (FACTS.items, FACTS.item_classes, FACTS.class_edges, FACTS.class_labels))
    )
    assert label_categories(nothing, TAXONOMY).metrics["share_labelled"] == 0.0


@settings(max_examples=15)
@given(st.randoms(use_true_random=False))
def test_output_is_independent_of_row_order(random: "st.random.Random") -> None:  # type: ignore[name-defined]
    def shuffled(table: pd.DataFrame) -> pd.DataFrame:
        return table.iloc[random.sample(range(len(table)), len(table))].reset_index(drop=True)

    facts = WikidataTables(
        *(shuffled(table) for table in (FACTS.items, FACTS.item_classes, FACTS.class_edges, FACTS.class_labels))
    )
    first, second = label_categories(FACTS, TAXONOMY), label_categories(facts, TAXONOMY)
    for name in stage.TABLES:
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name))
    assert first.metrics == second.metrics


def test_the_stage_writes_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(ROOT / "params.yaml", profile="sample")
    params = params.model_copy(
        update={"build": params.build.model_copy(update={"taxonomy": str(ROOT / "hierarchy/curated")})}
    )
    monkeypatch.chdir(tmp_path)
    _write_facts(params.data / "wikidata")
    stage.run(params)
    folder = params.data / "build"
    before = {path.name: sha256(path) for path in folder.iterdir()}
    stage.run(params)
    assert {path.name: sha256(path) for path in folder.iterdir()} == before
    assert before.keys() == {
        "labels.parquet",
        "considered.parquet",
        "classes.parquet",
        "dag.parquet",
        "removed_edges.parquet",
        "metrics.json",
    }
    assert json.loads((folder / "metrics.json").read_text())["categories"] == 6
    assert read_parquet(folder / "labels.parquet")["candidates"].dtype == "int64"


def test_an_item_that_a_verdict_rejects_gives_way_to_the_next_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the verdict file over the stage `check` to the labels; the table that `build` reads has nothing else."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", ".")
    shutil.copytree(ROOT / "hierarchy/curated", "hierarchy/curated")
    params = load_params()
    _write_facts(params.data / "wikidata")

    def labels() -> pd.DataFrame:
        check.run(params, [])
        stage.run(params)
        return read_parquet(params.data / "build" / "labels.parquet").set_index("category")

    def judge(category: str, label: str, rejected_item: str) -> None:
        verdict = Verdict(category, label, "", "", "", "ana", utc_now(), profile=params.profile)
        append_verdict(Path("review"), replace(verdict, rejected_item=rejected_item))

    assert labels().loc["Two", "note"] == "ambiguous: Q22 castle / fort, Q23 church"
    rejected = params.data / "check" / "rejected_items.csv"
    before = rejected.read_bytes()
    judge("Hoover Dam", "dam", "")
    assert labels().loc["Hoover Dam", "qid"] == "Q172822"
    assert rejected.read_bytes() == before
    judge("Two", "castle / fort", "Q23")
    judge("Hoover Dam", "dam", "Q172822")
    after = labels()
    assert tuple(after.loc["Two", ["qid", "hierarchical_label", "candidates"]]) == ("Q22", "castle / fort", 1)
    assert tuple(after.loc["Hoover Dam", ["qid", "hierarchical_label", "method"]]) == ("", "", "none")
    assert after.loc["Old Fort", "qid"] == "Q20"


SCRIPT = """
import pandas as pd
from hgld.hierarchy.curation.verdict import Verdict, utc_now
from hgld.hierarchy.curation.verdicts import append_verdict
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.stages.build import TABLES, label_categories
from hgld.pipeline.wikidata.tables import WikidataTables

taxonomy = load_taxonomy()
anchors = sorted(taxonomy.anchors)
edges = {(f"Q{10**9 + a}", f"Q{10**9 + (a * 7 + b * 11) % 300}") for a in range(300) for b in range(2)}
edges |= {(f"Q{10**9 + a}", anchors[a * 13 % len(anchors)]) for a in range(0, 300, 3)}
item_classes = {(f"Q{2 * 10**9 + a}", f"Q{10**9 + (a * b) % 300}") for a in range(200) for b in (1, 7, 19)}
items = [(f"Category {a % 150}", f"Q{2 * 10**9 + a}", "p373", "low", 1) for a in range(200)]
result = label_categories(
    WikidataTables(
        pd.DataFrame({*items}, columns=["category", "qid", "method", "confidence", "candidates"]),
        pd.DataFrame(item_classes, columns=["qid", "class"]),
        pd.DataFrame(edges, columns=["child", "parent"]),
        pd.DataFrame({(child, "Label " + child[-1]) for child, _ in edges}, columns=["qid", "label"]),
    ),
    taxonomy,
)
for name in TABLES:
    print(getattr(result, name).to_csv(index=False))
print(result.metrics)
"""


def test_output_is_independent_of_the_hash_seed() -> None:
    def output(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", SCRIPT]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    first = output("0")
    assert "cycle: of" in first
    assert "shortcut: " in first
    assert "ambiguous: " in first
    assert first == output("1") == output("2")
