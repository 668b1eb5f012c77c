"""Validation while training: each validation image is searched among the others, never against itself.

The images are those that the data set aside. Without them, whole classes of the training images are held out: those of
the finest level, as in the zero-shot protocols of the field, so that the network is scored on classes that it has never
seen. Which ones depends on the seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from hgld.benchmarks.datasets.labelled_images import LabelledImages
from hgld.benchmarks.datasets.readable import ImageSubset
from hgld.benchmarks.datasets.tensor_images import TensorImages
from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.models.network import Network
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Train

# All held-out images are searched, and at most these many of them are queries: enough for three digits.
MAX_QUERIES = 5_000
BATCH = 64


def hold_out(images: LabelledImages, fraction: float, seed: int) -> tuple[ImageSubset, ImageSubset]:
    """The images to train on and those of the held-out classes, `fraction` of all classes and at least two.

    Raises HgldError when too few classes are left to train on, or no held-out class has two images.
    """
    labels = images.labels[:, 0]
    classes, numbers = torch.unique(labels, return_inverse=True)
    count = max(2, round(fraction * len(classes)))
    if len(classes) - count < 2:
        raise HgldError(
            f"{len(classes)} classes cannot be divided into {count} for validation and at least two to train on; "
            "set train.validate_every to 0"
        )
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(seed))
    held = torch.zeros(len(classes), dtype=torch.bool)
    held[order[:count]] = True
    if not bool((torch.bincount(numbers)[held] > 1).any()):
        raise HgldError(
            f"none of the {count} classes held out for validation has two images; raise train.validation_classes"
        )
    train, validation = (part.nonzero().flatten().tolist() for part in (~held[numbers], held[numbers]))
    return ImageSubset(images, train), ImageSubset(images, validation)


@dataclass
class Validation:
    """Validation images, all of which can be read, and the metrics that a network is scored by on them.

    digest: of their pixels, where these are no training images (datasets/readable.py). broken: how many were left out
    as unreadable.
    """

    images: LabelledImages
    metrics: tuple[str, ...]
    tensors: TensorImages
    queries: Tensor
    digest: int = 0
    broken: int = 0

    @classmethod
    def of(cls, images: LabelledImages, settings: Train, *, digest: int = 0, broken: int = 0) -> Validation:
        """The validation that the settings ask for."""
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(settings.seed))
        return cls(
            images,
            validation_metrics(settings, images.labels.shape[1]),
            TensorImages(images, settings.image_size),
            order[:MAX_QUERIES].sort().values,
            digest,
            broken,
        )

    def scores(
        self, network: Network, device: str, threads: int, share: tuple[int, int], exchanged: Callable[[Any], list[Any]]
    ) -> dict[str, float]:
        """The means over the queries, by metric; the network is in eval mode afterwards.

        share: the number of this process and of all, which embed the images together and get the same scores;
        exchanged: the values of all processes, by number. Raises HgldError where the best metric is undefined.
        """
        number, world = share
        own = self._embed(network, list(range(number, len(self.images), world)), device, threads)
        embeddings = torch.empty(len(self.images), network.architecture.dim)
        for start, part in enumerate(exchanged(own)):
            embeddings[start::world] = part
        means: dict[str, float] = exchanged(self._means(embeddings) if number == 0 else None)[0]
        return means

    def _means(self, embeddings: Tensor) -> dict[str, float]:
        ids, labels, query = list(self.images.ids), self.images.labels, self.queries
        frame = evaluate(
            embeddings[query],
            labels[query],
            embeddings,
            labels,
            query_ids=[ids[n] for n in query.tolist()],
            gallery_ids=ids,
            metrics=self.metrics,
        )
        return {name: float(mean) for name in self.metrics if not math.isnan(mean := frame[name].mean())}

    @torch.no_grad()
    def _embed(self, network: Network, rows: list[int], device: str, threads: int) -> Tensor:
        """Embeddings (n, d) on the CPU; the network is in eval mode afterwards."""
        network.eval()
        loader = DataLoader(
            torch.utils.data.Subset(self.tensors, rows),
            batch_size=BATCH,
            num_workers=0 if self.tensors.in_memory else threads,
        )
        parts = [network(batch.to(device)).float().cpu() for batch in loader]
        return torch.cat(parts) if parts else torch.zeros(0, network.architecture.dim)


def validation_metrics(settings: Train, levels: int) -> tuple[str, ...]:
    """H-AP, R@1 and AP of each level, and the one by which the best is chosen."""
    names = ["H-AP", *(f"R@1_l{level}" for level in range(levels)), *(f"AP_l{level}" for level in range(levels))]
    return tuple(dict.fromkeys([*names, settings.best_metric]))
