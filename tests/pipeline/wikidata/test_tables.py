"""The tables of the stage `wikidata`, from a real SPARQL server and from random records."""

from collections.abc import Iterable
from dataclasses import fields

import pandas as pd
import pytest
from hypothesis import given, settings

from hgld.foundation.tables import read_parquet, write_parquet
from hgld.pipeline.dataset.schemas import validated
from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.wikidata.queries import fetch_records
from hgld.pipeline.wikidata.records import WikidataRecords
from hgld.pipeline.wikidata.tables import WikidataTables, build_tables, point
from tests.pipeline.wikidata.random_records import RECORDS

TABLES = [field.name for field in fields(WikidataTables)]
NAMES = ["Lake Garda", "Hoover Dam", "Old Fort", "Nowhere", "Bare", 'Église "Z"', "Moved twice", "Old Name"]


def fetch_tables(endpoint: Endpoint, names: Iterable[str]) -> WikidataTables:
    return build_tables(fetch_records(endpoint, names), names)


def test_tables_fit_their_schemas(endpoint: Endpoint) -> None:
    tables = fetch_tables(endpoint, NAMES)
    for name in TABLES:
        validated(getattr(tables, name), name)
    counts = dict(zip(tables.items["category"], tables.items["candidates"], strict=True))
    assert counts == {name: {"Nowhere": 0, "Old Fort": 2, 'Église "Z"': 2}.get(name, 1) for name in NAMES}
    assert tables.items["category"].is_monotonic_increasing
    assert dict(tables.class_labels.itertuples(index=False, name=None))["Q23397"] == "lake"
    assert tables.class_aliases.to_numpy().tolist() == [["Q23397", "freshwater lake"], ["Q23397", "loch"]]


def test_unknown_classes_are_dropped_and_merged_ones_replaced(
    endpoint: Endpoint,
) -> None:
    tables = fetch_tables(endpoint, ["Hoover Dam", "Bare", "Moved twice", "Unknown"])
    assert tables.item_classes.to_numpy().tolist() == [
        ["Q172822", "Q1244922"], ["Q172822", "Q15911738"], ["Q172822", "Q570116"], ["Q32", "Q23397"],
    ]  # fmt: skip


def test_topics_and_merger_targets_are_queried_too(endpoint: Endpoint) -> None:
    """One category at a time, as another one might query the same items and classes."""
    topics = fetch_tables(endpoint, ["Lakes of X"])
    assert topics.item_classes.to_numpy().tolist() == [["Q6414", "Q23397"], ["Q7", "Q16970"]]
    moved = fetch_tables(endpoint, ["Moved twice"])
    assert moved.class_edges.to_numpy().tolist()[0] == ["Q23397", "Q501"]
    assert moved.class_labels.to_numpy().tolist() == [["Q23397", "lake"]]
    merged = fetch_tables(endpoint, ["Moved"])
    assert merged.item_classes.to_numpy().tolist() == [["Q25", "Q16970"]]


def test_the_class_graph_has_all_ancestors_and_terminates_on_cycles(endpoint: Endpoint) -> None:
    edges = fetch_tables(endpoint, ["Hoover Dam", "Lake Garda"]).class_edges
    assert set(edges.itertuples(index=False, name=None)) == {
        ("Q1244922", "Q12323"), ("Q12323", "Q500"), ("Q500", "Q501"), ("Q501", "Q500"), ("Q23397", "Q501"),
        ("Q15911738", "Q159719"),
    }  # fmt: skip


def test_label_coordinates_countries_and_sitelinks_of_items(endpoint: Endpoint) -> None:
    rows = fetch_tables(endpoint, ["Old Name", "Bare"]).item_facts.to_numpy(dtype=object).tolist()
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
def test_only_points_on_earth_are_parsed(text: str, place: tuple[float, float] | None) -> None:
    assert point(text) == place


def test_an_unknown_category_gives_empty_tables(endpoint: Endpoint) -> None:
    tables = fetch_tables(endpoint, ["Nowhere"])
    assert [len(getattr(tables, name)) for name in TABLES] == [1, 0, 0, 0, 0, 0]
    for name in TABLES:
        validated(getattr(tables, name), name)


@settings(deadline=None, max_examples=60)
@given(RECORDS)
def test_tables_of_any_records_are_valid_and_survive_parquet(
    tmp_path_factory: pytest.TempPathFactory, records: WikidataRecords
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    tables = build_tables(records, {name for name, _, _ in records.categories} | {"Nowhere"})
    for name in TABLES:
        frame = validated(getattr(tables, name), name)
        write_parquet(frame, folder / name)
        pd.testing.assert_frame_equal(read_parquet(folder / name), frame)
