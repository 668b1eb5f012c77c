"""`hgld evaluate`: predictions in files, of any system, against the ground truth of a published benchmark.

    revisited      ranks or scores as .npy, or embeddings as .npz    Revisited Oxford and Paris
    retrieval      id,images, the Kaggle challenge's format          GLDv2 retrieval, mAP@100
    recognition    id,landmarks                                      GLDv2 recognition, GAP

The measures are defined in `revisited` and `gldv2`; this module reads the files and formats the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from hgld.benchmarks.protocols.array_files import Header, load_arrays
from hgld.benchmarks.protocols.gldv2 import (
    Summary,
    recognition,
    recognition_summary,
    retrieval,
    retrieval_summary,
)
from hgld.benchmarks.protocols.revisited import (
    DIFFICULTIES,
    as_kind,
    cosine_scores,
    read_ground_truth,
    revisited,
    summary,
)
from hgld.benchmarks.protocols.submissions import (
    Solution,
    read_solution,
    recognition_submission,
    retrieval_submission,
)
from hgld.foundation.display.text_table import TextTable
from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError
from hgld.foundation.files import without_nan
from hgld.foundation.tables import read_csv, write_csv

Array = npt.NDArray[Any]

SIDES = ("query", "index")
WIDEST = 1 << 16  # columns of embeddings
RANKING_KIND = {"scores": "scores", "ranks": "ranks", "embeddings": "scores"}


@dataclass(frozen=True)
class Evaluation:
    """The inputs in one line, the measures by difficulty or usage, one row per query, and a doubt about the inputs."""

    inputs: str
    summary: Summary
    per_query: pd.DataFrame
    note: str = ""

    def to_dict(self) -> Summary:
        """The summary for JSON; NaN becomes None."""
        values: Summary = without_nan(self.summary)
        return values

    def text(self) -> str:
        """The inputs, and a table with one row per difficulty or usage."""
        names = list(next(iter(self.summary.values())))
        rows = [[row, *(_format(name, measures[name]) for name in names)] for row, measures in self.summary.items()]
        heading = visible(f"{self.inputs}{self.note and f'; {self.note}'}")
        return f"{heading}\n\n{TextTable(['', *names], rows, text=[''])}"

    def write(self, path: Path) -> None:
        """Write one CSV row per query, atomically; an undefined measure is empty."""
        write_csv(self.per_query, path)


def evaluate_revisited(
    truth_path: Path, ranking_path: Path, *, distractors: int = 0, kind: str | None = None
) -> Evaluation:
    """Easy, Medium and Hard: mAP and mP@k of ranks, scores or embeddings.

    ranking_path: .npy with ranks (Q, K), image indices from best to worst, or with scores (Q, N); `revisited` says how
    the two are distinguished. Or .npz with embeddings `query` (Q, D) and `index` (N, D), compared by cosine similarity.
    N is the number of images of the ground truth, in its order, followed by the distractors.

    Raises HgldError for files of another format.
    """
    truth = read_ground_truth(truth_path)
    rows = {"query": len(truth.queries), "index": len(truth.images) + distractors}
    loaded = load_arrays(ranking_path, SIDES, lambda headers: _check_sides(ranking_path, headers, rows))
    try:
        if isinstance(loaded, dict):
            if kind is not None:
                raise HgldError(f"these are embeddings, not {kind}; leave the kind out")
            found = "embeddings"
            ranking = cosine_scores(*(torch.from_numpy(loaded[name]) for name in SIDES))
        else:
            ranking = as_kind(torch.from_numpy(loaded), rows["index"], kind)
            found = "scores" if ranking.is_floating_point() else "ranks"
        frames = {
            name: revisited(ranking, truth, name, distractors=distractors, kind=RANKING_KIND[found])
            for name in DIFFICULTIES
        }
    except HgldError as error:
        raise HgldError(f"{ranking_path}: {error}") from None
    if "unlisted" in frames["medium"]:
        unlisted, positives = frames["medium"][["unlisted", "positives"]].sum()
        found += (
            f", the first {ranking.shape[1]} only"
            if not bool((ranking < 0).any())
            else f", up to {ranking.shape[1]} a query"
        )
        if unlisted:
            found += (
                f": {unlisted} of {positives} positives (medium) are not listed and count as missed, so that mAP, and "
                "mP@k where fewer than k images are left, are lower bounds"
            )
    images = f"{len(truth.images)} images" + (f" and {distractors} distractors" if distractors else "")
    inputs = f"{truth_path}: {len(truth.queries)} queries, {images}; {ranking_path}: {found}"
    table = pd.concat([frame.assign(difficulty=name) for name, frame in frames.items()], ignore_index=True)
    columns = ["difficulty", *(name for name in table.columns if name != "difficulty")]
    return Evaluation(inputs, {name: summary(frame) for name, frame in frames.items()}, table[columns])


def evaluate_retrieval(submission: Path, solution: Path, *, k: int = 100, index: Path | None = None) -> Evaluation:
    """GLDv2 retrieval: mAP@k of the Public and the Private queries.

    index: a CSV whose column `id` lists all index images (GLDv2's index.csv).

    Raises HgldError for malformed files, missing and unknown queries, and unknown index images.
    """
    truth = read_solution(solution, "images")
    lists = retrieval_submission(submission, truth, _ids(index, "id"))
    frame = retrieval(lists, truth, k)
    note = "" if index else _unknown(truth, chain.from_iterable(lists.values()), "--index")
    return Evaluation(f"{submission} against {solution}", retrieval_summary(frame), frame, note)


def evaluate_recognition(submission: Path, solution: Path, *, landmarks: Path | None = None) -> Evaluation:
    """GLDv2 recognition: GAP (micro-AP) of the Public and the Private queries.

    landmarks: a CSV whose column `landmark_id` lists all train landmarks (GLDv2's train_label_to_category.csv).

    Raises HgldError for malformed files, missing and unknown queries, and unknown landmarks.
    """
    truth = read_solution(solution, "landmarks")
    guesses = recognition_submission(submission, truth, _ids(landmarks, "landmark_id"))
    frame = recognition(guesses, truth)
    note = "" if landmarks else _unknown(truth, (guess.landmark for guess in guesses.values() if guess), "--landmarks")
    return Evaluation(f"{submission} against {solution}", recognition_summary(frame), frame, note)


def _unknown(truth: Solution, answers: Iterable[str], option: str) -> str:
    """A warning where no answer of a submission is right for any query, which hints at ids of another list."""
    given = set(answers)
    if not given or not given.isdisjoint(truth.answers):
        return ""
    return (
        f"none of the {len(given)} different ids is a correct answer of the solution; {option} checks that they exist"
    )


def _ids(path: Path | None, column: str) -> set[str] | None:
    return None if path is None else set(read_csv(path, [column], extra=True)[column])


def _check_sides(path: Path, headers: dict[str, Header], rows: dict[str, int]) -> None:
    """Raise HgldError when the shapes of the embeddings do not match the ground truth or each other."""
    shapes = {name: headers[name].shape for name in SIDES}
    fits = all(len(shapes[name]) == 2 and shapes[name][0] == rows[name] for name in SIDES)
    if not fits or shapes["query"][1] != shapes["index"][1]:
        expected = f"query ({rows['query']}, D) and index ({rows['index']}, D)"
        raise HgldError(f"{path}: expected {expected}; found query {shapes['query']} and index {shapes['index']}")
    if not 1 <= shapes["query"][1] <= WIDEST:
        raise HgldError(f"{path}: the embeddings have {shapes['query'][1]:,} columns; expected 1 to {WIDEST:,}")


def _format(name: str, value: float) -> str:
    """Four decimals for a measure, none for a count, a dash for NaN."""
    if np.isnan(value):
        return "–"
    return f"{value:.4f}" if name.startswith(("mAP", "mP", "GAP")) else f"{value:.0f}"
