"""Stage `refine`: from class names, names and images to one proposal per unlabelled category, and its accuracy.

`method: fused` calibrates each kind of evidence on categories that Wikidata labels and fuses them into one probability
per label. The other methods serve for comparison: each kind alone (`class`, `name`, `image`), and the published
baselines (`clip`: the most similar prompt; `knn`: the nearest images with a known label; a majority vote per landmark).
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hgld.foundation.display.visible import echo_text
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.files import replacing, write_text
from hgld.foundation.settings import Params, Refine
from hgld.foundation.tables import write_parquet
from hgld.hierarchy.fusion.ablation import (
    FUSED,
    Truth,
    ablation_table,
    cross_fit_fusion,
    informative,
)
from hgld.hierarchy.fusion.calibration import Floats
from hgld.hierarchy.fusion.evidence_kinds import EvidenceKind, proposing_kinds
from hgld.hierarchy.fusion.proposals import DECIMALS, OUTCOMES, accepted, outcome, propose
from hgld.pipeline.dataset.schemas import validated
from hgld.pipeline.evidence.accuracy import unlabelled_accuracy
from hgld.pipeline.evidence.sources import Context, collect_evidence, read_context
from hgld.pipeline.evidence.votes import BASELINES, vote_probabilities
from hgld.pipeline.evidence.zero_shot import zero_shot

Metrics = dict[str, object]

# numbers of images per landmark whose accuracy is reported, up to what was embedded
CURVE = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class LabelProbabilities:
    """The probabilities of each method, and the weights of the fused one for each combination of evidence.

    by_method: method → (C, L), rows by `context.categories`; truth (C,): the column of the known label, or -1.
    """

    by_method: Mapping[str, Floats]
    truth: Truth
    weights: Mapping[str, Mapping[str, float]]


def run(params: Params) -> None:
    """Write `data/P/refine`: proposals.parquet, classes.parquet, calibration.parquet and metrics.json.

    Calibration holds the proposals for a sample of the labelled categories, with the known label as `truth`.

    Raises HgldError when the method is unknown or the vectors do not match their tables.
    """
    settings = params.refine
    kinds = _kinds_of(settings.method, params.profile)
    context = read_context(params)
    probabilities, tables = _probabilities(context)
    table = proposals(context, probabilities, settings.method, kinds)
    labelled = table["category"].isin(context.known.index)
    proposed, calibration = (table[rows].reset_index(drop=True) for rows in (~labelled, labelled))
    proposed["outcome"] = outcome(proposed, settings.accept_score, settings.accept_margin, settings.review_score)
    calibration["truth"] = calibration["category"].map(context.known).astype("str")
    validated(proposed, "proposals", "the proposals")
    metrics = measure(calibration, proposed, context.known.nunique(), settings)
    metrics |= _ablations(context, probabilities, tables)
    tables = {"proposals": proposed, "calibration": calibration, **tables}
    with replacing(params.data / "refine", directory=True) as folder:
        for name, frame in tables.items():
            write_parquet(frame, folder / f"{name}.parquet")
        write_text(json.dumps(metrics, indent=2) + "\n", folder / "metrics.json")
    echo_text(_summary(metrics))


def _kinds_of(method: str, profile: str) -> tuple[EvidenceKind, ...]:
    """The kinds of evidence that a method uses."""
    fused = proposing_kinds()
    kinds_of = {FUSED: fused, **{kind.method: (kind,) for kind in (*fused, *BASELINES)}}
    if method not in kinds_of:
        raise HgldError(
            f"params.yaml: {profile}.refine.method: unknown method '{method}' "
            f"(there are: {', '.join(kinds_of)}){suggest(method, kinds_of)}"
        )
    return kinds_of[method]


def _probabilities(context: Context) -> tuple[LabelProbabilities, dict[str, pd.DataFrame]]:
    """The probabilities of all methods, and the further tables of the evidence."""
    evidence = collect_evidence(context)
    columns = {label: column for column, label in enumerate(context.labels)}
    truth = np.array([columns.get(str(context.known.get(name, "")), -1) for name in context.categories], dtype=np.int64)
    fused, weights = cross_fit_fusion(
        {method: result.probabilities for method, result in evidence.items()}, truth, context.categories
    )
    votes = {kind.method: vote_probabilities(context, kind.method) for kind in BASELINES}
    tables = {name: table for result in evidence.values() for name, table in result.tables.items()}
    return LabelProbabilities(fused | votes, truth, weights), tables


def proposals(
    context: Context, probabilities: LabelProbabilities, method: str, kinds: tuple[EvidenceKind, ...]
) -> pd.DataFrame:
    """One proposal per category for which the method is informative; source is the kind with the highest probability.

    kinds: those that the column `evidence` cites.
    """
    rows = np.flatnonzero(informative(probabilities.by_method[method]))
    names = [context.categories[row] for row in rows]
    image_count = Counter(context.images.categories)
    counts = np.array([image_count[name] for name in names], dtype=np.int64)
    table = propose(names, probabilities.by_method[method][rows], counts, context.labels, context.images.model)
    columns = {label: column for column, label in enumerate(context.labels)}
    has = {kind.method: informative(probabilities.by_method[kind.method]) for kind in kinds}
    sources, citations = [], []
    for row, label, count in zip(rows, table["hierarchical_label"], table["images"], strict=True):
        cited = {kind: probabilities.by_method[kind.method][row] for kind in kinds if has[kind.method][row]}
        sources.append(_strongest(cited, columns[label]).source)
        texts = [_citation(kind, scores, context, int(count)) for kind, scores in cited.items()]
        citations.append("; ".join(texts))
    return table.assign(source=sources, evidence=citations).astype({"source": "str", "evidence": "str"})


def _strongest(cited: Mapping[EvidenceKind, Floats], column: int) -> EvidenceKind:
    """The kind that gives a label the highest probability; ties go to the first."""
    return max(cited, key=lambda kind: round(float(cited[kind][column]), DECIMALS))


def _citation(kind: EvidenceKind, scores: Floats, context: Context, count: int) -> str:
    """The best label of one kind of evidence, with its probability."""
    images = "1 image" if count == 1 else f"{count} images"
    best = int(np.round(scores, DECIMALS).argmax())
    grounds = kind.grounds.format(model=context.images.model, images=images)
    return f"{grounds}: {context.labels[best].strip()} {scores[best]:.2f}"


def measure(calibration: pd.DataFrame, proposed: pd.DataFrame, labels: int, settings: Refine) -> Metrics:
    """The accuracy of the proposals where the label is known, and their number by outcome.

    calibration: proposals with a column `truth`; labels: the number of candidate labels. `chance` is the accuracy of a
    random label, `majority` that of the commonest one; coverage and precision concern the proposals above both
    thresholds. A fraction of nothing is null.
    """
    correct = calibration["hierarchical_label"] == calibration["truth"]
    above = accepted(calibration, settings.accept_score, settings.accept_margin)
    commonest = calibration["truth"].value_counts(normalize=True).max() if len(calibration) else float("nan")
    outcomes = proposed["outcome"].value_counts()
    return {
        "accuracy": _json_number(correct.mean()),
        "chance": _json_number(1 / labels),
        "majority": _json_number(commonest),
        "coverage": _json_number(above.mean()),
        "precision": _json_number(correct[above].mean()),
        "calibration_categories": len(calibration),
        "proposals": len(proposed),
        **{name: int(outcomes.get(name, 0)) for name in OUTCOMES},
    }


def _ablations(context: Context, probabilities: LabelProbabilities, tables: Mapping[str, pd.DataFrame]) -> Metrics:
    """Each method alone, the accuracy by number of images, and the accuracy on unlabelled categories where known."""
    settings, truth = context.params.refine, probabilities.truth
    most = max(Counter(context.images.categories).values(), default=0)
    known = truth >= 0

    def accuracy(count: int) -> float:
        scores = zero_shot(context.images.limited(count), context.categories, settings.temperature)
        return float((scores[known].argmax(axis=1) == truth[known]).mean()) if known.any() else float("nan")

    counts = [count for count in CURVE if count < most] + ([most] if most else [])
    metrics: Metrics = {
        "weights": probabilities.weights,
        "ablation": ablation_table(probabilities.by_method, truth),
        "image_accuracy_by_images_per_landmark": {str(count): _json_number(accuracy(count)) for count in counts},
        **{f"{name}_proposed": len(table) for name, table in tables.items()},
    }
    if settings.truth:
        path = Path(settings.truth)
        measured = {
            method: unlabelled_accuracy(_best_labels(context, scores, np.flatnonzero(~known)), path)
            for method, scores in probabilities.by_method.items()
        }
        metrics["accuracy_unlabelled"] = _json_number(measured[settings.method][0])
        metrics["unlabelled_measured"] = measured[settings.method][1]
        metrics["ablation_unlabelled"] = {method: _json_number(fraction) for method, (fraction, _) in measured.items()}
    return metrics


def _best_labels(context: Context, scores: Floats, rows: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> pd.DataFrame:
    """The best label of each of these categories; empty where the method is not informative."""
    best, has = np.round(scores, DECIMALS).argmax(axis=1), informative(scores)
    labels = [context.labels[best[row]] if has[row] else "" for row in rows]
    return pd.DataFrame({"category": [context.categories[row] for row in rows], "hierarchical_label": labels})


def _json_number(value: float) -> float | None:
    """Rounded to four decimals, as the scores; None for NaN, which JSON lacks."""
    return None if np.isnan(value) else round(float(value), DECIMALS)


def _summary(metrics: Metrics) -> str:
    ablation = metrics["ablation"]
    assert isinstance(ablation, dict)
    text = (
        f"accuracy {metrics['accuracy']} on {metrics['calibration_categories']} categories with a "
        f"known label (chance {metrics['chance']}, commonest label {metrics['majority']}); by method: "
    )
    text += ", ".join(f"{method} {row['accuracy']}" for method, row in ablation.items())
    if "accuracy_unlabelled" in metrics:
        text += f"; {metrics['accuracy_unlabelled']} on {metrics['unlabelled_measured']} unlabelled categories"
    return (
        f"{text}\n{metrics['proposals']} proposals: {metrics['accepted']} accepted, "
        f"{metrics['review']} to review, {metrics['empty']} left empty"
    )
