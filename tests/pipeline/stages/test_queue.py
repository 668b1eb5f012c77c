"""The stage `queue`: which categories are in it, their order, and which do not return."""

from pathlib import Path

import pandas as pd

from hgld.foundation.tables import read_csv, read_parquet, write_parquet
from hgld.hierarchy.curation.errata import Report
from hgld.hierarchy.curation.verdict import COLUMNS as VERDICT
from hgld.hierarchy.curation.verdict import Verdict
from hgld.hierarchy.curation.verdicts import append_verdict
from hgld.pipeline.stages.queue import COLUMNS, controls, order, pending_rows, run


def _verdict(category: str, label: str, annotator: str = "ana") -> Verdict:
    return Verdict(category, label, "", "", "", annotator, "2026-01-03")


def _queue(world) -> pd.DataFrame:
    run(world.params)
    return read_csv(world.data / "queue" / "queue.csv", COLUMNS).set_index("category")


def test_doubtful_categories_are_ordered_by_doubt_times_images(proposed) -> None:
    queue = _queue(proposed)
    # (1 - margin) × all images of train and index, embedded or not
    assert queue["priority"].to_dict() == {
        'Nowhere, "Purple"': "2.7000", "Torn Place": "2.0000", "Unknown Lake": "1.6000",
        **dict.fromkeys(queue.index[queue["reason"] == "control"], "1.6000"),
    }  # fmt: skip
    assert list(queue.index[:3]) == ['Nowhere, "Purple"', "Torn Place", "Unknown Lake"]
    assert queue["reason"].to_list() == ["doubtful", "ambiguous", "doubtful", "control", "control"]


def test_a_suggestion_has_its_source_scores_and_evidence(proposed) -> None:
    queue = _queue(proposed)
    lake = queue.loc["Unknown Lake"]
    assert lake[["suggested_label", "suggested_by", "score", "margin", "runner_up", "images"]].to_list() == [
        "lake", "clip", "0.5500", "0.2000", "church", "2",
    ]  # fmt: skip
    assert lake["evidence"] == "test CLIP: 2 images; no item found"
    assert "Q105 church, Q106 lake" in queue.loc["Torn Place", "evidence"]
    assert queue.loc["Torn Place", "suggested_by"] == ""


def test_one_control_of_each_source_is_drawn_by_hash(proposed) -> None:
    controls = _queue(proposed).query("reason == 'control'")
    assert sorted(controls["suggested_by"]) == ["clip", "wikidata"]
    path = proposed.data / "build" / "labels.parquet"
    write_parquet(read_parquet(path).iloc[::-1], path)
    assert list(_queue(proposed).query("reason == 'control'").index) == list(controls.index)


def test_judged_categories_do_not_return(proposed) -> None:
    controls = _queue(proposed).query("reason == 'control'").index
    for name in ("Unknown Lake", *controls):
        append_verdict(Path("review"), _verdict(name, ""))
    assert list(_queue(proposed).index) == ['Nowhere, "Purple"', "Torn Place"]


def test_a_category_with_a_stale_verdict_returns(proposed) -> None:
    def judge(label: str, suggested: str, on: str) -> None:
        append_verdict(Path("review"), Verdict("Red Chapel", label, suggested, "clip", "", "ana", on))

    judge("lake", "lake", "2026-01-03")
    queue = _queue(proposed)
    red = queue.loc["Red Chapel"]
    assert red[["suggested_label", "suggested_by", "reason", "priority"]].to_list() == [
        "church", "wikidata", "stale", "3.0000",
    ]  # fmt: skip
    assert red["evidence"].startswith("ana said lake on 2026-01-03, when lake was suggested; Wikidata by sitelink")
    assert queue.index[0] == "Red Chapel"  # three images × a doubt of 1
    judge("lake", "church", "2026-01-04")
    assert "Red Chapel" not in _queue(proposed).index


def test_a_verdict_equal_to_the_new_suggestion_is_not_stale(proposed) -> None:
    append_verdict(Path("review"), Verdict("Red Chapel", "church", "lake", "clip", "", "ana", "2026-01-03"))
    assert "Red Chapel" not in _queue(proposed).index


def test_conflicts_come_first(proposed) -> None:
    append_verdict(Path("review"), _verdict("Red Chapel", "church"))
    append_verdict(Path("review"), _verdict("Red Chapel", "", "bob"))
    queue = _queue(proposed)
    first = queue.iloc[0]
    assert (queue.index[0], first["reason"], first["suggested_label"]) == ("Red Chapel", "conflict", "church")
    assert first["evidence"].startswith("ana: church, bob: (empty); Wikidata by sitelink: Q101: Q16970")
    append_verdict(Path("review"), _verdict("Red Chapel", "church", "bob"))
    assert "Red Chapel" not in _queue(proposed).index


def test_a_category_with_several_agreeing_items_is_queued_as_ambiguous(proposed) -> None:
    path = proposed.data / "build" / "labels.parquet"
    labels = read_parquet(path)
    labels.loc[labels["category"] == "Blue Lake", ["candidates", "note"]] = [2, "2 candidates"]
    write_parquet(labels, path)
    blue = _queue(proposed).loc["Blue Lake"]
    assert (blue["reason"], blue["priority"]) == ("ambiguous", "0.7500")
    assert blue["evidence"] == "Wikidata by sitelink: Q103: Q23397; one of 2 candidate items; 2 candidates"


def test_every_tenth_entry_is_a_control() -> None:
    names = [f"doubtful {number:02d}" for number in range(30)] + [f"sure {number}" for number in range(5)]
    rows = [
        dict.fromkeys(COLUMNS, "") | {"category": name, "suggested_by": "clip", "images": 1,
                                      "priority": float(100 - number), "reason": "doubtful" * name.startswith("d")}
        for number, name in enumerate(names)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    queue = order(table, controls(table, 4, seed=0), seed=0)
    positions = [number for number, reason in enumerate(queue["reason"]) if reason == "control"]
    assert positions == [9, 19, 29, 33]
    priorities = queue["priority"].astype(float)
    assert priorities.is_monotonic_decreasing
    other = order(table, controls(table, 4, seed=1), seed=1)
    assert set(other["category"]) != set(queue["category"])


def test_controls_are_queued_when_nothing_is_doubtful(proposed) -> None:
    for name in ('Nowhere, "Purple"', "Torn Place", "Unknown Lake"):
        append_verdict(Path("review"), _verdict(name, ""))
    queue = _queue(proposed)
    assert queue["reason"].to_list() == ["control", "control"]
    for name in queue.index:
        append_verdict(Path("review"), _verdict(name, ""))
    assert _queue(proposed).empty


def test_reports_come_first_with_what_was_said() -> None:
    candidates = [("A", 5, "doubtful"), ("B", 2, ""), ("C", 9, "doubtful"), ("D", 4, ""), ("E", 3, "")]
    rows = [
        {"category": name, "kind": "landmark", "suggested_label": "lake", "suggested_by": "wikidata", "score": "",
         "margin": "", "runner_up": "", "images": images, "priority": 0.5, "reason": reason, "evidence": f"of {name}"}
        for name, images, reason in candidates
    ]  # fmt: skip
    judged = [
        ("C", "lake", "ana", "2026-01-01"), ("C", "river", "bob", "2026-01-01"),
        ("D", "river", "ana", "2026-01-01"), ("E", "river", "ana", "2026-01-05"),
    ]  # fmt: skip
    verdicts = pd.DataFrame(
        [dict.fromkeys(VERDICT, "") | {"category": name, "hierarchical_label": label, "annotator": annotator,
         "decided_on": day} for name, label, annotator, day in judged], columns=VERDICT,
    )  # fmt: skip
    reports = [Report(name, f"{name} is wrong", "", "2026-01-03", by="Zoe") for name in "BCDE"]
    queue = order(pending_rows(pd.DataFrame(rows), verdicts, reports=reports), [], seed=0)
    assert list(zip(queue["category"], queue["reason"], queue["priority"], strict=True)) == [
        ("D", "reported", "4.0000"),  # its verdict is older than the report; that on E is newer
        ("B", "reported", "2.0000"),
        ("C", "conflict", "9.0000"),  # also reported
        ("A", "doubtful", "0.5000"),
    ]
    evidence = dict(zip(queue["category"], queue["evidence"], strict=True))
    assert evidence["B"] == "reported on 2026-01-03 by Zoe: B is wrong; of B"
    assert evidence["C"] == "ana: lake, bob: river; reported on 2026-01-03 by Zoe: C is wrong; of C"
    said = "ana said river on 2026-01-01, when nothing was suggested"
    assert evidence["D"] == f"reported on 2026-01-03 by Zoe: D is wrong; {said}; of D"
