"""Each kind of edit of the taxonomy is one edit, however many rows it changes, and says what it is and who decided."""

import pytest

from hgld.hierarchy.comparison.drift.causes import Edit
from hgld.hierarchy.comparison.drift.explain import Explainer
from hgld.hierarchy.comparison.drift.facts import LabelFacts, Match, Proposal
from hgld.hierarchy.comparison.drift.taxonomy_edits import taxonomy_edits
from hgld.hierarchy.comparison.drift.worlds import Worlds
from hgld.hierarchy.comparison.release_diff import Change
from hgld.hierarchy.fusion.release_decision import Thresholds
from hgld.hierarchy.taxonomy.taxonomy import Anchor, CutEdge, IgnoredClass, Taxonomy

LAKE = {"Q1": Anchor("Q1", "lake", "lake", "natural", 10), "Q2": Anchor("Q2", "pond", "lake", "natural", 10)}
DAM = {"Q3": Anchor("Q3", "dam", "dam", "human-made", 20)}
IGNORED = {"Q4": IgnoredClass("Q4", "film", "below", "x")}
AUTHORS = {("Q1",): "ana", ("Q3",): "hgld", ("Q4",): "bo", ("Q1", "Q5"): "cy"}


def facts(
    anchors: dict[str, Anchor],
    ignored: dict[str, IgnoredClass] | None = None,
    cuts: dict[tuple[str, str], CutEdge] | None = None,
    proposal: str = "",
) -> LabelFacts:
    """A place of the class Q1, and one with a proposal."""
    return LabelFacts(
        "hgld 1", "fused", Thresholds(0.5, 0.1), Taxonomy(anchors, ignored or {}, cuts or {}),
        {qid: frozenset() for qid in ("Q1", "Q2", "Q3", "Q4", "Q5")}, {"Q1": "lake", "Q5": "water"},
        {"Place": (Match("Q100", "sitelink", "high"),)}, {"Q100": frozenset({"Q1"})}, authors=AUTHORS,
        proposals={"Other": Proposal(proposal, "clip", 0.9, 0.8)} if proposal else {},
    )  # fmt: skip


def relabelled(rows: dict[str, Anchor], **values: object) -> dict[str, Anchor]:
    return {qid: Anchor(**{**vars(row), **values}) for qid, row in rows.items()}


OLD = facts({**LAKE, **DAM}, IGNORED)


@pytest.mark.parametrize(
    ("new", "key", "text", "by"),
    [
        (facts({**LAKE}, IGNORED), ("row", "Q3"), "taxonomy: dam (Q3) removed from “dam”", "hgld"),
        (facts({**LAKE, **DAM, "Q5": Anchor("Q5", "water", "lake", "natural", 10)}, IGNORED), ("row", "Q5"),
         "taxonomy: water (Q5) added to “lake”", ""),
        (facts({**LAKE, **DAM, "Q1": Anchor("Q1", "lake", "dam", "human-made", 20)}, IGNORED), ("row", "Q1"),
         "taxonomy: lake (Q1) moved from “lake” to “dam”", "ana"),
        (facts({**relabelled(LAKE, precedence=30), **DAM}, IGNORED), ("precedence", "lake", "10", "30"),
         "taxonomy: precedence of “lake” 10 → 30", "ana"),
        (facts({**relabelled(LAKE, natural_or_human_made="human-made"), **DAM}, IGNORED),
         ("nature", "lake", "human-made"), "taxonomy: “lake” is human-made, was natural", "ana"),
        (facts({**relabelled(LAKE, hierarchical_label="tarn"), **DAM}, IGNORED), ("renamed", "lake", "tarn"),
         "taxonomy: “lake” renamed to “tarn”", "ana"),
        (facts({**LAKE, **DAM}), ("row", "Q4"), "ignored classes: film (Q4) removed (below)", "bo"),
        (facts({**LAKE, **DAM}, {"Q4": IgnoredClass("Q4", "film", "class", "x")}), ("row", "Q4"),
         "ignored classes: reach of film (Q4) below → class", "bo"),
        (facts({**LAKE, **DAM}, IGNORED, {("Q1", "Q5"): CutEdge("Q1", "Q5", "x")}), ("cut", "Q1", "Q5"),
         "cut edges: lake (Q1) → water (Q5) added", "cy"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)  # fmt: skip
def test_one_edit(new: LabelFacts, key: tuple[str, ...], text: str, by: str) -> None:
    (own,) = taxonomy_edits(OLD, new)
    assert own.edit == Edit("taxonomy", key, text, by)


def test_what_decides_nothing_is_no_edit() -> None:
    assert taxonomy_edits(OLD, facts({**relabelled(LAKE, name="other name"), **DAM}, IGNORED)) == []


@pytest.mark.parametrize("category", ["Place", "Other"])
def test_a_renamed_label_is_the_cause_for_its_classes_and_its_proposals(category: str) -> None:
    old = facts({**LAKE, **DAM}, IGNORED, proposal="lake")
    new = facts({**relabelled(LAKE, hierarchical_label="tarn"), **DAM}, IGNORED, proposal="tarn")
    change = Change("train", "1", category, "moved", "lake", "tarn", "", "", "", "", "natural", "natural", category)
    why = Explainer(Worlds(old, new)).explain(change)
    assert (why.cause, why.text, why.by) == ("taxonomy", "taxonomy: “lake” renamed to “tarn”", "ana")
