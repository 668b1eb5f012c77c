"""`hgld show`: the chain of evidence of one label, from the landmark's category to the decision."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet
from hgld.hierarchy.curation.verdicts import VERDICTS, load_verdicts, settled, stale
from hgld.hierarchy.taxonomy.commons_category import category_url, normalise
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.dataset.landmarks import SPLITS, image_count, landmarks

_BY = {
    "wikidata": "Wikidata",
    "class": "the names of its classes",
    "name": "its name",
    "clip": "CLIP",
    "": "nobody",
}


@dataclass(frozen=True)
class _Line:
    """A line of the answer: what it is about, and what is known."""

    name: str
    value: str


def show(key: str, params: Params) -> str:
    """The evidence for a landmark id or a Commons category (URL or name in any spelling), as plain text.

    A number is looked up as a landmark id of train and of index: they are different landmarks, and both are shown.

    Raises HgldError when nothing is called so, with the nearest name there is.
    """
    if any(unicodedata.category(sign) == "Cs" for sign in key):
        raise HgldError(f"{key!r} is not UTF-8 text; give a landmark id, or a category's name or URL")
    tables = {split: landmarks(params, split) for split in SPLITS}
    found = _by_id(key.strip(), tables)
    if not found:
        category = _by_name(key, tables)
        found = {"": category}
    kinds = load_taxonomy(Path(params.build.taxonomy)).natures
    verdicts = load_verdicts(VERDICTS, kinds)
    parts = []
    for space, category in found.items():
        heading = f"{space} landmark {key.strip()}" if space else category
        lines = _chain(category, params, tables, verdicts)
        parts.append("\n".join([heading, *_aligned(lines)]))
    return "\n\n".join(parts)


def _by_id(key: str, tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Id space → category, for a landmark id."""
    found = {}
    for split, table in tables.items():
        rows = table.loc[table["landmark_id"] == key, "category"]
        if len(rows):
            found[split] = str(rows.iloc[0])
    return found


def _by_name(key: str, tables: Mapping[str, pd.DataFrame]) -> str:
    name = normalise(key)
    known = set(pd.concat([table["category"] for table in tables.values()]))
    if name not in known:
        kind = "landmark id or category" if key.strip().isdigit() else "category"
        raise HgldError(f"no {kind} '{key}' in the metadata{_hint(name, known)}")
    return name


def _hint(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown category: the nearest there is, whatever its case, or nothing."""
    # difflib is slow on 200,000 names; a typing error seldom hits the first letter
    near = {one.casefold(): one for one in sorted(known)
            if one[0] == name[0] and abs(len(one) - len(name)) <= 4}  # fmt: skip
    found = get_close_matches(name.casefold(), near, n=1)
    return f"; did you mean '{near[found[0]]}'?" if found else ""


def _aligned(lines: list[_Line]) -> list[str]:
    width = max(len(line.name) for line in lines)
    return [f"  {line.name:<{width}}  {line.value}".rstrip() for line in lines]


def _chain(
    category: str, params: Params, tables: Mapping[str, pd.DataFrame], verdicts: pd.DataFrame
) -> list[_Line]:
    lines = [_Line("category", category), _Line("page", category_url(category))]
    for split, table in tables.items():
        ids = list(table.loc[table["category"] == category, "landmark_id"])
        number = image_count(params, split, ids)
        lines += [_Line(split, f"landmark {', '.join(ids)}, {number} images")] if ids else []
    names = read_parquet(params.data / "wikidata" / "class_labels.parquet")
    called = dict(zip(names["qid"], names["label"], strict=True))
    said = verdicts[verdicts["category"] == category]
    lines += _items(category, params.data, called)
    label = _row(params.data / "build" / "labels.parquet", category)
    proposal = _proposed(category, params)
    lines += _label(label, called)
    lines += _proposal(proposal, params)
    lines += _verdicts(said, _suggested(label, proposal))
    return lines + _decision(category, params.data / "release" / "labels.parquet", said)


def _items(category: str, data: Path, called: Mapping[str, str]) -> list[_Line]:
    """The items that the category may mean, and the classes of each with what they came to."""
    items = read_parquet(data / "wikidata" / "items.parquet")
    classes = read_parquet(data / "wikidata" / "item_classes.parquet")
    came_to = _came_to(category, data / "build" / "considered.parquet")
    lines = []
    for item in items[(items["category"] == category) & (items["qid"] != "")].itertuples(index=False):
        lines.append(_Line("item", f"{item.qid}  found by {item.method}, confidence {item.confidence}"))
        said = classes.loc[classes["qid"] == item.qid, "class"]
        lines += [
            _Line("  is a", _class(qid, called) + came_to.get((str(item.qid), qid), "")) for qid in said
        ] or [_Line("  is a", "(no class)")]
    return lines or [_Line("item", "none found")]


def _came_to(category: str, path: Path) -> dict[tuple[str, str], str]:
    """(Item, class) → its label and what became of it; empty before the stage build has run."""
    if not path.is_file():
        return {}
    table = read_parquet(path)
    rows = table.loc[table["category"] == category, ["qid", "class", "hierarchical_label", "outcome"]]
    return {
        (qid, one): f": {label.strip()}, {outcome}" if label else f": {outcome}"
        for qid, one, label, outcome in rows.itertuples(index=False, name=None)
    }


def _class(qid: str, called: Mapping[str, str]) -> str:
    return f"{called[qid]} ({qid})" if qid in called else qid


def _label(row: dict[Any, Any] | None, called: Mapping[str, str]) -> list[_Line]:
    """What Wikidata's classes come to."""
    if row is None:
        return [_Line("Wikidata says", "the category was not resolved yet; run: dvc repro build")]
    if not row["hierarchical_label"]:
        return [_Line("Wikidata says", f"no label: {row['note']}")]
    path = [_Line("path", " > ".join(_class(qid, called) for qid in row["path"].split(">")))]
    note = [_Line("note", row["note"])] if row["note"] else []
    label = f"{row['supercategory']} > {row['hierarchical_label'].strip()} > {row['natural_or_human_made']}"
    return [*path, _Line("Wikidata says", label), *note]


def _proposed(category: str, params: Params) -> dict[Any, Any] | None:
    path = params.data / "refine" / "proposals.parquet"
    return _row(path, category) if path.is_file() else None


def _suggested(label: dict[Any, Any] | None, proposal: dict[Any, Any] | None) -> str:
    """The label that the queue suggests to the annotators: Wikidata's, else the proposal's, else none."""
    said = [str(row["hierarchical_label"]) for row in (label, proposal) if row]
    return next((one for one in said if one), "")


def _proposal(row: dict[Any, Any] | None, params: Params) -> list[_Line]:
    if row is None:
        return []
    refine = params.refine
    sure = row["score"] >= refine.accept_score and row["margin"] >= refine.accept_margin
    verdict = "accepted" if sure else "not sure enough"
    wanted = f"wants score {refine.accept_score:g}, margin {refine.accept_margin:g}"
    best = f"{row['hierarchical_label'].strip()}  score {row['score']:.4f}, margin {row['margin']:.4f}"
    return [_Line("proposal", f"{best} over {row['runner_up'].strip()}; {verdict} ({wanted})"),
            _Line("  from", row["evidence"])]  # fmt: skip


def _verdicts(said: pd.DataFrame, suggested: str) -> list[_Line]:
    """Every verdict, and whether what they come to was said of another suggestion than today's."""
    lines = []
    for row in said.to_dict("records"):
        comment = f": {row['comment']}" if row["comment"] else ""
        label = row["hierarchical_label"].strip() or "leave empty"
        lines.append(_Line("verdict", f"{label}  by {row['annotator']} on {row['decided_on']}{comment}"))
    agreed, _ = settled(said)
    for row in agreed.to_dict("records"):
        if stale(row, suggested):
            was = f"{row['suggested_label'].strip() or 'nothing'} (by {row['suggested_by']})"
            now = f"now it is {suggested.strip()}; look again with hgld review"
            lines.append(_Line("  stale", f"given when {was} was suggested; {now}"))
    return lines


def _decision(category: str, path: Path, said: pd.DataFrame) -> list[_Line]:
    """What was released, and whether a verdict has come since."""
    row = _row(path, category) if path.is_file() else None
    if row is None:
        return [_Line("released", "not yet; run: dvc repro")]
    source = f"verdict of {row['annotator']}" if row["source"] == "review" else _BY[row["source"]]
    if row["hierarchical_label"]:
        chain = [row["supercategory"], row["hierarchical_label"].strip(), row["natural_or_human_made"]]
        text = f"{' > '.join(part for part in chain if part)}  (source: {source})"
    else:
        text = f"no label  (source: {source})"
    agreed, conflicts = settled(said)
    if len(conflicts):
        text += "; the verdicts conflict and are not applied"
    elif len(agreed) and (row["source"], row["annotator"], row["hierarchical_label"]) != (
        "review", agreed["annotator"].iloc[0], agreed["hierarchical_label"].iloc[0]
    ):  # fmt: skip
        text += "; the verdict is newer: run dvc repro"
    elif row["source"] == "review" and agreed.empty:
        text += "; the verdict was taken back since: run dvc repro"
    return [_Line("released", text)]


def _row(path: Path, category: str) -> dict[Any, Any] | None:
    table = read_parquet(path)
    rows = table[table["category"] == category]
    return rows.iloc[0].to_dict() if len(rows) else None
