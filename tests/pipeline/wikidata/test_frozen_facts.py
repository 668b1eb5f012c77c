"""Frozen facts: the Turtle of any records states the same facts."""

from hypothesis import given, settings
from rdflib import SKOS, Graph, Namespace

from hgld.pipeline.sparql.rdf_terms import ENTITY
from hgld.pipeline.wikidata.frozen_facts import turtle
from hgld.pipeline.wikidata.records import WikidataRecords
from tests.pipeline.wikidata.random_records import RECORDS

WDT = Namespace("http://www.wikidata.org/prop/direct/")


@settings(deadline=None, max_examples=60)
@given(RECORDS)
def test_turtle_has_the_same_statements_as_the_records(records: WikidataRecords) -> None:
    lines = [line for line in turtle(records).splitlines() if not line.startswith("@prefix")]
    graph = Graph().parse(data=turtle(records), format="turtle")
    assert len(graph) == len(lines) == len(set(lines))
    names = {(str(name), str(item)) for item, name in graph.subject_objects(WDT.P373)}
    assert names == {(name, ENTITY + item) for name, prop, item in records.categories if prop == "P373"}
    aliases = {(str(item), str(name)) for item, name in graph.subject_objects(SKOS.altLabel)}
    assert aliases == {(ENTITY + item, name) for item, prop, name in records.classes if prop == "alias"}
