"""A dataset of plain colours in memory, without tars or release files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hgld.benchmarks.datasets.labelled_images import RetrievalDataset

# two reds and two blues
COLOURS = ((230, 40, 40), (150, 60, 40), (40, 40, 230), (40, 90, 150))


@dataclass(frozen=True)
class ColouredImages:
    """`per_class` noisy images of each colour; levels: colour, red or blue."""

    role: str
    per_class: int

    def __len__(self) -> int:
        return self.per_class * len(COLOURS)

    @property
    def ids(self) -> list[str]:
        return [f"{self.role}{n:03}" for n in range(len(self))]

    @property
    def labels(self) -> Tensor:
        colour = torch.arange(len(self)) % len(COLOURS)
        return torch.stack([colour, colour // 2], dim=1)

    def image(self, n: int) -> Image.Image:
        noise = np.random.default_rng([len(self.role), n]).normal(0, 25, size=(40, 40, 3))
        return Image.fromarray((np.array(COLOURS[n % len(COLOURS)]) + noise).clip(0, 255).astype("uint8"))

    def caption(self, n: int) -> str:
        return f"colour {n % len(COLOURS)}"


def coloured_dataset() -> RetrievalDataset:
    return RetrievalDataset(
        train=ColouredImages("train", 12),
        query=ColouredImages("query", 3),
        gallery=ColouredImages("gallery", 5),
        levels=("colour", "hue"),
        class_names=(("red", "brown", "blue", "teal"), ("red", "blue")),
    )
