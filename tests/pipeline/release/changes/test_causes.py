"""Each change between two real releases of the sample has its cause: one at a time, and several at once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hgld.foundation.tables import read_parquet
from hgld.hierarchy.comparison.drift.explain import Explainer
from hgld.hierarchy.comparison.drift.facts import read_facts
from hgld.hierarchy.comparison.drift.report import Drift
from hgld.hierarchy.comparison.drift.worlds import Outcome, Worlds
from hgld.hierarchy.comparison.release_diff import Change, category_name
from tests.pipeline.release.changes.conftest import Checkout, causes

PARK = 'of the United States"@en ;\n    wdt:P279 wd:{}'
ISAR = 'wd:Q106588 rdfs:label "Isar"@en ;\n    wdt:P31 wd:{}'
TOWERS = {"Eiffel Tower", "Space Needle"}


def to_skyscraper(row: dict[str, str]) -> None:
    """Make observation towers skyscrapers."""
    if row["anchor_qid"] == "Q1440300":
        row.update(hierarchical_label="skyscraper", precedence="340")


def text(drift: Drift, category: str) -> str:
    """The edits that changed a category."""
    (found,) = {row[14] for row in drift.rows() if row[3] == category}
    return found


def check_minimal(checkout: Checkout, drift: Drift) -> None:
    """The edits of each explanation give the new label, and none of them can be left out."""
    worlds = Worlds(read_facts(checkout.old), read_facts(checkout.new))
    goals = {"moved": 0, "labelled": 0, "emptied": 0, "nature": 1, "supercategory": 2, "source": 3}
    for change, why in zip(drift.diff.changes, drift.explanations, strict=True):
        if change.kind in goals and why.cause not in ("gldv2", "unexplained"):
            category, goal = category_name(change.category), goals[change.kind]
            given = worlds.outcome(category, frozenset(why.edits))
            assert given[goal] == change.after[goal]
            for edit in why.edits if not why.either else ():
                rest = worlds.outcome(category, frozenset(why.edits) - {edit})
                assert rest[goal] != change.after[goal], edit


def test_a_taxonomy_row_a_verdict_and_a_statement_of_wikidata_each_move_their_landmarks(checkout: Checkout) -> None:
    checkout.rows(to_skyscraper)
    checkout.verdict("Wat Arun", "mosque")
    checkout.facts((PARK.format("Q46169"), PARK.format("Q40080")))
    drift = checkout.drift("wikidata", "build", "embed", "refine")
    found = causes(drift)
    assert found["Wat Arun"] == {"verdict"}
    assert found["Grand Teton National Park"] == {"class-edge"}
    assert {name for name, own in found.items() if own == {"taxonomy"}} == TOWERS
    # The names of landmarks are learned from the labels of Wikidata, so further proposals may move, and say so.
    others = found.keys() - TOWERS - {"Wat Arun", "Grand Teton National Park"}
    assert all(found[name] == {"proposal"} and "learned from other labels" in text(drift, name) for name in others)
    assert text(drift, "Wat Arun") == "verdict “mosque” given (2026-01-03)"
    assert text(drift, "Space Needle") == "taxonomy: observation tower (Q1440300) moved from “tower” to “skyscraper”"
    moved = "P279: National Park of the United States (Q34918903) is now below beach (Q40080)"
    assert text(drift, "Grand Teton National Park") == moved
    assert drift.by_cause["unexplained"] == drift.by_cause["several"] == 0
    check_minimal(checkout, drift)


def test_nothing_changed(checkout: Checkout) -> None:
    drift = checkout.drift()
    assert (drift.diff.changes, sum(drift.by_cause.values())) == ((), 0)


def test_the_rules_give_every_label_of_a_release_again(checkout: Checkout) -> None:
    checkout.verdict("Wat Arun", "mosque")
    checkout.verdict("Hoover Dam", "")
    checkout.verdict("Isar", "river", rejected_item="Q106588")
    checkout.verdict("Wat Pho", "buddhist temple", supercategory="Q5393308")
    checkout.verdict("Q41176", "palace", kind="class")
    facts = read_facts(checkout.run())
    worlds = Worlds(facts, facts)
    labels = read_parquet(checkout.new / "labels.parquet")
    columns = ["category", "hierarchical_label", "natural_or_human_made", "supercategory", "source"]
    assert len(labels) == 173 and {"review", "class-review"} < {*labels["source"]}
    for category, label, *others in labels[columns].itertuples(index=False, name=None):
        assert worlds.outcome(category, frozenset()) == Outcome(label.strip(), *others), category


def given(checkout: Checkout) -> None:
    checkout.verdict("Hoover Dam", "lake")


def class_verdict(checkout: Checkout) -> None:
    checkout.verdict("Q41176", "palace", kind="class")


def row(checkout: Checkout) -> None:
    checkout.rows(to_skyscraper)


def cut(checkout: Checkout) -> None:
    """Het Loo Palace is labelled by a path; the first statement of one is cut."""
    row = {"child": "Q588140", "child_label": "science museum", "parent": "Q33506", "parent_label": "museum",
           "reason": "not so", "decided_by": "bo"}  # fmt: skip
    checkout.rows(lambda row: None, row, file="cut_edges.csv")


def item(checkout: Checkout) -> None:
    """The category of Hoover Dam is linked to the item of the river Isar."""
    checkout.facts(
        ("Category:Hoover_Dam>\n    schema:about wd:Q172822", "Category:Hoover_Dam>\n    schema:about wd:Q106588"),
    )  # fmt: skip


def item_class(checkout: Checkout) -> None:
    checkout.facts((ISAR.format("Q4022"), ISAR.format("Q23397")))


def edge(checkout: Checkout) -> None:
    checkout.facts((PARK.format("Q46169"), PARK.format("Q40080")))


def class_name(checkout: Checkout) -> None:
    checkout.facts(('"arch-gravity dam"@en', '"<b>=1+1</b> \u202e dam"@en'))


def place(checkout: Checkout) -> None:
    checkout.facts(("Point(2.294 48.858)", "Point(-74.04 40.689)"), file="places.ttl")


def country(checkout: Checkout) -> None:
    checkout.facts(("wd:Q243 wdt:P17 wd:Q142", "wd:Q243 wdt:P17 wd:Q30"), file="places.ttl")


def thresholds(checkout: Checkout) -> None:
    checkout.with_settings("refine", accept_score=0.8)


def landmark(checkout: Checkout) -> None:
    path = Path("source/metadata/train_label_to_category.csv")
    with path.open("a", encoding="utf-8") as handle:
        handle.write("999999,http://commons.wikimedia.org/wiki/Category:Hoover_Dam\n")


WIKIDATA = ("wikidata", "build")
CASES: list[tuple[Callable[[Checkout], None], tuple[str, ...], str, str, str, str]] = [
    # what is done, stages, cause, who, a category, part of the edits
    (given, (), "verdict", "ana", "Hoover Dam", "verdict “lake” given (2026-01-03)"),
    (class_verdict, (), "class-verdict", "ana", "King Nikola's Palace in Cetinje",
     "class building (Q41176): verdict “palace” given (2026-01-03)"),
    (row, ("build",), "taxonomy", "hgld", "Space Needle", "observation tower (Q1440300) moved"),
    (edge, WIKIDATA, "class-edge", "Wikidata", "Grand Teton National Park", "is now below beach (Q40080)"),
    (item, WIKIDATA, "item", "Wikidata", "Hoover Dam", "item: Q172822 (sitelink) → Q106588 (sitelink)"),
    (item_class, WIKIDATA, "item-class", "Wikidata", "Isar", "P31: Q106588 is now lake (Q23397)"),
    (class_name, WIKIDATA, "class-name", "Wikidata", "Hoover Dam", "name of Q357679: arch-gravity dam → <b>=1+1</b>"),
    (place, WIKIDATA, "place", "Wikidata", "Eiffel Tower", "P625: coordinates of Q243"),
    (country, WIKIDATA, "place", "Wikidata", "Eiffel Tower", "country of Q243: P17, or the list of countries"),
    (thresholds, (), "threshold", "", "Casa Rosada, Buenos Aires", "score 0.85 → 0.8, margin 0.6 → 0.6"),
    (landmark, ("download",), "gldv2", "GLDv2", "Hoover Dam", "GLDv2 has train landmark 999999"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("act", "stages", "cause", "by", "category", "words"), CASES, ids=lambda value: getattr(value, "__name__", None)
)
def test_one_cause(
    checkout: Checkout, act: Callable[[Checkout], None], stages: tuple[str, ...], cause: str, by: str, category: str,
    words: str,
) -> None:  # fmt: skip
    act(checkout)
    drift = checkout.drift(*stages)
    assert {row[12] for row in drift.rows()} == {cause}
    (own,) = {(row[13], row[14]) for row in drift.rows() if row[3] == category}
    assert own[0] == by and words in own[1]
    check_minimal(checkout, drift)


def test_a_verdict_that_is_withdrawn_or_contradicted_is_named_with_its_annotator(checkout: Checkout) -> None:
    checkout.verdict("Hoover Dam", "lake")
    checkout.run().rename("before")
    checkout.old = Path("before")
    review = Path("review/ana.csv")
    content = review.read_bytes()
    review.unlink()
    drift = checkout.drift()
    assert [row[12:] for row in drift.rows()] == [("verdict", "ana", "verdict “lake” withdrawn")] * len(drift.rows())
    review.write_bytes(content)
    checkout.verdict("Hoover Dam", "river", annotator="bo")
    drift = checkout.drift()
    assert {row[14] for row in drift.rows()} == {
        "verdict “lake” does not count any more, as annotators disagree: ana lake, bo river"
    }


def test_what_only_works_together_is_several_causes_and_both_are_named(checkout: Checkout) -> None:
    """A new class for Isar, of which the new taxonomy says what it is."""
    checkout.facts((ISAR.format("Q4022"), ISAR.format("Q99999001")))
    checkout.rows(lambda row: None, {
        "hierarchical_label": "ruins", "natural_or_human_made": "human-made", "anchor_qid": "Q99999001",
        "anchor_label": "drained river", "precedence": "9", "comment": "a test", "decided_by": "cy",
    })  # fmt: skip
    drift = checkout.drift(*WIKIDATA)
    (own,) = {row[12:] for row in drift.rows() if row[3] == "Isar"}
    assert own[0] == "several" and own[1] == "cy, Wikidata"
    assert "taxonomy: drained river (Q99999001) added to “ruins”" in own[2] and "P31: Q106588 is now" in own[2]
    check_minimal(checkout, drift)


def test_causes_that_would_each_be_enough_are_both_named(checkout: Checkout) -> None:
    checkout.rows(to_skyscraper)
    checkout.verdict("Space Needle", "skyscraper")
    drift = checkout.drift("build")
    assert causes(drift)["Space Needle"] == {"several"}
    assert "; or, which alone would do: taxonomy: observation tower" in text(drift, "Space Needle")


def test_a_label_that_today_s_rules_do_not_give_is_not_explained_or_of_another_version(checkout: Checkout) -> None:
    new, facts = checkout.run(), read_facts(checkout.old)
    drift = checkout.drift()
    assert drift.diff.changes == ()
    change = Change("train", "1", "Isar", "moved", "lake", "river", "", "", "", "", "natural", "natural", "Isar")
    same = Explainer(Worlds(facts, read_facts(new))).explain(change)
    assert (same.cause, same.text) == ("unexplained", "the rules of this version of hgld do not give the old label")
    older = Explainer(Worlds(replace(facts, made_with="hgld 0.0.1"), read_facts(new))).explain(change)
    assert (older.cause, older.text.startswith("hgld 0.0.1 → hgld ")) == ("rules", True)
    neither = Explainer(Worlds(facts, facts)).explain(replace(change, new_label="dam"))
    assert neither.text == "the rules of this version of hgld do not give both labels"
