"""Revisited Oxford and Paris: the Easy, Medium and Hard protocol (Radenović et al., CVPR 2018).

The ground truth of a query lists easy, hard and junk images. A difficulty defines which of them are positives and which
are removed from the ranking before it is scored:

    easy      positives easy            removed: junk, hard
    medium    positives easy and hard   removed: junk
    hard      positives hard            removed: junk, easy

AP is trapezoidal: with R positives, of which the i-th (i = 0, 1, ..) is at position n (from 0) of the ranking,

    AP = 1/R sum_i (i / n + (i + 1) / (n + 1)) / 2,        i / n = 1 for n = 0.

As in the protocol, P@k divides by k, or by the position of the last positive (from 1) where that is smaller. A query
without positives is NaN. Order: score descending, then image index ascending.

Truncated ranks (the first K of N images, or fewer, followed by -1) do not show where the other positives are. These
count as missed, and P@k then divides by k: AP and P@k are lower bounds, and P@k is exact where k images or all
positives are left after the removal.

Query images are cropped to their box before they are embedded: `image.crop(query.box)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from hgld.benchmarks.protocols.plain_pickle import Array, load_plain
from hgld.benchmarks.ranking.similarity import as_tensor, similarity, unit_rows
from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, reason, suggest

CUTOFFS = (1, 5, 10)
KINDS = ("easy", "hard", "junk")
RANKING_KINDS = ("scores", "ranks")
# what fills the end of a list of ranks that is shorter than others
_END = -1
Mask = npt.NDArray[np.bool_]


class Difficulty(NamedTuple):
    """Kinds of images that are positives, and kinds that are removed from the ranking."""

    positives: tuple[str, ...]
    removed: tuple[str, ...]


DIFFICULTIES = {
    "easy": Difficulty(("easy",), removed=("junk", "hard")),
    "medium": Difficulty(("easy", "hard"), removed=("junk",)),
    "hard": Difficulty(("hard",), removed=("junk", "easy")),
}


@dataclass(frozen=True)
class Query:
    """A query: image name, box (left, upper, right, lower; pixels), and image indices by kind, ascending."""

    name: str
    box: tuple[float, float, float, float]
    easy: tuple[int, ...]
    hard: tuple[int, ...]
    junk: tuple[int, ...]

    def of(self, kinds: Sequence[str]) -> list[int]:
        """Image indices of the given kinds."""
        return [image for kind in kinds for image in getattr(self, kind)]


@dataclass(frozen=True)
class GroundTruth:
    """Names of the N images, in the order of the scores, and the Q queries."""

    images: tuple[str, ...]
    queries: tuple[Query, ...]


def read_ground_truth(path: Path) -> GroundTruth:
    """Read gnd_roxford5k.pkl or gnd_rparis6k.pkl without running code in it (see `load_plain`).

    Raises HgldError for a file of another format, an index outside the list of images, an image listed twice for a
    query, and an empty box.
    """
    content = load_plain(path)
    try:
        images, names = _list(content["imlist"]), _list(content["qimlist"])
        queries = tuple(
            Query(
                visible(str(name)),
                _box(entry["bbx"]),
                *(tuple(sorted(map(int, _list(entry[kind])))) for kind in KINDS),
            )
            for name, entry in zip(names, _list(content["gnd"]), strict=True)
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise HgldError(
            f"{path}: not a Revisited ground truth ({type(error).__name__}: {reason(error)[:200]}); expected "
            "imlist, qimlist and gnd with bbx, easy, hard and junk per query"
        ) from None
    for query in queries:
        _check_query(path, query, len(images))
    return GroundTruth(tuple(map(str, images)), queries)


def revisited(
    ranking: Tensor | npt.NDArray[Any],
    truth: GroundTruth,
    difficulty: str = "medium",
    *,
    distractors: int = 0,
    kind: str | None = None,
) -> pd.DataFrame:
    """Score every query under one difficulty.

    ranking: scores (Q, N), higher is more similar; or ranks (Q, K), image indices from best to worst, where K < N is
    possible (see the module), and -1 fills the end of a shorter list. kind: "scores" or "ranks"; without it,
    floating-point numbers are scores and integers ranks. distractors: the number of images (R1M: 1,001,001) that follow
    those of the ground truth in N; they are negatives of every query.
    -> DataFrame, one row per query, in order: query, AP, P@1, P@5, P@10 (float64 in [0, 1], NaN without positives),
    positives, ties (1 where a positive and another image have equal scores, NaN for ranks); for truncated ranks also
    unlisted (the number of positives that are not in the list).
    Raises HgldError for an unknown difficulty or kind, a wrong shape, NaN scores, indices that repeat or are out of
    range, and, without a kind, for floating-point numbers that may be ranks.

    >>> truth = GroundTruth(("a", "b", "c", "d"), (Query("q", (0, 0, 9, 9), easy=(1,), hard=(2,), junk=(0,)),))
    >>> revisited(np.array([[0.9, 0.8, 0.1, 0.5]]), truth).round(3).to_dict("records")[0]["AP"]
    0.792
    """
    if not isinstance(difficulty, str) or difficulty not in DIFFICULTIES:
        hint = suggest(str(difficulty), DIFFICULTIES)
        raise HgldError(f"unknown difficulty {difficulty!r}{hint}; known: {', '.join(DIFFICULTIES)}")
    if not isinstance(truth, GroundTruth):
        raise HgldError(f"truth must come from read_ground_truth; got {type(truth).__name__}")
    if not isinstance(distractors, int) or isinstance(distractors, bool) or distractors < 0:
        raise HgldError(f"distractors must be a whole number from 0 up; got {distractors!r}")
    images = len(truth.images) + distractors
    tensor = as_kind(_as_numbers(ranking), images, kind)
    _check_shape(tensor, len(truth.queries), images)
    truncated = not tensor.is_floating_point() and (tensor.shape[1] < images or bool((tensor == _END).any()))
    rows = []
    for query, row in zip(truth.queries, tensor, strict=True):
        order, scores = _order(row, query, images)
        remaining = ~np.isin(order, query.of(DIFFICULTIES[difficulty].removed))
        positives = query.of(DIFFICULTIES[difficulty].positives)
        hits = np.isin(order, positives)[remaining]
        ties = np.nan if scores is None or not positives else _tied(hits, scores[remaining])
        measures = _measures(hits, len(positives))
        unlisted = len(positives) - int(hits.sum())
        rows.append({"query": query.name, **measures, "positives": len(positives), "ties": ties, "unlisted": unlisted})
    columns = ["query", "AP", *(f"P@{k}" for k in CUTOFFS), "positives", "ties", *(["unlisted"] if truncated else [])]
    return pd.DataFrame(rows, columns=columns)


def summary(frame: pd.DataFrame) -> dict[str, float]:
    """From `revisited`: means over the queries with positives, and the numbers of queries, undefined and tied ones.

    queries counts those with positives, undefined those without. `tied` is NaN for ranks, which do not show ties. For
    truncated ranks, `unlisted` is the number of positives that are in no list and count as missed.
    """
    means = {f"m{name}": float(frame[name].mean()) for name in ("AP", *(f"P@{k}" for k in CUTOFFS))}
    undefined = int(frame["AP"].isna().sum())
    tied = float(frame["ties"].sum(min_count=1))
    counts = {"queries": len(frame) - undefined, "undefined": undefined, "tied": tied}
    return {**means, **counts, **({"unlisted": int(frame["unlisted"].sum())} if "unlisted" in frame else {})}


def cosine_scores(query: Tensor, index: Tensor) -> Tensor:
    """Cosine similarities (Q, N) in float32 of embeddings (Q, D) and (N, D).

    Raises HgldError when a row is zero or not finite.
    """
    unit = []
    for name, rows in (("query", query), ("index", index)):
        rows = unit_rows(rows if rows.is_floating_point() else rows.double(), name).float()
        bad = (~rows.isfinite().all(1)).nonzero()[:, 0]
        if len(bad):
            raise HgldError(f"row {int(bad[0])} of {name} is not finite ({len(bad)} such rows); remove or repair them")
        unit.append(rows)
    return similarity(*unit)


def official_measures(query: Tensor, index: Tensor, truth: GroundTruth) -> dict[str, float]:
    """The means by name, "mAP easy" to "mP@10 hard", of embeddings (Q, D) and (N, D); NaN without any positives."""
    scores = cosine_scores(query, index)
    measures: dict[str, float] = {}
    for difficulty in DIFFICULTIES:
        means = summary(revisited(scores, truth, difficulty, kind="scores"))
        measures |= {f"{name} {difficulty}": value for name, value in means.items() if name.startswith("m")}
    return measures


def _as_numbers(ranking: Any) -> Tensor:
    """The ranking as a tensor in main memory, also from a list of rows."""
    if isinstance(ranking, (list, tuple)):
        try:
            ranking = np.array(ranking)
        except (ValueError, OverflowError) as error:
            raise HgldError(f"the ranking must be rows of one length ({reason(error)})") from None
    return as_tensor(ranking, "the ranking").detach().cpu()


def _measures(hits: Mask, total: int) -> dict[str, Any]:
    """AP and P@k of one ranking. hits (n,); total: the number of positives, listed or not."""
    if total == 0:
        return {"AP": np.nan} | {f"P@{k}": np.nan for k in CUTOFFS}
    positions = np.flatnonzero(hits)
    count = np.arange(len(positions))
    before = np.where(positions > 0, count / np.maximum(positions, 1), 1.0)
    ap = float(((before + (count + 1) / (positions + 1)) / 2).sum() / total)
    last = int(positions[-1]) + 1 if len(positions) == total else max(CUTOFFS)
    return {"AP": ap} | {f"P@{k}": float(hits[:k].sum() / min(k, last)) for k in CUTOFFS}


def _order(row: Tensor, query: Query, images: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any] | None]:
    """Image indices from best to worst, and their scores (None for ranks)."""
    if row.is_floating_point():
        if bool((row.isnan() | row.isposinf()).any()) or bool(row.isneginf().all()):
            bad = "NaN" if bool(row.isnan().any()) else "infinite"
            raise HgldError(f"query {query.name}: a score is {bad}; check the model and the image")
        scores, order = row.sort(descending=True, stable=True)
        return order.numpy(), scores.double().numpy()
    order = _listed(row.long(), query)
    if len(order) and not 0 <= int(order.min()) <= int(order.max()) < images:
        raise HgldError(
            f"query {query.name}: ranks must be image indices from 0 to {images - 1}, but run from {int(order.min())} "
            f"to {int(order.max())}; {_remedy(order, images)}"
        )
    if len(np.unique(order.numpy())) < len(order):
        raise HgldError(f"query {query.name}: an image is ranked twice; if these are scores, say so: kind scores")
    return order.numpy(), None


def _listed(row: Tensor, query: Query) -> Tensor:
    """The ranks without the -1 that fill the end of a list. Raises HgldError for one before the end."""
    ends = row == _END
    length = len(row) - int(ends.sum())
    if bool(ends[:length].any()):
        raise HgldError(
            f"query {query.name}: -1 at rank {int(ends.nonzero()[0]) + 1}, before image {int(row[~ends][-1])}: it only "
            "ends a list; move the images to the front"
        )
    return row[:length]


def _remedy(order: Tensor, images: int) -> str:
    """What may be the matter with ranks that are out of range."""
    if int(order.max()) == images and int(order.min()) >= 1:
        return "if they count from 1, subtract 1"
    return "are the distractors missing, or are these scores? then say so: kind scores"


def _tied(hits: Mask, scores: npt.NDArray[Any]) -> float:
    """1 where a positive and another image have equal scores, so that the order by index decides; else 0."""
    return float(((scores[1:] == scores[:-1]) & (hits[1:] != hits[:-1])).any())


def as_kind(ranking: Tensor, images: int, kind: str | None) -> Tensor:
    """The ranking as floating-point scores or integer ranks.

    Raises HgldError for an unknown kind, for ranks that are not whole, and, without a kind, for floating-point numbers
    that may be ranks: rows of whole numbers from 0 up (or -1 for nothing) of which most are different.
    """
    if kind not in (None, *RANKING_KINDS):
        raise HgldError(f"unknown kind {kind!r}{suggest(str(kind), RANKING_KINDS)}; known: scores, ranks")
    if ranking.dtype == torch.bool or ranking.is_complex():
        raise HgldError(f"scores must be floating-point and ranks integers; got {ranking.dtype}")
    if kind == "scores":
        return ranking if ranking.is_floating_point() else ranking.double()
    if not ranking.is_floating_point():
        return ranking
    whole = bool(((ranking == ranking.round()) & ranking.isfinite()).all()) and ranking.numel() > 0
    if kind == "ranks":
        if not whole:
            raise HgldError("ranks must be whole numbers, the indices of images; are these scores? say so: kind scores")
        return ranking.long()
    if whole and ranking.dim() == 2 and float(ranking.min()) >= -1 and all(map(_mostly_different, ranking)):
        raise HgldError(
            "these floating-point numbers may be ranks, as all are whole and most of a row are different; say what "
            "they are: kind ranks (image indices, best first) or kind scores (one per image)"
        )
    return ranking


def _mostly_different(row: Tensor) -> bool:
    """Whether a row has more different numbers than repeated ones; -1, which fills short lists, does not count."""
    listed = row[row != -1]
    different = len(torch.unique(listed))
    return different > 2 and 2 * different > len(listed)


def _check_shape(ranking: Tensor, queries: int, images: int) -> None:
    fits = ranking.dim() == 2 and len(ranking) == queries
    if not fits or (ranking.is_floating_point() and ranking.shape[1] != images):
        transposed = ranking.dim() == 2 and ranking.shape[1] == queries
        raise HgldError(
            f"expected one row per query: scores ({queries}, {images}) or ranks ({queries}, up to {images}); "
            f"got {tuple(ranking.shape)}" + ("; transpose it" if transposed else "")
        )


def _check_query(path: Path, query: Query, images: int) -> None:
    listed = query.of(KINDS)
    if listed and not 0 <= min(listed) <= max(listed) < images:
        raise HgldError(f"{path}: query {query.name} lists image {max(listed)}; imlist has only {images}")
    if len(set(listed)) < len(listed):
        raise HgldError(f"{path}: query {query.name} lists an image twice among easy, hard and junk")
    left, upper, right, lower = query.box
    if not (all(map(isfinite, query.box)) and left < right and upper < lower):
        raise HgldError(f"{path}: the box of query {query.name} is empty: {query.box}")


def _list(value: Any) -> list[Any]:
    """A list, tuple or array of the pickle as a list."""
    if isinstance(value, Array):
        return value.tolist()
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"expected a list, not {type(value).__name__}")
    return list(value)


def _box(value: Any) -> tuple[float, float, float, float]:
    left, upper, right, lower = map(float, np.ravel(_list(value)))
    return left, upper, right, lower
