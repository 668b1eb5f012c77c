"""Stage `refine`: from CLIP's vectors to one proposal per unlabelled category, and how far such proposals are right."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from hgld.hierarchy.errors import HgldError
from hgld.hierarchy.files import replacing, write_text
from hgld.hierarchy.params import Params, Refine
from hgld.hierarchy.proposals import accepted, label_vectors, mean_probabilities, propose
from hgld.hierarchy.schemas import validated
from hgld.hierarchy.tables import read_parquet, write_parquet
from hgld.pipeline.figures import read_json
from hgld.pipeline.sample.measure import unlabelled_accuracy

Metrics = dict[str, float | int | None]


def run(params: Params) -> None:
    """Write `data/P/refine`: proposals.parquet, calibration.parquet and metrics.json.

    Calibration holds what would be proposed for categories whose label is known, beside that label (`truth`).

    Raises HgldError when the vectors do not fit their tables.
    """
    settings = params.refine
    scored = _zero_shot(params.data / "embed", settings.temperature)
    labels = read_parquet(params.data / "build" / "labels.parquet", ["category", "hierarchical_label"])
    known = labels.loc[labels["hierarchical_label"] != ""].set_index("category")["hierarchical_label"]
    proposals = scored[~scored["category"].isin(known.index)].reset_index(drop=True)
    calibration = scored[scored["category"].isin(known.index)].reset_index(drop=True)
    calibration["truth"] = calibration["category"].map(known).astype("str")
    validated(proposals, "proposals", "the proposals")
    metrics = measure(calibration, proposals, known.nunique(), settings)
    if settings.truth:
        share, number = unlabelled_accuracy(proposals, Path(settings.truth))
        metrics |= {"clip_accuracy_unlabelled": _number(share), "unlabelled_measured": number}
    with replacing(params.data / "refine", directory=True) as folder:
        write_parquet(proposals, folder / "proposals.parquet")
        write_parquet(calibration, folder / "calibration.parquet")
        write_text(json.dumps(metrics, indent=2) + "\n", folder / "metrics.json")
    print(_sentence(metrics))


def _zero_shot(folder: Path, temperature: float) -> pd.DataFrame:
    """The proposals for every category that `embed` saw."""
    images, rows = _vectors(folder, "images")
    prompts, texts = _vectors(folder, "prompts")
    model = read_json(folder / "summary.json").get("model")
    if not isinstance(model, str):
        raise HgldError(f"{folder / 'summary.json'}: names no model; run: dvc repro embed")
    names, vectors = label_vectors(prompts, list(texts["hierarchical_label"]))
    found = mean_probabilities(images, list(rows["category"]), vectors, temperature)
    return propose(*found, names, model)


def _vectors(
    folder: Path, name: str
) -> tuple["np.ndarray[tuple[int, int], np.dtype[np.float32]]", pd.DataFrame]:
    rows = read_parquet(folder / f"{name}.parquet")
    try:
        vectors = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise HgldError(
            f"{folder / name}.npy: not an array of vectors ({error}); run: dvc repro embed"
        ) from None
    if vectors.ndim != 2 or len(vectors) != len(rows):
        raise HgldError(
            f"{folder / name}.npy: {vectors.shape} vectors for {len(rows)} rows; run: dvc repro embed"
        )
    return vectors, rows


def measure(calibration: pd.DataFrame, proposals: pd.DataFrame, labels: int, settings: Refine) -> Metrics:
    """How good the proposals are where the label is known, and how many they are.

    calibration: proposals with a column `truth`; labels: how many labels there were to choose from. `chance` is a
    random label's accuracy, `majority` that of always naming the commonest; coverage and precision are of those
    that reach both thresholds. A share of nothing is null.
    """
    right = calibration["hierarchical_label"] == calibration["truth"]
    sure = accepted(calibration, settings.accept_score, settings.accept_margin)
    commonest = calibration["truth"].value_counts(normalize=True).max() if len(calibration) else float("nan")
    return {
        "clip_accuracy": _number(right.mean()),
        "chance": _number(1 / labels),
        "majority": _number(commonest),
        "coverage": _number(sure.mean()),
        "precision": _number(right[sure].mean()),
        "calibration_categories": len(calibration),
        "proposals": len(proposals),
        "accepted": int(accepted(proposals, settings.accept_score, settings.accept_margin).sum()),
    }


def _number(share: float) -> float | None:
    """Four decimals, as many as the scores have; None for NaN, which is no JSON."""
    return None if np.isnan(share) else round(float(share), 4)


def _sentence(metrics: Metrics) -> str:
    text = (
        f"zero-shot accuracy {metrics['clip_accuracy']} on {metrics['calibration_categories']} categories with a "
        f"known label (chance {metrics['chance']}, commonest label {metrics['majority']})"
    )
    if "clip_accuracy_unlabelled" in metrics:
        measured = metrics["clip_accuracy_unlabelled"], metrics["unlabelled_measured"]
        text += f"; {measured[0]} on {measured[1]} unlabelled ones"
    return f"{text}\n{metrics['accepted']} of {metrics['proposals']} proposals reach both thresholds"
