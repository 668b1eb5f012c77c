"""Stage `queue`: what a person should look at, most useful first.

A category enters because its verdicts conflict, its Wikidata item is ambiguous, its proposal is doubtful or missing,
or because it was drawn as a control of what was accepted. What has been judged does not come back, unless it is stale:
the machine suggests another label now than the annotator saw.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hgld.foundation.files import replacing
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet, write_csv
from hgld.hierarchy.curation.verdicts import VERDICTS, load_verdicts, settled, stale
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.dataset.landmarks import image_counts

Row = Mapping[Any, Any]

COLUMNS = ["category", "suggested_label", "suggested_by", "score", "margin", "runner_up", "images", "priority",
           "reason", "evidence"]  # fmt: skip

# Nobody works a queue to its end: a control that came last would never be seen. One comes after nine others.
CONTROL_STEP = 10

# Several items may be meant, but all that count have the same label: a verdict rarely changes it.
AGREED = 0.25


def run(params: Params) -> None:
    """Write `data/P/queue/queue.csv`.

    Raises HgldError when a verdict file is malformed.
    """
    labels = read_parquet(params.data / "build" / "labels.parquet")
    proposals = read_parquet(params.data / "refine" / "proposals.parquet")
    verdicts = load_verdicts(VERDICTS, load_taxonomy(Path(params.build.taxonomy)).natures)
    table = candidates(labels, proposals, image_counts(params))
    queue = order(table, verdicts, params.queue.control, params.queue.seed)
    with replacing(params.data / "queue", directory=True) as folder:
        write_csv(queue, folder / "queue.csv")
    reasons = queue["reason"].value_counts().sort_index()
    print(f"{len(queue)} to review: " + ", ".join(f"{number} {name}" for name, number in reasons.items()))


def candidates(labels: pd.DataFrame, proposals: pd.DataFrame, images: "pd.Series[int]") -> pd.DataFrame:
    """Every category with what is suggested for it, and why it may need a look (columns COLUMNS).

    `reason` is empty for what stays as it is: accepted, or left empty for want of any idea; score and margin are
    text, images and priority numbers.

    images: how many images a category has.
    """
    known = {str(one["category"]): one for one in proposals.to_dict("records")}
    moved = {str(category): int(number) for category, number in images.items()}
    rows = []
    for row in labels.sort_values("category").to_dict("records"):
        category = str(row["category"])
        if row["hierarchical_label"]:
            look = _of_wikidata(row)
        elif category in known:
            look = _of_evidence(row, known[category])
        else:
            look = _of_nobody(row)
        number = moved.get(category, 0)
        rows.append(
            {**look, "category": category, "images": number, "priority": round(look["doubt"] * number, 4)}
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_wikidata(row: Row) -> dict[str, Any]:
    """A label of Wikidata: doubtful where several items may be meant."""
    several = row["candidates"] > 1
    chain = f"Wikidata by {row['method']}: {row['qid']}: {row['path']}"
    evidence = _join(chain, f"one of {row['candidates']} candidate items" if several else "", row["note"])
    return _look(row["hierarchical_label"], "wikidata", AGREED, "ambiguous" if several else "", evidence)


def _of_evidence(row: Row, proposal: Row) -> dict[str, Any]:
    """A proposal: doubtful when a person should see it, or when Wikidata's items contradict each other."""
    reason = "ambiguous" if _torn(row) else "doubtful" if proposal["outcome"] == "review" else ""
    evidence = _join(proposal["evidence"], row["note"])
    by = "" if proposal["outcome"] == "empty" else proposal["source"]
    look = _look(proposal["hierarchical_label"], by, 1 - proposal["margin"], reason, evidence)
    numbers = {name: f"{proposal[name]:.4f}" for name in ("score", "margin")}
    return look | numbers | {"runner_up": proposal["runner_up"]}


def _of_nobody(row: Row) -> dict[str, Any]:
    reason = "ambiguous" if _torn(row) else "no-proposal"
    return _look("", "", 1.0, reason, _join("no image that can be read", row["note"]))


def _look(label: str, by: str, doubt: float, reason: str, evidence: str) -> dict[str, Any]:
    empty = dict.fromkeys(("score", "margin", "runner_up"), "")
    return {
        "suggested_label": label,
        "suggested_by": by,
        **empty,
        "doubt": doubt,
        "reason": reason,
        "evidence": evidence,
    }


def _torn(row: Row) -> bool:
    return bool(row["note"].startswith("ambiguous"))


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def order(table: pd.DataFrame, verdicts: pd.DataFrame, control: int, seed: int) -> pd.DataFrame:
    """The queue: conflicts first, then by priority = doubt × images that a verdict moves, controls spread among them.

    The doubt about a stale verdict is 1.

    table: `candidates`; verdicts: all rows; control: how many to draw from what is accepted, of each source.
    """
    judged, conflicts = settled(verdicts)
    disputed = _opinions(conflicts)
    drawn = _draw(table[table["reason"] == ""], control, seed)
    again = _stale(table, judged)
    open_ = pd.concat([table[~table["category"].isin(set(judged["category"]))], again])
    first = open_[open_["category"].isin(disputed.index)]
    first = first.assign(reason="conflict", priority=first["images"].astype("float64"))
    first["evidence"] = first["category"].map(disputed) + "; " + first["evidence"]
    rest = open_[~open_["category"].isin(disputed.index)]
    doubtful = _by_priority(rest[rest["reason"] != ""])
    controls = rest[rest["category"].isin(drawn)].assign(reason="control")
    queue = pd.concat([_by_priority(first), _spread(doubtful, controls)], ignore_index=True)[COLUMNS]
    return queue.assign(priority=[f"{number:.4f}" for number in queue["priority"]])


def _stale(table: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """The judged categories for which another label is suggested now; the verdict holds until it is replaced."""
    verdicts = {str(row["category"]): row for row in judged.to_dict("records")}
    rows = []
    for row in table[table["category"].isin(verdicts)].to_dict("records"):
        verdict = verdicts[str(row["category"])]
        if stale(verdict, str(row["suggested_label"])):
            said = verdict["hierarchical_label"].strip() or "(empty)"
            was = verdict["suggested_label"].strip() or "nothing"
            told = f"{verdict['annotator']} said {said} on {verdict['decided_on']}, when {was} was suggested"
            evidence = _join(told, str(row["evidence"]))
            rows.append({**row, "reason": "stale", "priority": float(row["images"]), "evidence": evidence})
    return pd.DataFrame(rows, columns=table.columns).astype(table.dtypes)


def _opinions(conflicts: pd.DataFrame) -> "pd.Series[str]":
    """Who says what about each disputed category."""
    said = conflicts["annotator"] + ": " + conflicts["hierarchical_label"].replace("", "(empty)")
    return said.groupby(conflicts["category"], sort=True).agg(", ".join)


def _by_priority(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["priority", "category"], ascending=[False, True], ignore_index=True)


def _draw(pool: pd.DataFrame, control: int, seed: int) -> set[str]:
    """The `control` accepted categories of each source whose seeded hashes come first.

    Drawn before the judged are taken out, so a judged control is not replaced: the sample stays one sample.
    """
    drawn: set[str] = set()
    for _, names in pool.groupby("suggested_by", sort=True)["category"]:
        drawn |= set(sorted(names, key=lambda name: _hash(seed, name))[:control])
    return drawn


def _hash(seed: int, category: str) -> bytes:
    return hashlib.sha256(f"{seed} {category}".encode()).digest()


def _spread(doubtful: pd.DataFrame, controls: pd.DataFrame) -> pd.DataFrame:
    """Both in one order: after every nine doubtful ones a control, which takes over the priority of its place."""
    places = [float(number + 1) for number in range(len(doubtful))]
    slots = [(CONTROL_STEP - 1) * (number + 1) + 0.5 for number in range(len(controls))]
    inherited = [_priority_at(doubtful, int(slot)) for slot in slots]
    mixed = pd.concat(
        [doubtful.assign(place=places), controls.assign(place=slots, priority=inherited)], ignore_index=True
    )
    return mixed.sort_values("place", kind="stable", ignore_index=True).drop(columns="place")


def _priority_at(doubtful: pd.DataFrame, place: int) -> float:
    return float(doubtful["priority"].iloc[min(place, len(doubtful)) - 1]) if len(doubtful) else 0.0
