"""`hgld evaluate`: predictions in files, of any system, against the ground truth of a published benchmark.

    revisited      ranks or scores as .npy, or embeddings as .npz    Revisited Oxford and Paris
    retrieval      id,images, the Kaggle challenge's format          GLDv2 retrieval, mAP@100
    recognition    id,landmarks                                      GLDv2 recognition, GAP

The measures are defined in `revisited` and `gldv2`; this module reads the files and formats the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd

from hgld.benchmarks.protocols.gldv2 import (
    Summary,
    recognition,
    recognition_summary,
    retrieval,
    retrieval_summary,
)
from hgld.benchmarks.protocols.revisited import (
    DIFFICULTIES,
    GroundTruth,
    read_ground_truth,
    revisited,
    summary,
)
from hgld.benchmarks.protocols.submissions import (
    read_solution,
    recognition_submission,
    retrieval_submission,
)
from hgld.foundation.errors import HgldError
from hgld.foundation.files import without_nan
from hgld.foundation.tables import read_csv, write_csv
from hgld.foundation.text_table import TextTable

Array = npt.NDArray[Any]

SIDES = ("query", "index")


@dataclass(frozen=True)
class Evaluation:
    """The inputs in one line, the measures by difficulty or usage, and one row per query."""

    inputs: str
    summary: Summary
    per_query: pd.DataFrame

    def to_dict(self) -> Summary:
        """The summary for JSON; NaN becomes None."""
        values: Summary = without_nan(self.summary)
        return values

    def text(self) -> str:
        """The inputs, and a table with one row per difficulty or usage."""
        names = list(next(iter(self.summary.values())))
        rows = [[row, *(_format(name, measures[name]) for name in names)] for row, measures in self.summary.items()]
        return f"{self.inputs}\n\n{TextTable(['', *names], rows, text=[''])}"

    def write(self, path: Path) -> None:
        """Write one CSV row per query, atomically; an undefined measure is empty."""
        write_csv(self.per_query, path)


def evaluate_revisited(truth_path: Path, ranking_path: Path, *, distractors: int = 0) -> Evaluation:
    """Easy, Medium and Hard: mAP and mP@k of ranks, scores or embeddings.

    ranking_path: .npy with ranks (Q, K), integers, image indices from best to worst, or with scores (Q, N), floating;
    or .npz with embeddings `query` (Q, D) and `index` (N, D), compared by cosine similarity. N is the number of images
    of the ground truth, in its order, followed by the distractors.

    Raises HgldError for files of another format.
    """
    truth = read_ground_truth(truth_path)
    ranking = _load(ranking_path)
    if isinstance(ranking, dict):
        kind, ranking = "embeddings", _cosine(ranking_path, ranking, truth, distractors)
    else:
        kind = "scores" if ranking.dtype.kind == "f" else "ranks"
    frames = {}
    for name in DIFFICULTIES:
        try:
            frames[name] = revisited(ranking, truth, name, distractors=distractors)
        except HgldError as error:
            raise HgldError(f"{ranking_path}: {error}") from None
    images = f"{len(truth.images)} images" + (f" and {distractors} distractors" if distractors else "")
    inputs = f"{truth_path}: {len(truth.queries)} queries, {images}; {ranking_path}: {kind}"
    table = pd.concat([frame.assign(difficulty=name) for name, frame in frames.items()], ignore_index=True)
    columns = ["difficulty", *(name for name in table.columns if name != "difficulty")]
    return Evaluation(inputs, {name: summary(frame) for name, frame in frames.items()}, table[columns])


def evaluate_retrieval(submission: Path, solution: Path, *, k: int = 100, index: Path | None = None) -> Evaluation:
    """GLDv2 retrieval: mAP@k of the Public and the Private queries.

    index: a CSV whose column `id` lists all index images (GLDv2's index.csv).

    Raises HgldError for malformed files, missing and unknown queries, and unknown index images.
    """
    truth = read_solution(solution, "images")
    frame = retrieval(retrieval_submission(submission, truth, _ids(index, "id")), truth, k)
    return Evaluation(f"{submission} against {solution}", retrieval_summary(frame), frame)


def evaluate_recognition(submission: Path, solution: Path, *, landmarks: Path | None = None) -> Evaluation:
    """GLDv2 recognition: GAP (micro-AP) of the Public and the Private queries.

    landmarks: a CSV whose column `landmark_id` lists all train landmarks (GLDv2's train_label_to_category.csv).

    Raises HgldError for malformed files, missing and unknown queries, and unknown landmarks.
    """
    truth = read_solution(solution, "landmarks")
    frame = recognition(recognition_submission(submission, truth, _ids(landmarks, "landmark_id")), truth)
    return Evaluation(f"{submission} against {solution}", recognition_summary(frame), frame)


def _ids(path: Path | None, column: str) -> set[str] | None:
    return None if path is None else set(read_csv(path, [column], extra=True)[column])


def _load(path: Path) -> Array | dict[str, Array]:
    """The array of a .npy, or those of a .npz by name; integer or floating."""
    if path.is_dir():
        raise HgldError(f"{path} is a folder; expected a .npy with ranks or scores, or a .npz with embeddings")
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


def _arrays(path: Path, loaded: Any) -> Array | dict[str, Array]:
    """The checked contents of np.load's result: an array, or an open .npz archive."""
    if isinstance(loaded, np.ndarray):
        return _numbers(path, "the array", loaded)
    missing = [name for name in SIDES if name not in loaded]
    if missing:
        names = ", ".join(loaded.files) or "nothing"
        raise HgldError(f"{path}: no array '{missing[0]}'; expected query and index, found {names}")
    return {name: _numbers(path, name, loaded[name]) for name in SIDES}


def _numbers(path: Path, name: str, array: Array) -> Array:
    """The array as int64, float64 or float32, which torch accepts, from any width and byte order."""
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind != "f":
        raise HgldError(f"{path}: {name} has dtype {array.dtype}; expected integers (ranks) or floating-point numbers")
    return array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)


def _cosine(path: Path, sides: dict[str, Array], truth: GroundTruth, distractors: int) -> Array:
    """Cosine similarities (Q, N). Raises HgldError when shapes do not match the ground truth, or a row is zero."""
    rows = {"query": len(truth.queries), "index": len(truth.images) + distractors}
    shapes = {name: sides[name].shape for name in SIDES}
    fits = all(sides[name].ndim == 2 and len(sides[name]) == rows[name] for name in SIDES)
    if not fits or sides["query"].shape[1] != sides["index"].shape[1]:
        expected = f"query ({rows['query']}, D) and index ({rows['index']}, D)"
        raise HgldError(f"{path}: expected {expected}; found query {shapes['query']} and index {shapes['index']}")
    unit = {}
    for name in SIDES:
        vectors = sides[name].astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1)
        bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
        if len(bad):
            raise HgldError(
                f"{path}: row {bad[0]} of {name} is zero or not finite ({len(bad)} such rows); remove or repair them"
            )
        unit[name] = vectors / lengths[:, None]
    return np.asarray(unit["query"] @ unit["index"].T)


def _format(name: str, value: float) -> str:
    """Four decimals for a measure, none for a count, a dash for NaN."""
    if np.isnan(value):
        return "–"
    return f"{value:.4f}" if name.startswith(("mAP", "mP", "GAP")) else f"{value:.0f}"
