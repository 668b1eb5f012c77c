"""A map of the gallery's embeddings in two dimensions, coloured by the classes of each level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hgld.benchmarks.datasets.labelled_images import RetrievalDataset
from hgld.benchmarks.ranking.levels import UNKNOWN
from hgld.foundation.display import svg

MOST_POINTS = 800
COLOURS = ("s0", "s2", "s3", "s4", "s5", "s6")  # without the greys of the page, which are for the other classes
OTHERS = "s1 others"


@dataclass(frozen=True, kw_only=True)
class EmbeddingMap:
    """rows (n,) of the gallery; points (n, 2) float64, their first two principal components; share: of the variance."""

    rows: Tensor
    points: Tensor
    share: float

    @classmethod
    def of(cls, gallery: Tensor) -> EmbeddingMap:
        """The map of embeddings (N, d); of a random sample if there are many, always the same.

        A principal component is defined up to its sign: its largest coefficient is made positive.
        """
        order = torch.randperm(len(gallery), generator=torch.Generator().manual_seed(0))
        rows = order[:MOST_POINTS].sort().values
        vectors = gallery[rows.to(gallery.device)].cpu().double()
        left, sizes, right = torch.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
        signs = right.gather(1, right.abs().argmax(1, keepdim=True))[:, 0].sign()
        points = torch.zeros(len(rows), 2, dtype=torch.float64)
        count = min(2, len(sizes))
        points[:, :count] = (left * sizes * signs)[:, :count]
        total = float(sizes.square().sum())
        return cls(rows=rows, points=points, share=float(sizes[:2].square().sum()) / total if total else 0.0)


@dataclass(frozen=True, kw_only=True)
class LevelMap:
    """The map with the colours of one level: its chart as SVG, and the colour and name of its most frequent classes."""

    level: str
    chart: str
    legend: tuple[tuple[str, str], ...]


def level_maps(drawn: EmbeddingMap, dataset: RetrievalDataset) -> list[LevelMap]:
    """One map per level, finest first. Classes are the most frequent of the gallery; equal numbers in their order."""
    return [_level_map(drawn, dataset, level) for level in range(len(dataset.levels))]


def _level_map(drawn: EmbeddingMap, dataset: RetrievalDataset, level: int) -> LevelMap:
    names = dataset.class_names[level]
    classes, counts = np.unique(dataset.gallery.labels[:, level].cpu().numpy(), return_counts=True)
    ranked = sorted(zip(classes.tolist(), counts.tolist(), strict=True), key=lambda item: (-item[1], item[0]))
    named = [number for number, _ in ranked if number != UNKNOWN and names[number]][: len(COLOURS)]
    labels = dataset.gallery.labels[drawn.rows, level].tolist()
    groups: dict[int | None, list[tuple[float, float]]] = {None: [], **{number: [] for number in named}}
    for label, (x, y) in zip(labels, drawn.points.tolist(), strict=True):
        groups[label if label in groups else None].append((x, y))
    colours: dict[int | None, str] = {None: OTHERS, **dict(zip(named, COLOURS, strict=False))}
    title = dataset.levels[level].replace("_", " ")
    chart = svg.point_map(
        [(colours[key], names[key] if key is not None else "others", points) for key, points in groups.items()],
        f"Map of the embeddings, coloured by {title}",
    )
    more = sum(number != UNKNOWN and names[number] != "" for number, _ in ranked) - len(named)
    unlabelled = len(ranked) > len(named) + more
    words = [f"{more} others"] * (more > 0) + ["no label"] * unlabelled
    others = [(OTHERS, " or ".join(words))] if words else []
    return LevelMap(level=title, chart=chart, legend=(*((colours[number], names[number]) for number in named), *others))
