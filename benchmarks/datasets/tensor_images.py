"""Torch datasets over `LabelledImages`: images as uint8 tensors, cached in memory, and their seeded augmentation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2
from torchvision.transforms.functional import pil_to_tensor

from hgld.benchmarks.datasets.labelled_images import LabelledImages

# Decoded images are cached up to this size: the sample fits (10-20 MB), GLDv2 does not.
CACHE_BYTES = 2 << 30


class TensorImages(Dataset[Tensor]):
    """Images as (3, size, size) uint8: the shorter side scaled to `size`, then a centre crop.

    Sets of up to CACHE_BYTES are decoded once. Raises HgldError that names an image which cannot be read.
    """

    def __init__(self, images: LabelledImages, size: int) -> None:
        self.images = images
        self.in_memory = len(images) * 3 * size * size <= CACHE_BYTES
        self._cache: dict[int, Tensor] = {}
        self._fit = v2.Compose([v2.Resize(size, antialias=True), v2.CenterCrop(size)])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, n: int) -> Tensor:
        if n in self._cache:
            return self._cache[n]
        tensor: Tensor = pil_to_tensor(self._fit(self.images.image(n)))
        if self.in_memory:
            self._cache[n] = tensor
        return tensor


class AugmentedImages(Dataset[tuple[Tensor, Tensor]]):
    """Augmented images with their labels, indexed by (n, draw): equal draws of an image are augmented alike.

    The draw seeds the random augmentation, so that it does not depend on the order of loading or on the number of
    workers and processes.
    """

    def __init__(self, images: TensorImages, labels: Tensor, augment: v2.Transform, seed: int) -> None:
        self.images, self.labels, self.augment, self.seed = images, labels, augment, seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: tuple[int, int]) -> tuple[Tensor, Tensor]:
        n, draw = index
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed((self.seed * 1_000_003 + draw) % 2**63)
            return self.augment(self.images[n]), self.labels[n]
