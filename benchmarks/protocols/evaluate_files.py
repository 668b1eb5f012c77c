"""`hgld evaluate`: anybody's answers, in files, against the ground truth of a published benchmark.

    revisited      ranks or scores as .npy, or embeddings as .npz    Revisited Oxford and Paris
    retrieval      id,images as the Kaggle challenge wants it        GLDv2 retrieval, mAP@100
    recognition    id,landmarks                                      GLDv2 recognition, GAP

The measures are those of `revisited` and `gldv2`; this module reads the files and lays out the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd

from hgld.benchmarks.protocols.gldv2 import recognition, recognition_summary, retrieval, retrieval_summary
from hgld.benchmarks.protocols.revisited import (
    DIFFICULTIES,
    GroundTruth,
    read_ground_truth,
    revisited,
    summary,
)
from hgld.benchmarks.protocols.submissions import (
    USAGES,
    read_solution,
    recognition_submission,
    retrieval_submission,
)
from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv, write_csv
from hgld.hierarchy.comparison.proportions import without_nan

Array = npt.NDArray[Any]

SIDES = ("query", "index")


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found: `rows`, one a difficulty or a usage with its figures, and every query apart."""

    about: str
    rows: dict[str, dict[str, float]]
    per_query: pd.DataFrame

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON; NaN becomes None."""
        plain = without_nan(self.rows)
        assert isinstance(plain, dict)
        return plain

    def text(self) -> str:
        """A table for the terminal: one line a row, what was read above it."""
        names = list(next(iter(self.rows.values())))
        lines = [self.about, "", f"{'':<10}" + "".join(f"{name:>12}" for name in names)]
        for row, figures in self.rows.items():
            lines.append(f"{row:<10}" + "".join(f"{_figure(name, figures[name]):>12}" for name in names))
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """Every query as a row of CSV, atomically; an undefined measure is empty."""
        write_csv(self.per_query, path)


def evaluate_revisited(truth_path: Path, ranking_path: Path, *, distractors: int = 0) -> Evaluation:
    """Easy, Medium and Hard: mAP and mP@k of ranks, scores or embeddings.

    ranking_path: .npy with ranks (Q, K), whole numbers, image indices from best to worst, or with scores (Q, N),
    floating; .npz with the embeddings `query` (Q, D) and `index` (N, D), which are compared by their cosine. N counts
    the images of the ground truth, in its order, and behind them the distractors.

    Raises HgldError for files that are not that.
    """
    truth = read_ground_truth(truth_path)
    given = _load(Path(ranking_path))
    kind = "ranks" if isinstance(given, np.ndarray) and given.dtype.kind != "f" else "scores"
    if isinstance(given, dict):
        kind, ranking = "embeddings", _cosine(Path(ranking_path), given, truth, distractors)
    else:
        ranking = given
    frames = {}
    for name in DIFFICULTIES:
        try:
            frames[name] = revisited(ranking, truth, name, distractors=distractors)
        except HgldError as error:
            raise HgldError(f"{ranking_path}: {error}") from None
    images = f"{len(truth.images)} images" + (f" and {distractors} distractors" if distractors else "")
    about = f"{truth_path}: {len(truth.queries)} queries, {images}; {ranking_path}: {kind}"
    table = pd.concat([frame.assign(difficulty=name) for name, frame in frames.items()], ignore_index=True)
    columns = ["difficulty", *(name for name in table.columns if name != "difficulty")]
    return Evaluation(about, {name: summary(frame) for name, frame in frames.items()}, table[columns])


def evaluate_retrieval(
    submission: Path, solution: Path, *, k: int = 100, index: Path | None = None
) -> Evaluation:
    """GLDv2 retrieval: mAP@k on the Public and the Private queries apart.

    index: a CSV whose column `id` lists the index images that there are (GLDv2's index.csv).

    Raises HgldError for malformed files, missing and unknown queries, and unknown index images.
    """
    truth = read_solution(solution, "images")
    answers = retrieval_submission(submission, truth, _ids(index, "id"))
    frame = retrieval(answers, truth, k)
    return _by_usage(f"{submission} against {solution}", retrieval_summary(frame), frame)


def evaluate_recognition(submission: Path, solution: Path, *, landmarks: Path | None = None) -> Evaluation:
    """GLDv2 recognition: GAP (micro-AP) on the Public and the Private queries apart.

    landmarks: a CSV whose column `landmark_id` lists the train landmarks (GLDv2's train_label_to_category.csv).

    Raises HgldError for malformed files, missing and unknown queries, and unknown landmarks.
    """
    truth = read_solution(solution, "landmarks")
    answers = recognition_submission(submission, truth, _ids(landmarks, "landmark_id"))
    frame = recognition(answers, truth)
    return _by_usage(f"{submission} against {solution}", recognition_summary(frame), frame)


def _by_usage(about: str, flat: dict[str, float], frame: pd.DataFrame) -> Evaluation:
    """One row a usage from figures that are named "figure usage"."""
    rows = {
        usage: {
            name.removesuffix(f" {usage}"): value
            for name, value in flat.items()
            if name.endswith(f" {usage}")
        }
        for usage in USAGES
    }
    return Evaluation(about, rows, frame)


def _ids(path: Path | None, column: str) -> set[str] | None:
    return None if path is None else set(read_csv(path, [column], extra=True)[column])


def _load(path: Path) -> Array | dict[str, Array]:
    """The array of a .npy, as whole numbers or floating; the arrays of a .npz by name."""
    if path.is_dir():
        raise HgldError(f"{path} is a folder; expected a .npy of ranks or scores, or a .npz of embeddings")
    try:
        with path.open("rb") as handle:
            return _arrays(path, np.load(handle, allow_pickle=False))
    except FileNotFoundError:
        raise HgldError(f"no file {path}") from None
    except (OSError, ValueError, EOFError, BadZipFile, KeyError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HgldError(
            f"{path}: not a NumPy file of numbers ({reason}); write it with numpy.save or numpy.savez"
        ) from None


def _arrays(path: Path, found: Any) -> Array | dict[str, Array]:
    """What np.load gives, checked: an array, or an open archive of them."""
    if isinstance(found, np.ndarray):
        return _numbers(path, "the array", found)
    missing = [name for name in SIDES if name not in found]
    if missing:
        names = ", ".join(found.files) or "nothing"
        raise HgldError(f"{path}: no array '{missing[0]}'; expected query and index, found {names}")
    return {name: _numbers(path, name, found[name]) for name in SIDES}


def _numbers(path: Path, name: str, array: Array) -> Array:
    """The array in a type that torch takes, whatever its width and byte order."""
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind != "f":
        raise HgldError(
            f"{path}: {name} holds {array.dtype}; expected whole numbers (ranks) or floating ones"
        )
    return array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)


def _cosine(path: Path, sides: dict[str, Array], truth: GroundTruth, distractors: int) -> Array:
    """Scores (Q, N) of embeddings whose numbers fit the ground truth."""
    rows = {"query": len(truth.queries), "index": len(truth.images) + distractors}
    shapes = {name: sides[name].shape for name in SIDES}
    fits = all(sides[name].ndim == 2 and len(sides[name]) == rows[name] for name in SIDES)
    if not fits or sides["query"].shape[1] != sides["index"].shape[1]:
        wanted = f"query ({rows['query']}, D) and index ({rows['index']}, D)"
        raise HgldError(
            f"{path}: expected {wanted}; found query {shapes['query']} and index {shapes['index']}"
        )
    unit = {}
    for name in SIDES:
        vectors = sides[name].astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1)
        bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
        if len(bad):
            raise HgldError(
                f"{path}: row {bad[0]} of {name} is no direction (zero or not finite), and {len(bad) - 1} more"
            )
        unit[name] = vectors / lengths[:, None]
    return np.asarray(unit["query"] @ unit["index"].T)


def _figure(name: str, value: float) -> str:
    """Four decimals of a measure, a count as it is, a dash for NaN."""
    if np.isnan(value):
        return "–"
    return f"{value:.4f}" if name.startswith(("mAP", "mP", "GAP")) else f"{value:.0f}"
