"""The tables that `hgld review` reads, at GLDv2's size, as the stages would write them; there are no pictures."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from hgld.foundation.settings import Params, load_params
from hgld.foundation.tables import write_csv, write_parquet
from hgld.hierarchy.curation.verdict import CLASS, COLUMNS, Verdict
from hgld.hierarchy.curation.verdicts import load_verdicts, verdict_file
from hgld.hierarchy.taxonomy.taxonomy import Anchor, load_taxonomy
from hgld.pipeline.stages import queue
from tests.paths import ROOT
from tests.scale.metadata import Size, category, category_url, image_ids, image_landmarks

PROFILE = "gldv2"
ANNOTATORS = ("ana", "bob", "cleo")
CURATED = Path("hierarchy/curated")
_SECOND_OPINION = 3  # every third category is judged by two annotators
_WRONG = 20  # every twentieth verdict names another label


def make(folder: Path, size: Size) -> Params:
    """Write params.yaml, the curated files and the tables below `folder`, the working directory; returns the settings.

    Half of the categories have a label from Wikidata, the others a proposal, which is rarely accepted.
    """
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / CURATED, folder / CURATED, dirs_exist_ok=True)
    params = load_params(profile=PROFILE)
    # half of the landmarks of index are also in train, with another id
    shift = size.train_landmarks // 2
    _metadata(params.data / "metadata", size, shift)
    names = sorted({category(number) for number in range(max(size.train_landmarks, size.index_landmarks + shift))})
    anchors = sorted(load_taxonomy(CURATED).anchors.values(), key=lambda anchor: anchor.qid)
    _wikidata(params.data / "wikidata", names, anchors)
    _labels(params.data, names, anchors)
    return params


def _metadata(folder: Path, size: Size, shift: int) -> None:
    rng = np.random.default_rng(0)
    splits = (
        ("train", "train", size.train, size.train_landmarks, 0),
        ("index", "index_image_to_landmark", size.index, size.index_landmarks, shift),
    )
    for number, (split, table, images, landmarks, first) in enumerate(splits):
        shown = image_landmarks(rng, images, landmarks).astype("str")
        ids = image_ids(number, images).to_pylist()
        _write({"id": ids, "landmark_id": shown}, folder / f"{table}.parquet")
        if split == "train":
            authors = [f"Someone {n % 50_000}" for n in range(images)]
            licenses = ["CC BY-SA 4.0"] * images
            _write({"id": ids, "author": authors, "license": licenses}, folder / "train_attribution.parquet")
        urls = [category_url(n + first) for n in range(landmarks)]
        numbers = [str(n) for n in range(landmarks)]
        _write({"landmark_id": numbers, "category": urls}, folder / f"{split}_label_to_category.parquet")


def _wikidata(folder: Path, names: Sequence[str], anchors: Sequence[Anchor]) -> None:
    found = [(n, name) for n, name in enumerate(names) if _labelled(n)]
    qids = [_qid(n) for n, _ in found]
    count = len(found)
    _write({"category": [name for _, name in found], "qid": qids, "method": ["sitelink"] * count,
            "confidence": ["high"] * count, "candidates": [1] * count, "via": [""] * count},
           folder / "items.parquet")  # fmt: skip
    rng = np.random.default_rng(1)
    _write({"qid": qids, "label": [name for _, name in found], "latitude": rng.uniform(-60, 75, count),
            "longitude": rng.uniform(-180, 180, count), "coordinates": [1] * count, "countries": ["Q142"] * count,
            "sitelinks": [n % 50 for n, _ in found]}, folder / "item_facts.parquet")  # fmt: skip
    _write({"qid": qids, "class": [_anchor(n, anchors).qid for n, _ in found]}, folder / "item_classes.parquet")
    known = {anchor.qid: anchor.name for anchor in anchors}
    known |= {f"Q{900_000_000 + n}": f"class {n}" for n in range(17_000)}
    _write({"qid": list(known), "label": list(known.values())}, folder / "class_labels.parquet")


def _labels(data: Path, names: Sequence[str], anchors: Sequence[Anchor]) -> None:
    rows, proposals, considered = [], [], []
    for n, name in enumerate(names):
        anchor = _anchor(n, anchors)
        label = anchor.hierarchical_label
        if _labelled(n):
            rows.append((name, _qid(n), "sitelink", 1, anchor.qid, anchor.name, label, anchor.natural_or_human_made,
                         anchor.qid, ""))  # fmt: skip
            considered.append((name, _qid(n), anchor.qid, "decides", label))
        else:
            rows.append((name, "", "none", 0, "", "", "", "", "", "no item found"))
            other = _anchor(n + 1, anchors).hierarchical_label
            score = n // 2 % 100 / 100
            evidence = f"name: {label} {score:.2f}; class name: {other} 0.31; ViT-L-14/laion2b: 9 images: {label} 0.71"
            outcome = "accepted" if score > 0.98 else "review"
            proposals.append((name, label, score, score / 2, other, 9, evidence, "clip", outcome))
    columns = ["category", "qid", "method", "candidates", "class", "supercategory", "hierarchical_label",
               "natural_or_human_made", "path", "note"]  # fmt: skip
    write_parquet(pd.DataFrame(rows, columns=columns), data / "build" / "labels.parquet")
    columns = ["category", "hierarchical_label", "score", "margin", "runner_up", "images", "evidence", "source",
               "outcome"]  # fmt: skip
    write_parquet(pd.DataFrame(proposals, columns=columns), data / "refine" / "proposals.parquet")
    columns = ["category", "qid", "class", "outcome", "hierarchical_label"]
    write_parquet(pd.DataFrame(considered, columns=columns), data / "build" / "considered.parquet")


def _labelled(number: int) -> bool:
    return number % 2 == 0


def _qid(number: int) -> str:
    return f"Q{300_000_000 + number}"


def _anchor(number: int, anchors: Sequence[Anchor]) -> Anchor:
    return anchors[number * 7919 % len(anchors)]


def _write(columns: dict[str, object], path: Path) -> None:
    write_parquet(pd.DataFrame(columns), path)


def write_queue(params: Params, length: int) -> pd.DataFrame:
    """The queue, as its stage orders it, at most so long; returns all candidates."""
    verdicts = load_verdicts(Path("review"), load_taxonomy(CURATED).natures, kind=CLASS)
    table, classes = queue.candidate_tables(queue.read_suggestions(params, load_taxonomy(CURATED)), verdicts)
    none = pd.DataFrame(columns=COLUMNS, dtype="str")
    pending = pd.concat([queue.pending_rows(rows, none) for rows in (table, classes)], ignore_index=True)
    ordered = queue.order(pending, queue.controls(table, 1000, 0), 0)
    write_csv(ordered[:length], params.data / "queue" / "queue.csv")
    return table


def write_verdicts(table: pd.DataFrame, count: int) -> None:
    """Verdicts of three annotators on the candidates; some are about the same ones, and some of these disagree."""
    labels = sorted(load_taxonomy(CURATED).natures)
    rng = random.Random(0)
    rows: dict[str, list[Verdict]] = {name: [] for name in ANNOTATORS}
    time = datetime(2026, 1, 1, tzinfo=UTC)
    judged = rng.sample(table[table["suggested_label"] != ""].to_dict("records"), count * 3 // 4)
    for number, row in enumerate(judged):
        for annotator in rng.sample(ANNOTATORS, 1 if number % _SECOND_OPINION else 2):
            time += timedelta(seconds=6)
            label = rng.choice(labels) if rng.randrange(_WRONG) == 0 else str(row["suggested_label"])
            rows[annotator].append(
                Verdict(
                    category=str(row["category"]),
                    hierarchical_label=label,
                    suggested_label=str(row["suggested_label"]),
                    suggested_by=str(row["suggested_by"]),
                    suggested_score=str(row["score"]),
                    annotator=annotator,
                    decided_on=time.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    profile=PROFILE,
                )
            )
    for annotator, verdicts in rows.items():
        path = verdict_file(Path("review"), annotator)
        write_csv(pd.DataFrame(verdicts, columns=COLUMNS), path)
