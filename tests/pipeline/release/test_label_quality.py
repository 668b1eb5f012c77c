"""Precision per label from the judged controls, and why landmarks have no label."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hgld.foundation.tables import read_csv, read_parquet
from hgld.hierarchy.curation.quality.precision import confirmations, wilson
from hgld.hierarchy.curation.verdict import COLUMNS, Verdict
from hgld.hierarchy.curation.verdicts import append_verdict
from hgld.pipeline.release.label_quality import OF_ALL, REASONS, label_quality, missing_labels, quality_numbers
from hgld.pipeline.stages import queue, release


def _accepted(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["category", "suggested_label", "suggested_by"], dtype="str")


def _released(accepted: pd.DataFrame, verdicts: dict[str, str]) -> pd.DataFrame:
    """The labels after the verdicts."""
    table = accepted.rename(columns={"suggested_label": "hierarchical_label", "suggested_by": "source"})
    judged = table["category"].isin(list(verdicts))
    labels = table["category"].map(verdicts).where(judged, table["hierarchical_label"])
    kinds = labels.map({"lake": "natural", "church": "human-made", "": ""})
    source = table["source"].mask(judged, "review")
    return table.assign(hierarchical_label=labels, natural_or_human_made=kinds, source=source, note="")


def _verdicts(accepted: pd.DataFrame, said: dict[str, str]) -> pd.DataFrame:
    rows = [
        Verdict(row["category"], said[row["category"]], row["suggested_label"], row["suggested_by"], "", "ana",
                "2026-01-03", "", "sample")
        for row in accepted.to_dict("records") if row["category"] in said
    ]  # fmt: skip
    return pd.DataFrame([tuple(vars(row).values()) for row in rows], columns=COLUMNS, dtype="str")


def test_each_label_has_the_confirmed_fraction_of_its_controls_weighted_by_source() -> None:
    accepted = _accepted(
        *((f"w{n}", "lake", "wikidata") for n in range(30)),
        *((f"c{n}", "lake", "clip") for n in range(10)),
        *((f"k{n}", "church", "wikidata") for n in range(8)),
    )
    # of the lakes: all 4 of wikidata's controls, and 1 of 2 of CLIP's; no control of a church
    said = {"w0": "lake", "w1": "lake", "w2": "lake", "w3": "lake", "c0": "lake", "c1": "church"}
    judged = confirmations(_verdicts(accepted, said), accepted, set(said))
    table = label_quality(_released(accepted, said), accepted, judged).set_index("hierarchical_label")
    assert list(table.index) == ["church", "lake", OF_ALL]
    lake, church = table.loc["lake"], table.loc["church"]
    assert (lake["categories"], lake["from_wikidata"], lake["from_clip"], lake["from_review"]) == (39, 26, 8, 5)
    assert (church["categories"], church["from_review"], church["natural_or_human_made"]) == (9, 1, "human-made")
    assert lake["controls"] == 6 and lake["precision"] == pytest.approx(0.75 * 1 + 0.25 * 0.5)
    assert 0 < lake["precision_low"] < lake["precision"] < lake["precision_high"] <= 1
    assert church["controls"] == 0 and math.isnan(church["precision"])
    everything = table.loc[OF_ALL]
    assert (everything["categories"], everything["controls"]) == (48, 6)
    assert everything["precision"] == pytest.approx((38 * 1 + 10 * 0.5) / 48)
    assert quality_numbers(table.reset_index()).keys() == {"lake", OF_ALL}


def test_the_interval_holds_the_precision_of_a_label() -> None:
    """200 samples of 40 controls of a label with known precision: the interval holds it in at least 93 %."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        accepted = _accepted(*((f"w{n}", "lake", "wikidata") for n in range(40)))
        right = rng.random(40) < 0.85
        said = {f"w{n}": "lake" if right[n] else "church" for n in range(40)}
        judged = confirmations(_verdicts(accepted, said), accepted, set(said))
        row = label_quality(_released(accepted, {}), accepted, judged).iloc[-1]
        held += row["precision_low"] <= 0.85 <= row["precision_high"]
    assert held >= 0.93 * 200
    assert row["precision_low"] <= wilson(right.sum(), 40)[0]


def test_without_verdicts_there_are_counts_and_no_precision(proposed) -> None:
    release.run(proposed.params)
    table = read_parquet(proposed.data / "release" / "quality.parquet").set_index("hierarchical_label")
    assert (table["controls"] == 0).all() and table["precision"].isna().all()
    sources = [name for name in table if name.startswith("from_")]
    assert (table[sources].sum(axis=1) == table["categories"]).all()
    assert table.loc[OF_ALL, "categories"] == table.drop(index=OF_ALL)["categories"].sum()
    card = json.loads((proposed.data / "release" / "card.json").read_text(encoding="utf-8"))
    assert card["quality"][OF_ALL]["precision"] is None


def test_a_judged_control_is_in_the_release(proposed) -> None:
    queue.run(proposed.params)
    rows = read_csv(proposed.data / "queue" / "queue.csv", queue.COLUMNS)
    control = rows[rows["reason"] == "control"].iloc[0]
    label = control["suggested_label"]
    verdict = Verdict(control["category"], label, label, control["suggested_by"], "", "ana", "2026-01-03")
    append_verdict(Path("review"), verdict)
    release.run(proposed.params)
    table = read_parquet(proposed.data / "release" / "quality.parquet").set_index("hierarchical_label")
    assert table.loc[label, "controls"] == table.loc[OF_ALL, "controls"] == 1
    assert table.loc[label, "from_review"] == 1
    readme = (proposed.data / "release" / "README.md").read_text(encoding="utf-8")
    assert "| label | categories | controls judged | precision |" in readme


def test_every_category_without_a_label_has_a_reason(proposed) -> None:
    release.run(proposed.params)
    labels = read_parquet(proposed.data / "release" / "labels.parquet")
    card = json.loads((proposed.data / "release" / "card.json").read_text(encoding="utf-8"))
    assert list(card["missing"]) == list(REASONS)
    missing = sum(counts["categories"] for counts in card["missing"].values())
    assert missing == (labels["hierarchical_label"] == "").sum() > 0
    assert card["missing"]["other"]["categories"] == 0
    train = read_parquet(proposed.data / "release" / "train.parquet")
    unlabelled = (train["hierarchical_label"] == "") & (train["category"] != "")
    assert sum(counts["train"] for counts in card["missing"].values()) == unlabelled.sum()


@pytest.mark.parametrize(("source", "note", "reason"), [
    ("", "no class leads to a label: building (Q41176)", "no class leads to a label"),
    ("", "only ignored classes: place (Q17334923)", "no class leads to a label"),
    ("review", "not a place", "annotators gave no label"),
    ("", "something new", "other"),
])  # fmt: skip
def test_reasons(source: str, note: str, reason: str) -> None:
    labels = pd.DataFrame({"category": ["A"], "hierarchical_label": [""], "source": [source], "note": [note]})
    images = {"train": pd.DataFrame({"category": ["A", "A", "B", ""]})}
    counts = missing_labels(labels, images)
    assert counts[reason] == {"categories": 1, "train": 2}
    assert sum(row["categories"] for row in counts.values()) == 1
