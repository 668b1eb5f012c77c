"""Worlds between two random releases: all edits give the newer one, and every explanation is enough and minimal."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.hierarchy.comparison.drift.causes import Edit
from hgld.hierarchy.comparison.drift.explain import Explainer, fewest
from hgld.hierarchy.comparison.drift.facts import Claim, LabelFacts, Match, Proposal
from hgld.hierarchy.comparison.drift.worlds import Outcome, Worlds
from hgld.hierarchy.comparison.release_diff import Change
from hgld.hierarchy.fusion.release_decision import Thresholds
from hgld.hierarchy.taxonomy.class_graph import class_graph
from hgld.hierarchy.taxonomy.class_labels import Candidate, anchor_paths, choose_candidate, label_item
from hgld.hierarchy.taxonomy.taxonomy import Anchor, CutEdge, IgnoredClass, Taxonomy

CLASSES = [f"Q{n}" for n in range(1, 9)]
ITEMS = [f"Q{n}" for n in range(101, 105)]
LABELS = {"lake": "natural", "river": "natural", "church": "human-made"}
CATEGORY = "Place"
WEIGHT = {"lake": 10, "river": 20, "church": 30}

subsets = st.sets(st.sampled_from(CLASSES), max_size=2)


@st.composite
def taxonomies(draw: st.DrawFn) -> Taxonomy:
    """A few anchors, ignored classes and cuts among CLASSES."""
    names = draw(st.dictionaries(st.sampled_from(CLASSES), st.sampled_from(sorted(LABELS)), max_size=4))
    shift = draw(st.sampled_from([0, 15, 40]))
    anchors = {
        qid: Anchor(qid, qid, name, LABELS[name], WEIGHT[name] + (shift if name == "lake" else 0))
        for qid, name in names.items()
    }
    reaches = draw(st.dictionaries(st.sampled_from(CLASSES), st.sampled_from(["class", "below", "area"]), max_size=2))
    ignored = {qid: IgnoredClass(qid, qid, reach, "x") for qid, reach in reaches.items() if qid not in anchors}
    pairs = draw(st.sets(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), max_size=2))
    return Taxonomy(anchors, ignored, {pair: CutEdge(*pair, "x") for pair in pairs})


@st.composite
def releases(draw: st.DrawFn) -> LabelFacts:
    """The facts of a release with one category."""
    taxonomy = draw(taxonomies())
    label = st.sampled_from(["", *taxonomy.natures])
    parents = {qid: frozenset(draw(subsets)) for qid in CLASSES}
    found = draw(st.dictionaries(st.sampled_from(ITEMS), st.sampled_from(["high", "low"]), max_size=2))
    matches = tuple(sorted(Match(item, "sitelink", confidence) for item, confidence in found.items()))
    verdict = draw(st.none() | st.builds(Claim, label, st.sampled_from(["", "Q1"]), st.sampled_from(["", *ITEMS])))
    if verdict and not verdict.label:
        verdict = verdict._replace(supercategory="")
    class_verdicts = draw(
        st.dictionaries(st.sampled_from(CLASSES), st.builds(Claim, label, suggested=label), max_size=2)
    )
    score, margin = draw(st.tuples(st.sampled_from([0.2, 0.8]), st.sampled_from([0.1, 0.5])))
    source = draw(st.sampled_from(["clip", "class"]))
    facts = LabelFacts(
        made_with="hgld 1",
        method="fused",
        thresholds=Thresholds(draw(st.sampled_from([0.5, 0.1])), 0.3),
        taxonomy=taxonomy,
        parents=parents,
        names={qid: f"{qid} {draw(st.sampled_from('ab'))}" for qid in CLASSES},
        matches={CATEGORY: matches} if matches else {},
        classes={item: frozenset(draw(subsets)) for item in ITEMS if draw(st.booleans()) or item in found},
        verdicts={CATEGORY: verdict} if verdict else {},
        class_verdicts=class_verdicts,
    )
    name = draw(label)
    proposed = bool(name) and not wikidata_label(facts)
    return replace(facts, proposals={CATEGORY: Proposal(name, source, score, margin)} if proposed else {})


def wikidata_label(facts: LabelFacts) -> str:
    """What Wikidata gives the category, derived from the whole class graph as the stage does it."""
    edges = [(qid, parent) for qid, above in facts.parents.items() for parent in above]
    used = {qid for own in facts.classes.values() for qid in own}
    paths = anchor_paths(class_graph(edges, facts.taxonomy).dag, facts.taxonomy, used)
    candidates = [
        Candidate(*match, label_item(facts.classes.get(match.qid, ()), paths, facts.taxonomy, facts.names))
        for match in facts.matches.get(CATEGORY, ())
    ]
    chosen = choose_candidate(candidates)[0]
    return chosen.decision.hierarchical_label if chosen else ""


def released(facts: LabelFacts) -> Outcome:
    return Worlds(facts, facts).outcome(CATEGORY, frozenset())


@settings(max_examples=100, deadline=None)
@given(releases())
def test_the_part_above_the_classes_gives_what_the_whole_graph_gives(facts: LabelFacts) -> None:
    outcome = released(facts)
    if CATEGORY not in facts.verdicts:
        label = wikidata_label(facts)
        assert (outcome.label if outcome.source == "wikidata" else "") == label


@settings(max_examples=100, deadline=None)
@given(releases(), releases())
def test_all_edits_together_give_the_newer_release(old: LabelFacts, new: LabelFacts) -> None:
    worlds = Worlds(old, new)
    assert worlds.outcome(CATEGORY, frozenset()) == released(old)
    before, after = released(old), released(new)
    edits = worlds.edits(CATEGORY, (before.label, after.label))
    assert worlds.outcome(CATEGORY, frozenset(edits)) == after


def test_an_edit_that_a_later_one_made_needless_is_left_out() -> None:
    """Without a, b and c are not enough, but once c is left out, b is."""
    a, b, c = (Edit("taxonomy", (name,)) for name in "abc")
    enough = [{a, b, c}, {a, b}, {b}]
    assert fewest([a, b, c], lambda some: set(some) in enough) == [b]


@settings(max_examples=100, deadline=None)
@given(releases(), releases())
def test_the_edits_of_an_explanation_are_enough_and_none_can_be_left_out(old: LabelFacts, new: LabelFacts) -> None:
    before, after = released(old), released(new)
    goals = [("moved", 0), ("nature", 1), ("supercategory", 2), ("source", 3)]
    for kind, goal in goals:
        if before[goal] != after[goal]:
            worlds = Worlds(old, new)
            change = Change(
                "train", "1", CATEGORY, kind, before.label, after.label, before.supercategory, after.supercategory,
                before.source, after.source, before.nature, after.nature, CATEGORY,
            )  # fmt: skip
            why = Explainer(worlds).explain(change)
            assert why.cause not in ("unexplained", "rules"), (why, before, after)
            assert worlds.outcome(CATEGORY, frozenset(why.edits))[goal] == after[goal] or why.either
            for edit in () if why.either else why.edits:
                rest = worlds.outcome(CATEGORY, frozenset(why.edits) - {edit})
                assert rest[goal] != after[goal]
