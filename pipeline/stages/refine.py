"""Stage `refine`: from class names, names and images to one proposal per unlabelled category, and how good these are.

`method: fused` calibrates every evidence on categories whose label Wikidata knows and fuses them into one probability
per label. The others stay for comparison: each evidence alone (`class`, `name`, `image`), and the published ways from
images to labels (`clip`: the most similar prompt; `knn`: the nearest known images; a majority vote per landmark).
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hgld.foundation.files import replacing, write_text
from hgld.foundation.settings import Params, Refine
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.hierarchy.fusion.ablation import FUSED, Truth, curve, fuse_all, says
from hgld.hierarchy.fusion.ablation import table as ablation
from hgld.hierarchy.fusion.calibration import Floats
from hgld.hierarchy.fusion.proposals import accepted, outcome, propose
from hgld.pipeline.dataset.landmarks import to_judge
from hgld.pipeline.dataset.schemas import validated
from hgld.pipeline.evidence.accuracy import unlabelled_accuracy
from hgld.pipeline.evidence.sources import (
    Pictures,
    lexicon,
    of_classes,
    of_images,
    of_names,
    of_votes,
    read_pictures,
)

Metrics = dict[str, object]

# the numbers of images a landmark whose accuracy is reported, up to what was embedded
CURVE = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Told:
    """What was found: categories (C,), labels (L,), the truth of each category or -1, and evidence → (C, L)."""

    categories: list[str]
    labels: list[str]
    truth: Truth
    evidence: dict[str, Floats]
    weights: dict[str, dict[str, float]]


def run(params: Params) -> None:
    """Write `data/P/refine`: proposals.parquet, classes.parquet, calibration.parquet and metrics.json.

    Calibration holds what would be proposed for categories whose label is known, beside that label (`truth`).

    Raises HgldError when the vectors do not fit their tables.
    """
    settings = params.refine
    pictures = read_pictures(params.data / "embed")
    labels = read_parquet(params.data / "build" / "labels.parquet", ["category", "hierarchical_label"])
    known = labels.loc[labels["hierarchical_label"] != ""].set_index("category")["hierarchical_label"]
    told, classes = gather(params, pictures, known)
    every = proposals(told, settings.method, pictures)
    open_ = every[~every["category"].isin(known.index)].reset_index(drop=True)
    open_["outcome"] = outcome(open_, settings.accept_score, settings.accept_margin, settings.review_score)
    calibration = every[every["category"].isin(known.index)].reset_index(drop=True)
    calibration["truth"] = calibration["category"].map(known).astype("str")
    validated(open_, "proposals", "the proposals")
    metrics = measure(calibration, open_, known.nunique(), settings)
    metrics |= _ablations(told, settings, pictures, classes)
    with replacing(params.data / "refine", directory=True) as folder:
        write_parquet(open_, folder / "proposals.parquet")
        write_parquet(classes, folder / "classes.parquet")
        write_parquet(calibration, folder / "calibration.parquet")
        write_text(json.dumps(metrics, indent=2) + "\n", folder / "metrics.json")
    print(_sentence(metrics))


def gather(params: Params, pictures: Pictures, known: "pd.Series[str]") -> tuple[Told, pd.DataFrame]:
    """All evidence on the unlabelled categories, and on some known ones, to measure it."""
    settings, columns = params.refine, {label: place for place, label in enumerate(pictures.labels)}
    labels = read_parquet(params.data / "build" / "labels.parquet", ["category", "hierarchical_label"])
    categories = sorted(map(str, to_judge(labels)))
    truth = np.array([columns.get(str(known.get(one, "")), -1) for one in categories], dtype=np.int64)
    words = lexicon(Path(params.build.taxonomy))
    by_class, classes = of_classes(params, categories, pictures.labels, words)
    told, weights = fuse_all(
        {
            "class": by_class,
            "name": of_names(categories, known, pictures.labels, words),
            "image": of_images(pictures, categories, settings.temperature),
        },
        truth,
        categories,
    )
    numbers = {str(one): columns[str(label)] for one, label in known.items() if label in columns}
    for method in ("clip", "knn"):
        told[method] = of_votes(pictures, categories, numbers, method, settings.neighbours)
    return Told(categories, pictures.labels, truth, told, weights), classes


def proposals(told: Told, method: str, pictures: Pictures) -> pd.DataFrame:
    """One proposal for every category of which the method says anything, and which evidence says most for it."""
    found = told.evidence[method]
    heard = np.flatnonzero(says(found))
    names = [told.categories[row] for row in heard]
    images = Counter(pictures.categories)
    counts = np.array([images[name] for name in names], dtype=np.int64)
    table = propose(names, found[heard], counts, told.labels, pictures.model)
    places = {category: row for row, category in enumerate(told.categories)}
    columns = {label: place for place, label in enumerate(told.labels)}
    single = ("class", "name", "image") if method == FUSED else (method,)
    sources, evidence = [], []
    for category, label, count in zip(table["category"], table["hierarchical_label"], counts, strict=True):
        row, column = places[category], columns[label]
        said = {one: told.evidence[one][row] for one in single if says(told.evidence[one][[row]])[0]}
        first = max(said, key=lambda one: round(float(said[one][column]), 4), default=method)
        sources.append(first if first in ("class", "name") else "clip")
        evidence.append(
            "; ".join(_said(one, said[one], told.labels, pictures.model, int(count)) for one in said)
        )
    return table.assign(source=sources, evidence=evidence).astype({"source": "str", "evidence": "str"})


def _said(name: str, found: Floats, labels: list[str], model: str, count: int) -> str:
    """One evidence in words: what it is most for, and how probable it finds that."""
    best = int(np.round(found, 4).argmax())
    pictures = "1 image" if count == 1 else f"{count} images"
    by = {"class": "class name", "name": "name", "knn": f"nearest images, {pictures}"}.get(
        name, f"{model}: {pictures}"
    )
    return f"{by}: {labels[best].strip()} {found[best]:.2f}"


def measure(calibration: pd.DataFrame, proposals: pd.DataFrame, labels: int, settings: Refine) -> Metrics:
    """How good the proposals are where the label is known, and how many they are.

    calibration: proposals with a column `truth`; labels: how many labels there were to choose from. `chance` is a
    random label's accuracy, `majority` that of always naming the commonest; coverage and precision are of those
    that reach both thresholds. A share of nothing is null.
    """
    right = calibration["hierarchical_label"] == calibration["truth"]
    sure = accepted(calibration, settings.accept_score, settings.accept_margin)
    commonest = calibration["truth"].value_counts(normalize=True).max() if len(calibration) else float("nan")
    outcomes = proposals["outcome"].value_counts()
    return {
        "accuracy": _number(right.mean()),
        "chance": _number(1 / labels),
        "majority": _number(commonest),
        "coverage": _number(sure.mean()),
        "precision": _number(right[sure].mean()),
        "calibration_categories": len(calibration),
        "proposals": len(proposals),
        **{name: int(outcomes.get(name, 0)) for name in ("accepted", "review", "empty")},
    }


def _ablations(told: Told, settings: Refine, pictures: Pictures, classes: pd.DataFrame) -> Metrics:
    """Every evidence alone and all of it; what fewer images cost; and, where the truth is told, the unlabelled ones."""
    most = int(pd.Series(pictures.categories).value_counts().max()) if pictures.categories else 0
    known = told.truth >= 0

    def accuracy(count: int) -> float:
        found = of_images(pictures.first(count), told.categories, settings.temperature)
        return (
            float((found[known].argmax(axis=1) == told.truth[known]).mean()) if known.any() else float("nan")
        )

    counts = [count for count in CURVE if count < most] + ([most] if most else [])
    metrics: Metrics = {
        "weights": told.weights,
        "ablation": ablation(told.evidence, told.truth),
        "image_accuracy_by_images_per_landmark": curve(counts, accuracy),
        "classes_proposed": len(classes),
    }
    if settings.truth:
        found = {
            name: unlabelled_accuracy(_labelled(told, name), Path(settings.truth)) for name in told.evidence
        }
        metrics["accuracy_unlabelled"] = _number(found[settings.method][0])
        metrics["unlabelled_measured"] = found[settings.method][1]
        metrics["ablation_unlabelled"] = {name: _number(share) for name, (share, _) in found.items()}
    return metrics


def _labelled(told: Told, name: str) -> pd.DataFrame:
    """What one evidence would call every unlabelled category; nothing where it says nothing."""
    found, rows = told.evidence[name], np.flatnonzero(told.truth < 0)
    best, heard = np.round(found, 4).argmax(axis=1), says(found)
    labels = [told.labels[best[row]] if heard[row] else "" for row in rows]
    return pd.DataFrame({"category": [told.categories[row] for row in rows], "hierarchical_label": labels})


def _number(share: float) -> float | None:
    """Four decimals, as many as the scores have; None for NaN, which is no JSON."""
    return None if np.isnan(share) else round(float(share), 4)


def _sentence(metrics: Metrics) -> str:
    alone = metrics["ablation"]
    assert isinstance(alone, dict)
    text = (
        f"accuracy {metrics['accuracy']} on {metrics['calibration_categories']} categories with a "
        f"known label (chance {metrics['chance']}, commonest label {metrics['majority']}); by evidence: "
    )
    text += ", ".join(f"{name} {row['accuracy']}" for name, row in alone.items())
    if "accuracy_unlabelled" in metrics:
        text += f"; {metrics['accuracy_unlabelled']} on {metrics['unlabelled_measured']} unlabelled ones"
    return (
        f"{text}\nof {metrics['proposals']} proposals {metrics['accepted']} are accepted, "
        f"{metrics['review']} to review, {metrics['empty']} left empty"
    )
