"""The stage `wikidata` on a real SPARQL server: tables, snapshot, and the same bytes in any order."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from hgld.hierarchy.category import category_url
from hgld.hierarchy.errors import HgldError
from hgld.hierarchy.files import sha256
from hgld.hierarchy.params import Params, load_params
from hgld.hierarchy.schemas import validated
from hgld.hierarchy.tables import read_parquet, write_parquet
from hgld.pipeline import wikidata
from hgld.pipeline.oxigraph import serving
from hgld.pipeline.sparql import Endpoint
from hgld.pipeline.wikidata import class_closure, fetch

ROOT = Path(__file__).parents[2]
FACTS = Path(__file__).with_name("facts.ttl")
NAMES = ["Lake Garda", "Hoover Dam", "Old Fort", "Nowhere", "Bare", 'Église "Z"']


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with serving([FACTS]) as url:
        yield Endpoint(url, "test", batch=3)


def test_tables_fit_their_schemas(endpoint: Endpoint) -> None:
    facts = fetch(endpoint, NAMES)
    for name in ("items", "item_classes", "class_edges", "class_labels"):
        validated(getattr(facts, name), name)
    counts = dict(zip(facts.items["category"], facts.items["candidates"], strict=True))
    assert counts == {
        "Bare": 1,
        "Hoover Dam": 1,
        "Lake Garda": 1,
        "Nowhere": 0,
        "Old Fort": 2,
        'Église "Z"': 2,
    }
    assert facts.items["category"].is_monotonic_increasing
    assert facts.class_aliases.to_numpy().tolist() == [["Q23397", "freshwater lake"], ["Q23397", "loch"]]
    assert dict(facts.class_labels.itertuples(index=False, name=None))["Q23397"] == "lake"


def test_the_closure_follows_all_edges_and_ends_on_a_cycle(endpoint: Endpoint) -> None:
    assert class_closure(endpoint, ["Q1244922", "Q23397"]) == {
        ("Q1244922", "Q12323"), ("Q12323", "Q500"), ("Q500", "Q501"), ("Q501", "Q500"), ("Q23397", "Q501"),
    }  # fmt: skip


def test_nothing_known_gives_empty_tables(endpoint: Endpoint) -> None:
    facts = fetch(endpoint, ["Nowhere"])
    assert len(facts.items) == 1
    assert len(facts.item_classes) == len(facts.class_edges) == len(facts.class_labels) == 0
    for name in ("items", "item_classes", "class_edges", "class_labels"):
        validated(getattr(facts, name), name)


def prepared(folder: Path, names: list[str]) -> Params:
    """A profile whose metadata name these categories, and whose facts are those of the tests."""
    params = load_params(ROOT / "params.yaml", profile="sample")
    for split, part in (("train", names[::2]), ("index", names)):
        rows = [(str(n), category_url(name)) for n, name in enumerate(part)]
        frame = pd.DataFrame(rows, columns=["landmark_id", "category"], dtype="str")
        write_parquet(frame, folder / params.data / "metadata" / f"{split}_label_to_category.parquet")
    source = params.wikidata.model_copy(update={"facts": str(FACTS.parent), "batch": 2})
    return params.model_copy(update={"wikidata": source})


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.iterdir())}


def test_the_stage_writes_the_same_bytes_for_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for number, names in enumerate((NAMES, NAMES[::-1])):
        folder = tmp_path / str(number)
        params = prepared(folder, names)
        monkeypatch.chdir(folder)
        wikidata.run(params)
        found.append(hashes(params.data / "wikidata"))
    assert found[0] == found[1]
    assert set(found[0]) == {"items.parquet", "item_classes.parquet", "class_edges.parquet", "class_labels.parquet",
                             "class_aliases.parquet", "snapshot.json"}  # fmt: skip
    snapshot = json.loads((params.data / "wikidata" / "snapshot.json").read_text(encoding="utf-8"))
    assert snapshot["counts"]["categories"] == len(NAMES)
    assert snapshot["counts"]["by_method"] == {"category-item": 1, "none": 1, "p373": 3, "sitelink": 1}
    assert snapshot["sha256"] == {"facts.ttl": sha256(FACTS)}
    assert len(read_parquet(params.data / "wikidata" / "items.parquet")) == 8


def test_a_killed_run_finds_its_answers_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint
) -> None:
    params = prepared(tmp_path, NAMES)
    source = params.wikidata.model_copy(update={"facts": None, "endpoint": endpoint.url})
    params = params.model_copy(update={"wikidata": source})
    monkeypatch.chdir(tmp_path)
    wikidata.run(params)
    first = hashes(params.data / "wikidata")
    kept = sorted((params.data / "wikidata-answers").iterdir())
    monkeypatch.setattr("hgld.pipeline.sparql._ask", lambda *_: pytest.fail("asked again"))
    wikidata.run(params)
    assert hashes(params.data / "wikidata") == first
    assert sorted((params.data / "wikidata-answers").iterdir()) == kept


def test_two_sources_or_none_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = prepared(tmp_path, NAMES)
    monkeypatch.chdir(tmp_path)
    for update in ({"facts": None}, {"endpoint": "http://127.0.0.1:9/"}):
        both = params.model_copy(update={"wikidata": params.wikidata.model_copy(update=update)})
        with pytest.raises(HgldError, match="give either endpoint or facts"):
            wikidata.run(both)


def test_without_metadata_the_stage_to_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HgldError, match=r"dvc repro"):
        wikidata.run(load_params(ROOT / "params.yaml", profile="sample"))
