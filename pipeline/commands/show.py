"""`hgld show`: the chain of evidence of one label, from the landmark's category to the decision."""

import unicodedata
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.hierarchy.curation.settled_verdicts import is_stale, settled
from hgld.hierarchy.curation.verdict import CLASS, LANDMARK, UNSURE
from hgld.hierarchy.curation.verdicts import REVIEW_FOLDER, load_all_verdicts, load_verdicts
from hgld.hierarchy.fusion.evidence_kinds import titles
from hgld.hierarchy.taxonomy.commons_category import category_url
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.dataset.landmark_classes import read_class_verdicts, read_landmark_classes
from hgld.pipeline.dataset.landmark_search import categories_by_id, category_by_name
from hgld.pipeline.dataset.landmarks import SPLITS, image_count, landmark_table
from hgld.pipeline.dataset.places import gazetteer
from hgld.pipeline.dataset.schemas import read_stage_table


class _Line(NamedTuple):
    """One line of the output."""

    name: str
    value: str


def show(key: str, params: Params) -> str:
    """The evidence for a landmark id or a Commons category (URL or name in any spelling), as plain text.

    An id is looked up in train and in index: they are different landmarks, and both are shown.

    Raises HgldError if there is no such landmark or category, and suggests the most similar name.
    """
    if any(unicodedata.category(char) == "Cs" for char in key):
        raise HgldError(f"{key!r} is not UTF-8 text; give a landmark id, or a category's name or URL")
    tables = {split: landmark_table(params, split) for split in SPLITS}
    categories = categories_by_id(key.strip(), tables) or {"": category_by_name(key, tables)}
    verdicts = _all_verdicts(params)
    sections = []
    for split, category in categories.items():
        heading = visible(f"{split} landmark {key.strip()}" if split else category)
        lines = _evidence_lines(category, params, tables, verdicts)
        sections.append("\n".join([heading, *_align(lines)]))
    return "\n\n".join(sections)


def _all_verdicts(params: Params) -> pd.DataFrame:
    """Those on landmarks, also unsure ones, and those of other profiles, which do not count (column counts)."""
    profiles = {"", *params.verdict_profiles}
    labels = load_taxonomy(Path(params.build.taxonomy)).natures
    tables = []
    for counts, chosen in ((True, profiles), (False, None)):
        verdicts = load_all_verdicts(REVIEW_FOLDER, labels, chosen)[LANDMARK]
        table = pd.concat([verdicts.given, verdicts.unsure], ignore_index=True)
        tables.append(table[table["profile"].isin(profiles) == counts].assign(counts=counts))
    return pd.concat(tables, ignore_index=True)


def _align(lines: list[_Line]) -> list[str]:
    width = max(len(line.name) for line in lines)
    return [f"  {line.name:<{width}}  {visible(line.value)}".rstrip() for line in lines]


def _evidence_lines(
    category: str, params: Params, tables: Mapping[str, pd.DataFrame], verdicts: pd.DataFrame
) -> list[_Line]:
    lines = [_Line("category", category), _Line("page", category_url(category))]
    for split, table in tables.items():
        ids = list(table.loc[table["category"] == category, "landmark_id"])
        count = image_count(params, split, ids)
        lines += [_Line(split, f"landmark {', '.join(ids)}, images: {count}")] if ids else []
    labels = read_stage_table(params.data / "wikidata" / "class_labels.parquet")
    class_names = dict(zip(labels["qid"], labels["label"], strict=True))
    own_verdicts = verdicts[verdicts["category"] == category]
    lines += _item_lines(category, params, class_names)
    label = _row(params.data / "build" / "labels.parquet", category)
    proposals = params.data / "refine" / "proposals.parquet"
    proposal = _row(proposals, category) if proposals.is_file() else None
    lines += _wikidata_lines(label, class_names)
    lines += _proposal_lines(proposal, params)
    lines += _class_verdict_lines(category, params)
    lines += _verdict_lines(own_verdicts, _suggested_label(label, proposal), params.release.adjudicators)
    counted = own_verdicts[own_verdicts["counts"] & (own_verdicts["answer"] != UNSURE)]
    return [*lines, _released_line(category, params, counted)]


def _item_lines(category: str, params: Params, class_names: Mapping[str, str]) -> list[_Line]:
    """The candidate items of the category, and of each the classes with their outcome, and the place."""
    data = params.data
    items = read_stage_table(data / "wikidata" / "items.parquet", ["category", "qid", "method", "confidence"])
    item_classes = read_stage_table(data / "wikidata" / "item_classes.parquet")
    outcomes = _class_outcomes(category, data / "build" / "considered.parquet")
    lines = []
    for item in items[(items["category"] == category) & (items["qid"] != "")].itertuples(index=False):
        lines.append(_Line("item", f"{item.qid}  matched by {item.method}, confidence {item.confidence}"))
        classes = item_classes.loc[item_classes["qid"] == item.qid, "class"]
        lines += [
            _Line("  class", _class_text(qid, class_names) + outcomes.get((str(item.qid), qid), "")) for qid in classes
        ] or [_Line("  class", "none")]
        lines += _place_lines(str(item.qid), params)
    return lines or [_Line("item", "none")]


def _place_lines(qid: str, params: Params) -> list[_Line]:
    """Countries, continents and coordinates of an item, as in the release; no line for an item without any."""
    facts = read_stage_table(
        params.data / "wikidata" / "item_facts.parquet", ["qid", "countries", "latitude", "longitude"]
    )
    for countries, latitude, longitude in facts.loc[facts["qid"] == qid].iloc[:, 1:].itertuples(index=False, name=None):
        place = gazetteer(params).place(countries.split(), latitude, longitude)
        coordinates = "" if latitude != latitude or longitude != longitude else f"{latitude:g}, {longitude:g}"
        known = [text for text in (place.country, place.continent, coordinates) if text]
        return [_Line("  place", "; ".join(known))] if known else []
    return []


def _class_outcomes(category: str, path: Path) -> dict[tuple[str, str], str]:
    """(Item, class) → the label of the class and its outcome; empty before the stage build has run."""
    if not path.is_file():
        return {}
    table = read_stage_table(path)
    rows = table.loc[table["category"] == category, ["qid", "class", "hierarchical_label", "outcome"]]
    return {
        (item, qid): f": {label.strip()}, {outcome}" if label else f": {outcome}"
        for item, qid, label, outcome in rows.itertuples(index=False, name=None)
    }


def _class_text(qid: str, class_names: Mapping[str, str]) -> str:
    return f"{class_names[qid]} ({qid})" if qid in class_names else qid


def _wikidata_lines(row: dict[Any, Any] | None, class_names: Mapping[str, str]) -> list[_Line]:
    """The label that the classes on Wikidata give."""
    if row is None:
        return [_Line("Wikidata", "not resolved yet; run: dvc repro build")]
    if not row["hierarchical_label"]:
        return [_Line("Wikidata", f"no label: {row['note']}")]
    path = " > ".join(_class_text(qid, class_names) for qid in row["path"].split(">"))
    label = f"{row['supercategory']} > {row['hierarchical_label'].strip()} > {row['natural_or_human_made']}"
    note = [_Line("  note", row["note"])] if row["note"] else []
    return [_Line("path", path), _Line("Wikidata", label), *note]


def _suggested_label(label: dict[Any, Any] | None, proposal: dict[Any, Any] | None) -> str:
    """The label that the queue suggests to the annotators: Wikidata's, else the proposal's, else ""."""
    suggestions = [str(row["hierarchical_label"]) for row in (label, proposal) if row]
    return next(filter(None, suggestions), "")


def _proposal_lines(row: dict[Any, Any] | None, params: Params) -> list[_Line]:
    if row is None:
        return []
    refine = params.refine
    accepted = row["score"] >= refine.accept_score and row["margin"] >= refine.accept_margin
    thresholds = f"score {refine.accept_score:g}, margin {refine.accept_margin:g}"
    outcome = f"accepted (thresholds: {thresholds})" if accepted else f"below the thresholds ({thresholds})"
    text = f"{row['hierarchical_label'].strip()}  score {row['score']:.4f}, margin {row['margin']:.4f}"
    return [
        _Line("proposal", f"{text}, runner-up {row['runner_up'].strip()}; {outcome}"),
        _Line("  evidence", row["evidence"]),
    ]


def _class_verdict_lines(category: str, params: Params) -> list[_Line]:
    """What a verdict on one of the landmark's classes says about it."""
    path = params.data / "build" / "labels.parquet"
    taxonomy = load_taxonomy(Path(params.build.taxonomy))
    if not path.is_file() or load_verdicts(REVIEW_FOLDER, taxonomy.natures, params.verdict_profiles, CLASS).empty:
        return []
    classes = read_landmark_classes(params, taxonomy, read_stage_table(path))
    claims = read_class_verdicts(params, taxonomy, classes, REVIEW_FOLDER).claims
    return [
        _Line(
            "verdict",
            f"{row['hierarchical_label'].strip()}  by {row['annotator']} on {row['decided_on']}: {row['note']}",
        )
        for row in claims[claims["category"] == category].to_dict("records")
    ]


def _verdict_lines(verdicts: pd.DataFrame, suggested: str, adjudicators: Collection[str]) -> list[_Line]:
    """Every verdict on the category, and whether the one that applies answers a suggestion that has changed since."""
    lines = []
    for row in verdicts.to_dict("records"):
        parts = [row["comment"], f"not item {row['rejected_item']}" if row["rejected_item"] else ""]
        comment = "".join(f": {part}" for part in parts if part)
        label = "cannot tell" if row["answer"] == UNSURE else row["hierarchical_label"].strip() or "leave empty"
        label += f" (class {row['supercategory']})" if row["supercategory"] else ""
        other = "" if row["counts"] else f" (given on profile {row['profile']}: does not count here)"
        lines.append(_Line("verdict", f"{label}  by {row['annotator']} on {row['decided_on']}{other}{comment}"))
    agreed, _ = settled(verdicts[verdicts["counts"] & (verdicts["answer"] != UNSURE)], adjudicators)
    for row in agreed.to_dict("records"):
        if is_stale(row, suggested):
            old = f"{row['suggested_label'].strip() or 'nothing'} (by {row['suggested_by']})"
            text = f"the suggestion was {old}, now it is {suggested.strip()}; review it again: hgld review"
            lines.append(_Line("  stale", text))
    return lines


def _released_line(category: str, params: Params, verdicts: pd.DataFrame) -> _Line:
    """The released label, and whether the verdicts have changed since the release."""
    path = params.data / "release" / "labels.parquet"
    row = _row(path, category) if path.is_file() else None
    if row is None:
        return _Line("released", "not yet; run: dvc repro")
    title = titles().get(row["source"], row["source"]) if row["source"] else "none"
    source = f"verdict of {row['annotator']}" if row["source"] == "review" else title
    levels = [row["supercategory"], row["hierarchical_label"].strip(), row["natural_or_human_made"]]
    label = " > ".join(filter(None, levels)) if row["hierarchical_label"] else "no label"
    return _Line(
        "released", f"{label}  (source: {source}){_changed_since_release(row, verdicts, params.release.adjudicators)}"
    )


def _changed_since_release(row: dict[Any, Any], verdicts: pd.DataFrame, adjudicators: Collection[str]) -> str:
    """What the next release would change about this row, as the end of its line; "" for nothing."""
    agreed, conflicts = settled(verdicts, adjudicators)
    if len(conflicts):
        return "; the verdicts conflict and are not applied"
    if agreed.empty:
        return "; the verdict has been withdrawn: run dvc repro" if row["source"] == "review" else ""
    verdict = agreed.iloc[0]
    released = (row["source"], row["annotator"], row["hierarchical_label"])
    if released != ("review", verdict["annotator"], verdict["hierarchical_label"]):
        return "; the verdict is newer: run dvc repro"
    return ""


def _row(path: Path, category: str) -> dict[Any, Any] | None:
    table = read_stage_table(path)
    rows = table[table["category"] == category]
    return rows.iloc[0].to_dict() if len(rows) else None
