"""Revisited Oxford and Paris: the Easy, Medium and Hard protocol (Radenović et al., CVPR 2018).

The ground truth sorts the images that matter to a query into easy, hard and junk. A difficulty says which of them are
positives and which are taken out of the ranking before anything is measured:

    easy      positives easy            out: junk, hard
    medium    positives easy and hard   out: junk
    hard      positives hard            out: junk, easy

AP is trapezoidal: with R positives, of which the i-th (i = 0, 1, ..) stands at place n (from 0) of what is left,

    AP = 1/R sum_i (i / n + (i + 1) / (n + 1)) / 2,        i / n = 1 for n = 0.

P@k divides by k, or by the place of the last positive where that is smaller, as the protocol does. A query without
positives is NaN. Order: score descending, then image index ascending.

The image of a query is cropped to its box before it is embedded: `image.crop(query.box)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from hgld.benchmarks.protocols.plain_pickle import Array, load_plain
from hgld.foundation.errors import HgldError, suggest

AT = (1, 5, 10)
# difficulty: (positives, taken out of the ranking)
DIFFICULTIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "easy": (("easy",), ("junk", "hard")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("junk", "easy")),
}
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Query:
    """A query: its image, its box (left, upper, right, lower; pixels), and image indices by kind, ascending."""

    name: str
    box: tuple[float, float, float, float]
    easy: tuple[int, ...]
    hard: tuple[int, ...]
    junk: tuple[int, ...]

    def of(self, kinds: Sequence[str]) -> list[int]:
        """Image indices of several kinds."""
        return [image for kind in kinds for image in getattr(self, kind)]


@dataclass(frozen=True)
class GroundTruth:
    """Names of the N images in the order in which they are scored, and the Q queries."""

    images: tuple[str, ...]
    queries: tuple[Query, ...]


def read_ground_truth(path: Path) -> GroundTruth:
    """Read gnd_roxford5k.pkl or gnd_rparis6k.pkl; the pickle is not run, see `load_plain`.

    Raises HgldError for a file of another make, an index outside the list of images, an image named twice for one
    query, and a box that is none.
    """
    content = load_plain(path)
    try:
        images, names = _list(content["imlist"]), _list(content["qimlist"])
        queries = tuple(
            Query(
                str(name),
                _box(entry["bbx"]),
                *(tuple(sorted(map(int, _list(entry[kind])))) for kind in ("easy", "hard", "junk")),
            )
            for name, entry in zip(names, _list(content["gnd"]), strict=True)
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise HgldError(
            f"{path}: not a Revisited ground truth ({type(error).__name__}: {error}); expected "
            "imlist, qimlist and gnd with bbx, easy, hard and junk for every query"
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
) -> pd.DataFrame:
    """Score every query under one difficulty.

    ranking: scores (Q, N), floating, higher is nearer; or ranks (Q, K), integers, image indices from best to worst.
    Where K < N, a positive that is not listed counts as never found. distractors: how many images (R1M: 1,001,001)
    follow those of the ground truth in N; they are negatives of every query.
    -> DataFrame, one row a query in order: query, AP, P@1, P@5, P@10 (float64, NaN without positives), positives,
    ties (1 where equal scores stand on both sides of a positive's border, NaN for ranks).
    Raises HgldError for an unknown difficulty, a wrong shape, scores that are NaN, and indices that repeat or are no
    image.

    >>> truth = GroundTruth(("a", "b", "c", "d"), (Query("q", (0, 0, 9, 9), easy=(1,), hard=(2,), junk=(0,)),))
    >>> revisited(np.array([[0.9, 0.8, 0.1, 0.5]]), truth).round(3).to_dict("records")[0]["AP"]
    0.792
    """
    if difficulty not in DIFFICULTIES:
        raise HgldError(
            f"unknown difficulty {difficulty!r}{suggest(difficulty, DIFFICULTIES)}; known: {', '.join(DIFFICULTIES)}"
        )
    given = torch.as_tensor(ranking).detach().cpu()
    images = len(truth.images) + distractors
    _check_shape(given, len(truth.queries), images)
    wanted, removed = DIFFICULTIES[difficulty]
    rows = []
    for query, row in zip(truth.queries, given, strict=True):
        order, scores = _order(row, query, images)
        left = _flags(query.of(removed), images, wanted=False)[order]
        positives = query.of(wanted)
        hits = _flags(positives, images)[order][left]
        tied = np.nan if scores is None else _tied(hits, scores[left])
        rows.append({"query": query.name, **_measures(hits, len(positives)), "positives": len(positives)})
        rows[-1]["ties"] = tied if positives else np.nan
    columns = ["query", "AP", *(f"P@{k}" for k in AT), "positives", "ties"]
    return pd.DataFrame(rows, columns=columns)


def summary(frame: pd.DataFrame) -> dict[str, float]:
    """Means over the queries that have positives, and how many have (queries), have not (undefined), are tied.

    `tied` is NaN where ranks were given: they do not show ties.
    """
    means = {f"m{name}": float(frame[name].mean()) for name in ("AP", *(f"P@{k}" for k in AT))}
    undefined = int(frame["AP"].isna().sum())
    tied = float(frame["ties"].sum(min_count=1))
    return {**means, "queries": len(frame) - undefined, "undefined": undefined, "tied": tied}


def _measures(hits: Flags, total: int) -> dict[str, Any]:
    """AP and P@k of one ranking without junk. hits (n,), total the number of positives, listed or not."""
    if total == 0:
        return {"AP": np.nan} | {f"P@{k}": np.nan for k in AT}
    at = np.flatnonzero(hits)
    found = np.arange(len(at))
    before = np.where(at > 0, found / np.maximum(at, 1), 1.0)
    ap = float(((before + (found + 1) / (at + 1)) / 2).sum() / total)
    last = int(at[-1]) + 1 if len(at) else max(AT)
    return {"AP": ap} | {f"P@{k}": float(hits[:k].sum() / min(k, last)) for k in AT}


def _order(row: Tensor, query: Query, images: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any] | None]:
    """Image indices from best to worst, and their scores where scores were given."""
    if row.is_floating_point():
        if bool(row.isnan().any()):
            raise HgldError(f"query {query.name}: a score is NaN; the model has diverged or an image is bad")
        scores, order = row.sort(descending=True, stable=True)
        return order.numpy(), scores.double().numpy()
    order = row.long()
    if len(order) and not 0 <= int(order.min()) <= int(order.max()) < images:
        raise HgldError(f"query {query.name}: ranks must be image indices from 0 to {images - 1}")
    if len(np.unique(order.numpy())) < len(order):
        raise HgldError(
            f"query {query.name}: an image is ranked twice (are these whole-number scores? make them float)"
        )
    return order.numpy(), None


def _tied(hits: Flags, scores: npt.NDArray[Any]) -> float:
    """1 where a positive and another image have one score: there the order by index decides."""
    return float(((scores[1:] == scores[:-1]) & (hits[1:] != hits[:-1])).any())


def _flags(members: list[int], length: int, wanted: bool = True) -> Flags:
    flags = np.full(length, not wanted)
    flags[members] = wanted
    return flags


def _check_shape(given: Tensor, queries: int, images: int) -> None:
    if given.dtype == torch.bool or given.is_complex():
        raise HgldError(f"scores must be floating and ranks integers; got {given.dtype}")
    fits = given.dim() == 2 and len(given) == queries
    if not fits or (given.is_floating_point() and given.shape[1] != images):
        turned = given.dim() == 2 and given.shape[1] == queries
        raise HgldError(
            f"expected one row a query: scores ({queries}, {images}) or ranks ({queries}, up to {images}); "
            f"got {tuple(given.shape)}" + ("; transpose it" if turned else "")
        )


def _check_query(path: Path, query: Query, images: int) -> None:
    listed = query.of(("easy", "hard", "junk"))
    if listed and not 0 <= min(listed) <= max(listed) < images:
        raise HgldError(f"{path}: query {query.name} lists image {max(listed)}; imlist has {images}")
    if len(set(listed)) < len(listed):
        raise HgldError(f"{path}: query {query.name} lists an image twice among easy, hard and junk")
    left, upper, right, lower = query.box
    if not (all(map(isfinite, query.box)) and left < right and upper < lower):
        raise HgldError(f"{path}: the box of query {query.name} is empty: {query.box}")


def _list(value: Any) -> list[Any]:
    """A list, a tuple or an array of the pickle as a list."""
    if isinstance(value, Array):
        return value.tolist()
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"a list was expected, not {type(value).__name__}")
    return list(value)


def _box(value: Any) -> tuple[float, float, float, float]:
    left, upper, right, lower = map(float, np.ravel(_list(value)))
    return left, upper, right, lower
