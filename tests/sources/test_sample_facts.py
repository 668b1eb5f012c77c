"""The sample's sources: landmarks.csv and facts.ttl are consistent, as irregular as Wikidata, and true."""

import csv
import gzip
import re
import runpy
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple
from urllib.parse import unquote

import pytest
from rdflib import RDFS, Graph, Literal, Namespace, URIRef
from rdflib.term import Node

from hgld.hierarchy.taxonomy.class_graph import class_graph
from hgld.hierarchy.taxonomy.class_labels import anchor_paths
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from tests.paths import ROOT, SHARED

SAMPLE = ROOT / "sources" / "sample"
FACTS = SAMPLE / "wikidata" / "facts.ttl"
SUBSET = SHARED / "wikidata"
WD = Namespace("http://www.wikidata.org/entity/")
WDT = Namespace("http://www.wikidata.org/prop/direct/")
SCHEMA = Namespace("http://schema.org/")
CATEGORY = "http://commons.wikimedia.org/wiki/Category:"
COLUMNS = ["category", "train_landmark_id", "index_landmark_id", "drawn_as", "queries", "note"]
GAPS = ("no item", "item without P31", "class leads to no label")
NATURAL = {
    "agricultural land", "beach", "canal", "cave", "cliff", "garden", "island", "lake", "mountain", "ocean area ",
    "parks", "river", "stone", "trail", "tree", "volcano", "waterfall", "wetland",
}  # fmt: skip


class Fact(NamedTuple):
    """One statement of the file; checked: the line has no mark `# not checked`."""

    subject: str
    predicate: str
    value: str
    checked: bool


def rows() -> list[dict[str, str]]:
    with (SAMPLE / "landmarks.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def graph() -> Graph:
    return Graph().parse(FACTS)


def statements() -> Iterator[Fact]:
    """The item and class statements, read line by line because a Turtle parser drops the marks."""
    subject = ""
    pattern = re.compile(r'(?:wd:(Q\d+) |    )(rdfs:label|wdt:P\d+) (?:wd:(Q\d+)|"(.*)"(?:@en)?) [;.](.*)')
    for line in FACTS.read_text(encoding="utf-8").splitlines():
        if match := pattern.fullmatch(line):
            subject = match[1] or subject
            value = match[3] or match[4].replace('\\"', '"')
            yield Fact(subject, match[2], value, match[5].strip() != "# not checked")


def name(row: dict[str, str]) -> str:
    return unquote(row["category"].removeprefix(CATEGORY)).replace("_", " ")


@cache
def items() -> dict[str, set[str]]:
    """Commons category → items, by sitelink (a category item stands for its P301) and by P373."""
    by_category: dict[str, set[str]] = defaultdict(set)
    for page, item in graph().subject_objects(SCHEMA.about):
        topic = graph().value(item, WDT.P301) or item
        title = str(graph().value(page, SCHEMA.name)).removeprefix("Category:")
        by_category[title].add(qid(topic))
    for item, p373 in graph().subject_objects(WDT.P373):
        by_category[str(p373)].add(qid(item))
    return dict(by_category)


def qid(node: object) -> str:
    return str(node).rpartition("/")[2]


@cache
def reached_by_class() -> dict[str, str]:
    """Class → hierarchical label, by the pipeline's taxonomy."""
    taxonomy = load_taxonomy()
    edges = [(qid(child), qid(parent)) for child, parent in graph().subject_objects(WDT.P279)]
    classes = {qid(node) for node in graph().objects(None, WDT.P31)}
    by_class = anchor_paths(class_graph(edges, taxonomy).dag, taxonomy, classes)
    return {cls: route.anchor.hierarchical_label for cls, route in by_class.items() if route.anchor}


def labels_of(item: str) -> set[str]:
    """The hierarchical labels that the item's classes lead to."""
    classes = {qid(node) for node in graph().objects(WD[item], WDT.P31)}
    return {reached_by_class()[cls] for cls in classes if cls in reached_by_class()}


def is_gap(row: dict[str, str]) -> bool:
    return row["note"].split("; ")[0] in GAPS


# ---- landmarks.csv


def test_columns_and_counts() -> None:
    table = rows()
    train, index = ([r for r in table if r[f"{split}_landmark_id"]] for split in ("train", "index"))
    assert list(table[0]) == COLUMNS
    assert 160 <= len(table) <= 190
    assert 110 <= len(train) <= 130
    assert 110 <= len(index) <= 130
    assert all(r["train_landmark_id"] or r["index_landmark_id"] for r in table)
    assert len({r["category"] for r in table}) == len(table)


def test_train_and_index_ids_are_unique_and_assigned_independently() -> None:
    by_split = {
        split: [(r[f"{split}_landmark_id"], r["category"]) for r in rows() if r[f"{split}_landmark_id"]]
        for split in ("train", "index")
    }
    train, index = dict(by_split["train"]), dict(by_split["index"])
    assert len(train) == len(by_split["train"])
    assert len(index) == len(by_split["index"])
    assert all(re.fullmatch(r"0|[1-9]\d*", number) for number in train.keys() | index.keys())
    assert sum(train[number] != index[number] for number in train.keys() & index.keys()) > 50


def test_queries_belong_to_index_landmarks() -> None:
    assert {r["queries"] for r in rows()} <= {"0", "1", "2", "3"}
    assert all(r["queries"] == "0" for r in rows() if not r["index_landmark_id"])
    assert 110 <= sum(int(r["queries"]) for r in rows()) <= 150


def test_categories_are_percent_encoded_as_upstream_writes_them() -> None:
    for row in rows():
        assert row["category"].startswith(CATEGORY)
        tail = row["category"].removeprefix(CATEGORY)
        assert re.fullmatch(r"(?:[A-Za-z0-9_()',./:-]|%[0-9A-F]{2})+", tail), row["category"]
        assert "�" not in unquote(tail)


def test_every_label_has_labelled_train_landmarks_and_a_gap() -> None:
    count = Counter(r["drawn_as"] for r in rows())
    known = Counter(r["drawn_as"] for r in rows() if r["train_landmark_id"] and not is_gap(r))
    gaps = Counter(r["drawn_as"] for r in rows() if is_gap(r))
    assert len(count) >= 28
    assert len(count.keys() & NATURAL) >= 8
    assert len(count.keys() - NATURAL) >= 15
    assert all(known[label] >= 2 and gaps[label] >= 1 for label in count)


def test_about_a_third_is_unlabelled() -> None:
    assert 0.28 <= sum(map(is_gap, rows())) / len(rows()) <= 0.40


# ---- facts.ttl


def test_qids_are_well_formed_and_every_statement_is_read() -> None:
    nodes = {n for triple in graph() for n in triple if isinstance(n, URIRef) and str(n).startswith(str(WD))}
    assert nodes
    assert all(re.fullmatch(r"Q[1-9]\d*", qid(n)) for n in nodes)
    sitelinks = sum(1 for triple in graph() if triple[1] in {SCHEMA.about, SCHEMA.isPartOf, SCHEMA.name})
    assert len(list(statements())) + sitelinks == len(graph())


def test_every_class_has_an_english_label() -> None:
    classes = set(graph().objects(None, WDT.P31)) | set(graph().objects(None, WDT.P279))
    for node in classes:
        labels = list(graph().objects(node, RDFS.label))
        assert [label.language for label in labels if isinstance(label, Literal)] == ["en"], node


def test_notes_of_gaps_are_true() -> None:
    for row in rows():
        matched, gap = items().get(name(row), set()), row["note"].split("; ")[0]
        classes = {c for item in matched for c in graph().objects(WD[item], WDT.P31)}
        reached = {label for item in matched for label in labels_of(item)}
        assert (gap == "no item") == (not matched), row
        assert (gap == "item without P31") == (bool(matched) and not classes), row
        assert (gap == "class leads to no label") == (bool(classes) and not reached), row
        assert is_gap(row) or row["drawn_as"] in reached, (row, reached)


def test_every_method_of_matching_is_needed_and_noted() -> None:
    titles = {str(t).removeprefix("Category:") for t in graph().objects(None, SCHEMA.name)}
    p373 = Counter(str(t) for t in graph().objects(None, WDT.P373))
    methods = Counter[str]()
    for row in rows():
        notes, title = row["note"].split("; "), name(row)
        methods.update(note for note in notes if note in {"sitelink only", "P373 only", "P373 on two items"})
        only = "sitelink only" in notes or "sitelink on the category item" in notes
        assert only == (title in titles and not p373[title])
        assert ("P373 only" in notes) == (title not in titles and p373[title] == 1)
        assert ("P373 on two items" in notes) == (p373[title] == 2)
    assert min(methods["sitelink only"], methods["P373 only"]) >= 15
    assert methods["P373 on two items"] >= 3


def test_category_item_points_to_the_landmark() -> None:
    category_items = set(graph().subjects(WDT.P31, WD.Q4167836))
    assert category_items
    for item in category_items:
        assert graph().value(item, WDT.P301) is not None
        assert graph().value(predicate=SCHEMA.about, object=item) is not None


def test_irregularities_of_wikidata_are_present() -> None:
    table = rows()
    noise = {"tourist attraction", "cultural property", "cultural heritage", "organization"}
    used = {str(graph().value(node, RDFS.label)) for node in graph().objects(None, WDT.P31)}
    assert noise <= used
    assert sum(len(list(graph().objects(s, WDT.P31))) > 2 for s in set(graph().subjects(WDT.P31))) >= 10
    names = [name(row) for row in table]
    assert sum(not title.isascii() for title in names) >= 15
    assert all(any(mark in title for title in names) for mark in "',()")
    assert any(r["drawn_as"] == "ocean area " for r in table)


def test_a_used_class_has_a_cycle_above_it() -> None:
    """political system > form of government > form of state > political system, above Nauru's republic."""

    def above(node: Node) -> set[Node | None]:
        parents = graph().objects(node, WDT.P279)
        return {top for parent in parents for top in graph().transitive_objects(parent, WDT.P279)}

    assert WD.Q183039 in above(WD.Q183039)
    assert any(WD.Q183039 in above(node) for node in set(graph().objects(WD.Q697, WDT.P31)))


def test_some_class_labels_differ_only_in_case() -> None:
    labels = {str(label) for node in graph().subjects(WDT.P279) for label in graph().objects(node, RDFS.label)}
    wanted = labels | {r["drawn_as"] for r in rows()}
    twice = {label for label, count in Counter(w.lower() for w in wanted).items() if count > 1}
    assert {"buddhist temple", "national museum"} <= twice


# ---- the figure of the README


def test_labels_of_the_figure_follow_from_the_facts() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "hierarchy_example.py"))
    landmarks = {row["category"].removeprefix(CATEGORY): row for row in rows()}
    for example in (script["QUERY"], *script["ANSWERS"]):
        row, (supercategory, label, nature) = landmarks[example.category], example.levels
        classes = {c for item in items()[name(row)] for c in graph().objects(WD[item], WDT.P31)}
        labels = {str(graph().value(node, RDFS.label)): reached_by_class().get(qid(node)) for node in classes}
        assert labels[supercategory] == label == row["drawn_as"] == example.drawn_as
        assert nature == load_taxonomy().natures[label]
    assert [script["grade"](answer) for answer in script["ANSWERS"]] == [3, 2, 1, 0]


def test_the_figure_is_the_one_the_script_draws() -> None:
    """Without the pictures: the bytes of a JPEG depend on the version of Pillow."""
    script, jpeg = runpy.run_path(str(ROOT / "docs" / "hierarchy_example.py")), re.compile(r"base64,[^\"]*")
    committed = (ROOT / "docs" / "hierarchy_example.svg").read_text(encoding="utf-8")
    assert jpeg.sub("", script["figure"]()) == jpeg.sub("", committed), "run: python -m docs.hierarchy_example"


# ---- against the independent subset of Wikidata


def read_subset(file: str) -> set[tuple[str, str]]:
    with gzip.open(SUBSET / f"{file}.tsv.gz", "rt", encoding="utf-8") as lines:
        next(lines)
        pairs = (line.rstrip("\n").split("\t") for line in lines)
        # The subset writes an apostrophe as \' and doubles quotes; names here hold no double quotes.
        return {(pair[0], pair[1].replace("\\'", "'")) for pair in pairs}


@pytest.mark.parametrize(
    ("predicate", "file"),
    [
        ("rdfs:label", "labels_en"),
        ("wdt:P31", "instance_of"),
        ("wdt:P279", "subclass_of"),
        ("wdt:P373", "commons_category"),
    ],
)
def test_facts_are_in_the_subset_or_marked(predicate: str, file: str) -> None:
    if not SUBSET.is_dir():
        pytest.skip("the subset of Wikidata (../shared/data/wikidata) is not beside this checkout")
    subset = read_subset(file)
    facts = [fact for fact in statements() if fact.predicate == predicate]
    wrong = [fact for fact in facts if fact.checked != ((fact.subject, fact.value) in subset)]
    assert facts
    assert not wrong
