"""Verdicts on classes: one settles all landmarks of the class that have no label of their own, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from hgld.foundation.tables import read_csv, read_parquet, write_parquet
from hgld.hierarchy.curation.verdict import CLASS, Verdict
from hgld.hierarchy.curation.verdicts import append_verdict
from hgld.pipeline.commands.show import show
from hgld.pipeline.review.queue_items import open_items
from hgld.pipeline.stages import queue, release
from tests.pipeline.conftest import BASIN, CLASSED, TARN

REVIEW = Path("review")
LABELS = ["church", "lake", "river"]


def _judge(label: str, category: str = TARN, annotator: str = "ana", suggested: str = "lake", **more: str) -> None:
    verdict = Verdict(category, label, suggested, "class", "0.7", annotator, more.pop("on", "2026-01-03"), kind=CLASS)
    append_verdict(REVIEW, verdict)


def _queue(world) -> pd.DataFrame:
    queue.run(world.params)
    return read_csv(world.data / "queue" / "queue.csv", queue.COLUMNS).set_index("category")


def _labels(world) -> pd.DataFrame:
    release.run(world.params)
    return read_parquet(world.data / "release" / "labels.parquet").set_index("category")


def test_a_class_of_two_landmarks_in_need_comes_before_them(classed) -> None:
    table = _queue(classed)
    row = table.loc[TARN]
    # Nowhere: 3 images at a margin of 0.1; Unknown Lake: 2 at 0.2
    assert row[["kind", "reason", "images", "priority"]].to_list() == ["class", "class", "5", "4.3000"]
    assert row[["suggested_label", "suggested_by", "score", "margin"]].to_list() == [
        "lake",
        "class",
        "0.7000",
        "0.6000",
    ]
    assert row["evidence"] == '2 landmarks without a label of their own: Nowhere, "Purple", Unknown Lake; head: tarn'
    assert table.index[0] == TARN
    assert BASIN not in table.index  # the class of one landmark
    assert set(table.loc[["Unknown Lake", "Torn Place"], "kind"]) == {"landmark"}


def test_one_verdict_labels_all_landmarks_of_the_class(classed) -> None:
    _judge("lake")
    labels = _labels(classed)
    for name in CLASSED:
        row = labels.loc[name]
        assert row[["hierarchical_label", "source", "supercategory", "class", "path", "annotator"]].to_list() == [
            "lake", "class-review", "tarn", TARN, TARN, "ana",
        ]  # fmt: skip
        assert row["note"].endswith("all of the class tarn (Q900)")
    assert labels["source"].value_counts()["class-review"] == len(CLASSED)
    waiting = _queue(classed)
    assert not {TARN, "Unknown Lake"} & set(waiting[waiting["reason"] != "control"].index)
    assert set(waiting.query("suggested_by == 'class-review'")["reason"]) == {"control"}


def test_landmarks_that_a_verdict_on_their_class_labels_leave_a_queue_that_is_older(classed) -> None:
    _queue(classed)
    assert {item.category for item in open_items(classed.params, REVIEW, LABELS, "bob")} >= {TARN, *CLASSED}
    _judge("lake")
    assert not {item.category for item in open_items(classed.params, REVIEW, LABELS)} & {TARN, *CLASSED}


def test_everybody_judges_every_class(classed) -> None:
    _queue(classed)
    _judge("lake")

    def asked(annotator: str) -> set[str]:
        return {item.category for item in open_items(classed.params, REVIEW, LABELS, annotator)} & {TARN, *CLASSED}

    assert (asked("ana"), asked("bob")) == (set(), {TARN})
    _judge("lake", annotator="bob")
    assert asked("bob") == set()


def test_a_verdict_on_the_landmark_itself_counts_more(classed) -> None:
    _judge("lake")
    append_verdict(REVIEW, Verdict("Unknown Lake", "river", "lake", "clip", "", "bob", "2026-01-01"))
    labels = _labels(classed)
    assert labels.loc["Unknown Lake", ["hierarchical_label", "source", "class"]].to_list() == ["river", "review", ""]
    assert labels.loc['Nowhere, "Purple"', "source"] == "class-review"


def test_of_two_classes_the_label_with_the_lowest_precedence_decides(classed) -> None:
    _judge("lake")
    _judge("church", BASIN)
    labels = _labels(classed)
    assert labels.loc['Nowhere, "Purple"', ["hierarchical_label", "class"]].to_list() == ["church", BASIN]
    assert labels.loc["Unknown Lake", "hierarchical_label"] == "lake"


def test_annotators_who_disagree_about_a_class_label_nothing(classed) -> None:
    _judge("lake")
    _judge("river", annotator="bob")
    table = _queue(classed)
    assert table.loc[TARN, "reason"] == "conflict"
    assert table.loc[TARN, "evidence"].startswith("ana: lake, bob: river; 2 landmarks")
    assert _labels(classed).loc["Unknown Lake", "source"] == ""


def test_an_adjudicator_decides(classed) -> None:
    _judge("lake")
    _judge("river", annotator="bob")
    chosen = classed.params.release.model_copy(update={"adjudicators": ["bob"]})
    classed = replace(classed, params=classed.params.model_copy(update={"release": chosen}))
    assert _labels(classed).loc["Unknown Lake", ["hierarchical_label", "annotator"]].to_list() == ["river", "bob"]
    assert TARN not in _queue(classed).index


def test_an_empty_verdict_takes_back_what_the_name_of_the_class_suggested(classed) -> None:
    path = classed.data / "refine" / "proposals.parquet"
    proposals = read_parquet(path)
    ours = proposals["category"] == "Unknown Lake"
    proposals.loc[ours, ["score", "margin", "source", "outcome"]] = [0.9, 0.9, "class", "accepted"]
    write_parquet(proposals, path)
    assert _labels(classed).loc["Unknown Lake", "hierarchical_label"] == "lake"
    _judge("")
    assert _labels(classed).loc["Unknown Lake", "hierarchical_label"] == ""
    table = _queue(classed)
    assert TARN not in table.index
    assert table.loc["Unknown Lake", "reason"] == "doubtful"
    assert "the class does not mean this label" in table.loc["Unknown Lake", "evidence"]


def test_a_verdict_on_another_suggestion_returns(classed) -> None:
    _judge("river", suggested="church")
    assert _queue(classed).loc[TARN, "reason"] == "stale"
    assert _labels(classed).loc["Unknown Lake", "hierarchical_label"] == "river"  # and holds until it is replaced


def test_show_says_which_class_gave_the_label(classed) -> None:
    _judge("lake")
    release.run(classed.params)
    text = show("Unknown Lake", classed.params)
    assert "lake  by ana on 2026-01-03: all of the class tarn (Q900)" in text
    assert "tarn > lake > natural  (source: annotators, by class)" in text
    assert "all of the class" not in show("Red Chapel", classed.params)
