"""The stage `wikidata` on a real SPARQL server: tables, snapshot, frozen facts, and the same bytes in any order."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdflib import SKOS, Graph, Namespace

from hgld.foundation.errors import HgldError
from hgld.foundation.files import sha256
from hgld.foundation.settings import Params, load_params
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.hierarchy.taxonomy.commons_category import category_url
from hgld.pipeline.dataset.schemas import validated
from hgld.pipeline.sparql.client import ENTITY, Endpoint
from hgld.pipeline.sparql.oxigraph import serving
from hgld.pipeline.stages import wikidata
from hgld.pipeline.stages.wikidata import TABLES, fetch
from hgld.pipeline.wikidata.frozen_facts import FACTS as FROZEN
from hgld.pipeline.wikidata.frozen_facts import ORIGIN, turtle
from hgld.pipeline.wikidata.queries import canary
from hgld.pipeline.wikidata.records import Heard
from hgld.pipeline.wikidata.tables import facts, point
from tests.paths import ROOT

WDT = Namespace("http://www.wikidata.org/prop/direct/")
FACTS = Path(__file__).parents[1] / "tiny_world.ttl"
NAMES = ["Lake Garda", "Hoover Dam", "Old Fort", "Nowhere", "Bare", 'Église "Z"', "Moved twice", "Old Name"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with serving([FACTS]) as url:
        yield Endpoint(url, "test", batch=3)


def test_tables_fit_their_schemas(endpoint: Endpoint) -> None:
    facts = fetch(endpoint, NAMES)
    for name in TABLES:
        validated(getattr(facts, name), name)
    counts = dict(zip(facts.items["category"], facts.items["candidates"], strict=True))
    assert counts == {name: {"Nowhere": 0, "Old Fort": 2, 'Église "Z"': 2}.get(name, 1) for name in NAMES}
    assert facts.items["category"].is_monotonic_increasing
    assert dict(facts.class_labels.itertuples(index=False, name=None))["Q23397"] == "lake"
    assert facts.class_aliases.to_numpy().tolist() == [["Q23397", "freshwater lake"], ["Q23397", "loch"]]


def test_unknown_values_are_no_classes_and_merged_classes_are_where_they_have_gone(
    endpoint: Endpoint,
) -> None:
    facts = fetch(endpoint, ["Hoover Dam", "Bare", "Moved twice", "Unknown"])
    assert facts.item_classes.to_numpy().tolist() == [
        ["Q172822", "Q1244922"], ["Q172822", "Q15911738"], ["Q172822", "Q570116"], ["Q32", "Q23397"],
    ]  # fmt: skip


def test_what_an_answer_leads_to_is_asked_too(endpoint: Endpoint) -> None:
    """Alone, so that nothing else has these items and classes asked."""
    topics = fetch(endpoint, ["Lakes of X"])
    assert topics.item_classes.to_numpy().tolist() == [["Q6414", "Q23397"], ["Q7", "Q16970"]]
    moved = fetch(endpoint, ["Moved twice"])
    assert moved.class_edges.to_numpy().tolist()[0] == ["Q23397", "Q501"]
    assert moved.class_labels.to_numpy().tolist() == [["Q23397", "lake"]]
    merged = fetch(endpoint, ["Moved"])
    assert merged.item_classes.to_numpy().tolist() == [["Q25", "Q16970"]]


def test_the_class_graph_has_all_edges_above_and_ends_on_a_cycle(endpoint: Endpoint) -> None:
    edges = fetch(endpoint, ["Hoover Dam", "Lake Garda"]).class_edges
    assert set(edges.itertuples(index=False, name=None)) == {
        ("Q1244922", "Q12323"), ("Q12323", "Q500"), ("Q500", "Q501"), ("Q501", "Q500"), ("Q23397", "Q501"),
        ("Q15911738", "Q159719"),
    }  # fmt: skip


def test_an_items_name_place_countries_and_size(endpoint: Endpoint) -> None:
    rows = fetch(endpoint, ["Old Name", "Bare"]).item_facts.to_numpy(dtype=object).tolist()
    assert rows[1] == ["Q36", "Name", 45.5, 10.63, 1, "Q31 Q142", 12]
    assert rows[0][0:2] == ["Q26", ""]
    assert pd.isna(rows[0][2])
    assert rows[0][4:] == [0, "", 0]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("POINT(-0.5 51.25)", (51.25, -0.5)),
        ("Point(1E1 2)", (2.0, 10.0)),
        ("Point(1 91)", None),
        ("Point(nan 1)", None),
        ("Point(- 1)", None),
        ("http://www.wikidata.org/.well-known/genid/x", None),
    ],
)
def test_a_point_is_on_earth_or_none(text: str, place: tuple[float, float] | None) -> None:
    assert point(text) == place


def test_nothing_known_gives_empty_tables(endpoint: Endpoint) -> None:
    facts = fetch(endpoint, ["Nowhere"])
    assert [len(getattr(facts, name)) for name in TABLES] == [1, 0, 0, 0, 0, 0]
    for name in TABLES:
        validated(getattr(facts, name), name)


def test_an_endpoint_with_holes_is_not_trusted(endpoint: Endpoint) -> None:
    counts, date = canary(endpoint, {"P31": 3, "sitelink": 5})
    assert (counts["sitelink"], date) == (5, "2026-01-02T03:04:05Z")
    with pytest.raises(
        HgldError, match=r"too few statements to be trusted: 5 of sitelink, expected 1,000,000;"
    ):
        canary(endpoint, {"P31": 3, "sitelink": 1_000_000})


def test_a_count_that_is_not_trusted_is_not_kept(endpoint: Endpoint, tmp_path: Path) -> None:
    asked = replace(endpoint, cache=tmp_path)
    with pytest.raises(HgldError, match="too few statements"):
        canary(asked, {"P31": 10**9})
    assert not list(tmp_path.iterdir())
    assert canary(asked, {}) == canary(asked, {})
    assert len(list(tmp_path.iterdir())) == 1


def prepared(folder: Path, names: list[str], endpoint: str | None = None) -> Params:
    """A profile whose metadata name these categories, and whose facts are those of the tests, or of `endpoint`."""
    params = load_params(ROOT / "params.yaml", profile="sample")
    for split, part in (("train", names[::2]), ("index", names)):
        rows = [(str(n), category_url(name)) for n, name in enumerate(part)]
        frame = pd.DataFrame(rows, columns=["landmark_id", "category"], dtype="str")
        write_parquet(frame, folder / params.data / "metadata" / f"{split}_label_to_category.parquet")
    facts = None if endpoint else str(FACTS)
    (folder / "facts").mkdir(exist_ok=True)
    if facts:
        (folder / "facts" / "facts.ttl").write_bytes(FACTS.read_bytes())
        facts = str(folder / "facts")
    source = params.wikidata.model_copy(update={"facts": facts, "endpoint": endpoint, "batch": 2})
    return params.model_copy(update={"wikidata": source})


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


def tables(folder: Path) -> dict[str, str]:
    """The hashes of all but snapshot.json, which names the source."""
    return {name: value for name, value in hashes(folder).items() if name != "snapshot.json"}


def test_the_stage_writes_the_same_bytes_for_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for number, names in enumerate((NAMES, NAMES[::-1])):
        folder = tmp_path / str(number)
        params = prepared(folder, names)
        monkeypatch.chdir(folder)
        params = params.model_copy(
            update={
                "wikidata": params.wikidata.model_copy(update={"facts": "facts", "in_flight": 1 + 3 * number})
            }
        )
        wikidata.run(params)
        found.append(hashes(params.data / "wikidata"))
    assert found[0] == found[1]
    assert set(found[0]) == {*(f"{name}.parquet" for name in TABLES), "snapshot.json", "metrics.json"}
    snapshot = json.loads((params.data / "wikidata" / "snapshot.json").read_text(encoding="utf-8"))
    assert snapshot["counts"]["categories"] == len(NAMES)
    assert snapshot["counts"]["by_method"] == {"category-item": 1, "none": 1, "p373": 4, "sitelink": 2}
    assert snapshot["sha256"] == {"facts.ttl": sha256(FACTS)}
    assert snapshot["date"] == "2026-01-02T03:04:05Z"
    metrics = json.loads((params.data / "wikidata" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["by_method"]["sitelink"] == {"categories": 2, "share": 0.25}
    assert (metrics["share_with_item"], metrics["with_several_items"]) == (0.875, 2)
    assert (metrics["by_confidence"], metrics["through_redirects"]) == ({"high": 2, "low": 2, "medium": 3}, 2)
    assert len(read_parquet(params.data / "wikidata" / "items.parquet")) == 10


def test_frozen_facts_give_the_same_tables_without_the_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = prepared(tmp_path, NAMES, endpoint.url)
    wikidata.run(asked, freeze_to=Path("frozen"))
    first = tables(asked.data / "wikidata")
    wikidata.run(asked, freeze_to=Path("again"))
    assert hashes(Path("frozen")) == hashes(Path("again"))
    update = {"endpoint": None, "facts": "frozen", "batch": 3}
    frozen = asked.model_copy(update={"wikidata": asked.wikidata.model_copy(update=update)})
    wikidata.run(frozen, freeze_to=Path("again"))
    assert tables(frozen.data / "wikidata") == first
    assert hashes(Path("frozen"))[FROZEN] == hashes(Path("again"))[FROZEN]
    snapshot = json.loads((frozen.data / "wikidata" / "snapshot.json").read_text(encoding="utf-8"))
    assert (snapshot["endpoint"], snapshot["date"]) == (endpoint.url, "2026-01-02T03:04:05Z")
    assert snapshot["sha256"] == {FROZEN: sha256(Path("frozen", FROZEN))}
    Path("frozen", ORIGIN).write_text(Path("frozen", ORIGIN).read_text().replace('gz": "', 'gz": "0'))
    with pytest.raises(HgldError, match=r"facts\.ttl\.gz: expected SHA-256 0"):
        wikidata.run(frozen)
    Path("again", "notes.txt").write_text("mine")
    nobody = asked.model_copy(
        update={"wikidata": asked.wikidata.model_copy(update={"endpoint": "http://x/"})}
    )
    for params in (asked, nobody):  # said before anything is asked
        with pytest.raises(HgldError, match=r"again holds other files \(notes\.txt\)"):
            wikidata.run(params, freeze_to=Path("again"))


def test_two_sources_or_none_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = prepared(tmp_path, NAMES)
    monkeypatch.chdir(tmp_path)
    for update in ({"facts": None}, {"endpoint": "http://127.0.0.1:9/"}):
        both = params.model_copy(update={"wikidata": params.wikidata.model_copy(update=update)})
        with pytest.raises(HgldError, match="give either endpoint or facts"):
            wikidata.run(both)


def test_categories_that_no_page_can_have_are_all_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = prepared(tmp_path, ["Good", "Category:", "Caf%E9"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HgldError, match=r"(?s)index landmark 1: no category.*index landmark 2: .*UTF-8"):
        path = params.data / "metadata" / "index_label_to_category.parquet"
        write_parquet(read_parquet(path).assign(category=["Good", "Category:", "Caf%E9"]), path)
        path = params.data / "metadata" / "train_label_to_category.parquet"
        write_parquet(read_parquet(path).iloc[:0], path)
        wikidata.run(params)


def test_without_metadata_the_stage_to_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HgldError, match=r"dvc repro"):
        wikidata.run(load_params(ROOT / "params.yaml", profile="sample"))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
ITEM = st.integers(1, 60).map("Q{}".format)
CATEGORY_ROWS = st.tuples(TEXT, st.sampled_from(["P373", "sitelink", "sitelink Q70893996"]), ITEM)
ITEM_ROWS = (
    st.tuples(ITEM, st.sampled_from(["P31", "P301", "P971", "P17", "sameAs"]), ITEM)
    | st.tuples(ITEM, st.sampled_from(["label en", "label mul", "P625"]), TEXT)
    | st.tuples(ITEM, st.just("sitelinks"), st.integers(0, 400).map(str))
)
CLASS_ROWS = st.tuples(ITEM, st.sampled_from(["P279", "sameAs"]), ITEM) | st.tuples(
    ITEM, st.sampled_from(["label en", "alias"]), TEXT
)
HEARD = st.builds(
    lambda *parts: Heard(*(tuple(sorted(part)) for part in parts)),
    st.sets(CATEGORY_ROWS, max_size=12), st.sets(ITEM_ROWS, max_size=30), st.sets(CLASS_ROWS, max_size=20),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(HEARD)
def test_whatever_was_heard_the_tables_fit_and_come_back_from_the_disk(
    tmp_path_factory: pytest.TempPathFactory, heard: Heard
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    found = facts(heard, {row[0] for row in heard.categories} | {"Nowhere"})
    for name in TABLES:
        frame = validated(getattr(found, name), name)
        write_parquet(frame, folder / name)
        pd.testing.assert_frame_equal(read_parquet(folder / name), frame)


@settings(deadline=None, max_examples=60)
@given(HEARD)
def test_frozen_facts_are_turtle_that_says_the_same(heard: Heard) -> None:
    lines = [line for line in turtle(heard).splitlines() if not line.startswith("@prefix")]
    graph = Graph().parse(data=turtle(heard), format="turtle")
    assert len(graph) == len(lines) == len(set(lines))
    names = {(str(name), str(item)) for item, name in graph.subject_objects(WDT.P373)}
    assert names == {(name, ENTITY + item) for name, prop, item in heard.categories if prop == "P373"}
    aliases = {(str(item), str(name)) for item, name in graph.subject_objects(SKOS.altLabel)}
    assert aliases == {(ENTITY + item, name) for item, prop, name in heard.classes if prop == "alias"}
