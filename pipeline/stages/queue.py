"""Stage `queue`: the categories and classes for review, most useful first.

A category is queued because somebody reported its label as wrong, its verdicts conflict, its Wikidata item is
ambiguous, its proposal is doubtful or missing, or because it was drawn as a control of what was accepted; a class,
because several such categories have it, which one verdict settles. What has been judged returns only if it was reported
after its verdict, or if the verdict is stale: the suggestion differs from the one that the annotator saw.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hgld.foundation.display.visible import echo
from hgld.foundation.files import replacing
from hgld.foundation.settings import Params, Queue, profiles
from hgld.foundation.tables import write_csv
from hgld.hierarchy.curation.errata import Report, load_reports, open_reports
from hgld.hierarchy.curation.quality.precision import confirmations
from hgld.hierarchy.curation.settled_verdicts import is_stale, settled
from hgld.hierarchy.curation.verdict import CLASS, LANDMARK
from hgld.hierarchy.curation.verdict_checks import without_effect
from hgld.hierarchy.curation.verdicts import REVIEW_FOLDER, load_all_verdicts
from hgld.hierarchy.fusion.class_candidates import class_candidates
from hgld.hierarchy.fusion.class_verdicts import ClassVerdicts
from hgld.hierarchy.fusion.evidence_kinds import BY_CLASS, proposal_sources
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy, load_taxonomy
from hgld.pipeline.dataset.landmark_classes import LandmarkClasses, class_verdicts, read_landmark_classes
from hgld.pipeline.dataset.landmarks import image_counts, labels_and_proposals
from hgld.pipeline.dataset.schemas import read_stage_table

Row = Mapping[Any, Any]

COLUMNS = ["category", "kind", "suggested_label", "suggested_by", "score", "margin", "runner_up", "images",
           "priority", "reason", "evidence"]  # fmt: skip

# Annotators rarely reach the end of a queue, so controls are spread: every tenth entry is one.
CONTROL_STEP = 10

# The doubt about a category with several candidate items that agree on the label: a verdict rarely changes it.
SEVERAL_ITEMS_DOUBT = 0.25


def run(params: Params) -> None:
    """Write `data/P/queue/queue.csv`.

    Raises HgldError when a verdict file, or that of the reports, is malformed.
    """
    taxonomy = load_taxonomy(Path(params.build.taxonomy))
    natures = taxonomy.natures
    verdicts = load_all_verdicts(REVIEW_FOLDER, natures, params.verdict_profiles)
    landmarks, classes = candidate_tables(read_suggestions(params, taxonomy), verdicts[CLASS].given)
    pending = []
    for kind, table, reports in ((LANDMARK, landmarks, load_reports(REVIEW_FOLDER)), (CLASS, classes, [])):
        pending.append(pending_rows(table, verdicts[kind].given, params.release.adjudicators, reports))
    drawn = controls(landmarks, params.queue.control, params.queue.seed)
    queue = order(pd.concat(pending, ignore_index=True), drawn, params.queue.seed)
    with replacing(params.data / "queue", directory=True) as folder:
        write_csv(queue, folder / "queue.csv")
    reasons = queue["reason"].value_counts().sort_index()
    names = profiles() if Path("params.yaml").is_file() else ()
    if warnings := without_effect(REVIEW_FOLDER, natures, params.profile, landmarks["category"], names):
        echo(*warnings)
    echo(f"{len(queue)} to review: " + ", ".join(f"{count} {name}" for name, count in reasons.items()))


@dataclass(frozen=True)
class Suggestions:
    """What the stages suggest for the categories, which verdicts on classes may change.

    labels, proposals, by_name: of the stages build and refine, by_name for the names of classes; images: of each
    category.
    """

    params: Params
    taxonomy: Taxonomy
    labels: pd.DataFrame
    proposals: pd.DataFrame
    by_name: pd.DataFrame
    classes: LandmarkClasses
    images: "pd.Series[int]"


def read_suggestions(params: Params, taxonomy: Taxonomy) -> Suggestions:
    """Read the tables of the stages. Raises HgldError for a damaged one."""
    labels, proposals = labels_and_proposals(params, taxonomy.natures, proposal_sources())
    path = params.data / "refine" / "classes.parquet"
    by_name = read_stage_table(path) if path.is_file() else pd.DataFrame(columns=["class"])
    classes = read_landmark_classes(params, taxonomy, labels)
    return Suggestions(params, taxonomy, labels, proposals, by_name, classes, image_counts(params))


def candidate_tables(suggestions: Suggestions, verdicts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What may be reviewed (columns COLUMNS): every category, and the classes that several of them have.

    verdicts: those on classes.
    """
    by_class = class_verdicts(suggestions.params, suggestions.taxonomy, suggestions.classes, verdicts)
    landmarks = candidates(suggestions.labels, suggestions.proposals, by_class, suggestions.images)
    return landmarks, class_candidates(landmarks, suggestions.classes.of, suggestions.by_name)


def candidates(
    labels: pd.DataFrame, proposals: pd.DataFrame, verdicts: ClassVerdicts, images: "pd.Series[int]"
) -> pd.DataFrame:
    """Every category with its suggested label, and the reason to review it (columns COLUMNS).

    `reason` is empty for an accepted label, and for a proposal with the outcome `empty`. score and margin are text,
    images and priority numbers.

    verdicts: those on classes; images: the number of images of each category.
    """
    proposal_of = {str(row["category"]): row for row in proposals.to_dict("records")}
    claim_of = {str(row["category"]): row for row in verdicts.claims.to_dict("records")}
    image_count = {str(category): int(count) for category, count in images.items()}
    rows = []
    for row in labels.sort_values("category").to_dict("records"):
        category = str(row["category"])
        if row["hierarchical_label"]:
            entry = _from_wikidata(row)
        elif category in claim_of:
            entry = _entry(claim_of[category]["hierarchical_label"], BY_CLASS, 0.0, "", claim_of[category]["note"])
        elif category in proposal_of:
            entry = _from_proposal(row, proposal_of[category], verdicts.refuted)
        else:
            entry = _without_suggestion(row)
        count = image_count.get(category, 0)
        priority = round(entry["doubt"] * count, 4)
        rows.append({**entry, "category": category, "kind": LANDMARK, "images": count, "priority": priority})
    return pd.DataFrame(rows, columns=COLUMNS)


def _from_wikidata(row: Row) -> dict[str, Any]:
    """A label from Wikidata: ambiguous where the category has several candidate items."""
    several = row["candidates"] > 1
    chain = f"Wikidata by {row['method']}: {row['qid']}: {row['path']}"
    evidence = _join(chain, f"one of {row['candidates']} candidate items" if several else "", row["note"])
    reason = "ambiguous" if several else ""
    return _entry(row["hierarchical_label"], "wikidata", SEVERAL_ITEMS_DOUBT, reason, evidence)


def _from_proposal(row: Row, proposal: Row, refuted: Collection[tuple[str, str]]) -> dict[str, Any]:
    """A proposal: doubtful between the thresholds, ambiguous where Wikidata's candidate items disagree."""
    taken_back = proposal["source"] == "class" and (row["category"], proposal["hierarchical_label"]) in refuted
    doubtful = proposal["outcome"] == "review" or (taken_back and proposal["outcome"] == "accepted")
    reason = "ambiguous" if _is_ambiguous(row) else "doubtful" if doubtful else ""
    remark = "a verdict on its class says that the class does not mean this label" if taken_back else ""
    evidence = _join(proposal["evidence"], remark, row["note"])
    source = "" if proposal["outcome"] == "empty" else proposal["source"]
    entry = _entry(proposal["hierarchical_label"], source, 1 - proposal["margin"], reason, evidence)
    numbers = {name: f"{proposal[name]:.4f}" for name in ("score", "margin")}
    return entry | numbers | {"runner_up": proposal["runner_up"]}


def _without_suggestion(row: Row) -> dict[str, Any]:
    reason = "ambiguous" if _is_ambiguous(row) else "no-proposal"
    return _entry("", "", 1.0, reason, _join("no image that can be read", row["note"]))


def _entry(label: str, source: str, doubt: float, reason: str, evidence: str) -> dict[str, Any]:
    return {
        "suggested_label": label,
        "suggested_by": source,
        **dict.fromkeys(("score", "margin", "runner_up"), ""),
        "doubt": doubt,
        "reason": reason,
        "evidence": evidence,
    }


def _is_ambiguous(row: Row) -> bool:
    return bool(row["note"].startswith("ambiguous"))


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def pending_rows(
    table: pd.DataFrame, verdicts: pd.DataFrame, adjudicators: Collection[str] = (), reports: Collection[Report] = ()
) -> pd.DataFrame:
    """The rows that are open: without a settled verdict, with a stale one, or reported; those in conflict say so.

    table: the candidates of one kind; verdicts: all rows on this kind; reports: of wrong labels, which count while they
    are open and no verdict is newer.
    """
    judged, conflicts = settled(verdicts, adjudicators)
    opinions = _opinions(conflicts)
    reported, table = _reported(table, open_reports(reports, judged), judged)
    pending = pd.concat([reported, table[~table["category"].isin(set(judged["category"]))], _stale(table, judged)])
    disputed = pending["category"].isin(list(opinions))
    texts = [
        _join(opinions.get(category, ""), evidence)
        for category, evidence in zip(pending["category"], pending["evidence"], strict=True)
    ]
    return pending.assign(
        reason=pending["reason"].mask(disputed, "conflict"),
        priority=pending["priority"].astype("float64").mask(disputed, pending["images"].astype("float64")),
        evidence=texts,
    )


def order(pending: pd.DataFrame, drawn: Collection[str], seed: int) -> pd.DataFrame:
    """The queue: reports, conflicts, then by priority = doubt × images that a verdict relabels, controls interleaved.

    The doubt about a report, a conflict and a stale verdict is 1.

    pending: the open rows of all kinds; drawn: the categories drawn as controls.
    """
    first = [pending["reason"] == reason for reason in ("reported", "conflict")]
    rest = pending[~(first[0] | first[1])]
    doubtful = _by_priority(rest[rest["reason"] != ""])
    accepted = rest[(rest["reason"] == "") & rest["category"].isin(list(drawn))].assign(reason="control")
    # In the order of the draw: whoever judges only the first controls has judged a random sample.
    accepted = accepted.sort_values("category", key=lambda names: names.map(lambda name: _hash(seed, name).hex()))
    parts = [*(_by_priority(pending[rows]) for rows in first), _interleave(doubtful, accepted)]
    queue = pd.concat(parts, ignore_index=True)[COLUMNS]
    return queue.assign(priority=[f"{number:.4f}" for number in queue["priority"]])


def _stale(table: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """The judged categories whose suggestion has changed since; the verdict holds until it is replaced."""
    verdict_of = {str(row["category"]): row for row in judged.to_dict("records")}
    rows = []
    for row in table[table["category"].isin(verdict_of)].to_dict("records"):
        verdict = verdict_of[str(row["category"])]
        if is_stale(verdict, str(row["suggested_label"])):
            evidence = _join(_history(verdict), str(row["evidence"]))
            rows.append({**row, "reason": "stale", "priority": float(row["images"]), "evidence": evidence})
    return pd.DataFrame(rows, columns=table.columns).astype(table.dtypes)


def _history(verdict: Row) -> str:
    """What was said about a category before."""
    label = verdict["hierarchical_label"].strip() or "(empty)"
    then = verdict["suggested_label"].strip() or "nothing"
    return f"{verdict['annotator']} said {label} on {verdict['decided_on']}, when {then} was suggested"


def _reported(
    table: pd.DataFrame, reports: Mapping[str, Collection[Report]], judged: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The categories with open reports, also judged ones, with what was reported; and the other categories."""
    verdict_of = {str(row["category"]): row for row in judged.to_dict("records")}
    chosen = table["category"].isin(set(reports))
    evidence = []
    for category, known in zip(table.loc[chosen, "category"], table.loc[chosen, "evidence"], strict=True):
        history = _history(verdict_of[category]) if category in verdict_of else ""
        evidence.append(_join(*(report.text() for report in reports[category]), history, known))
    rows = table[chosen].assign(reason="reported", evidence=pd.Series(evidence, table.index[chosen], dtype="str"))
    return rows.assign(priority=rows["images"].astype("float64")), table[~chosen]


def _opinions(conflicts: pd.DataFrame) -> dict[str, str]:
    """Disputed category → the label of each annotator."""
    texts = conflicts["annotator"] + ": " + conflicts["hierarchical_label"].replace("", "(empty)")
    return {str(category): ", ".join(group) for category, group in texts.groupby(conflicts["category"], sort=True)}


def _by_priority(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["priority", "category"], ascending=[False, True], ignore_index=True)


def controls(table: pd.DataFrame, control: int, seed: int) -> set[str]:
    """The `control` accepted categories of each source with the smallest seeded hash.

    Drawn before judged categories are removed, so that a judged control is not replaced by another, and so that the
    quality report can draw the same ones.

    table: from `candidates`.
    """
    drawn: set[str] = set()
    for _, names in table[table["reason"] == ""].groupby("suggested_by", sort=True)["category"]:
        drawn |= set(sorted(names, key=lambda name: _hash(seed, name))[:control])
    return drawn


def judged_controls(table: pd.DataFrame, verdicts: pd.DataFrame, settings: Queue) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The labels accepted without a verdict, and the verdicts on the controls among them (see confirmations).

    An accepted proposal without a label is not a label.

    table: from `candidates`; verdicts: all rows on landmarks.
    """
    accepted = table[(table["reason"] == "") & (table["suggested_label"] != "") & (table["suggested_by"] != "")]
    return accepted, confirmations(verdicts, accepted, controls(table, settings.control, settings.seed))


def _hash(seed: int, category: str) -> bytes:
    return hashlib.sha256(f"{seed} {category}".encode()).digest()


def _interleave(doubtful: pd.DataFrame, controls: pd.DataFrame) -> pd.DataFrame:
    """After every nine doubtful categories a control, with the priority of the category before it."""
    positions = [float(row + 1) for row in range(len(doubtful))]
    slots = [(CONTROL_STEP - 1) * (row + 1) + 0.5 for row in range(len(controls))]
    inherited = [_priority_at(doubtful, int(slot)) for slot in slots]
    mixed = pd.concat(
        [doubtful.assign(position=positions), controls.assign(position=slots, priority=inherited)],
        ignore_index=True,
    )
    return mixed.sort_values("position", kind="stable", ignore_index=True).drop(columns="position")


def _priority_at(doubtful: pd.DataFrame, position: int) -> float:
    return float(doubtful["priority"].iloc[min(position, len(doubtful)) - 1]) if len(doubtful) else 0.0
