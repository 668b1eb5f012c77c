"""Images as tensors: size, cache, and an augmentation that depends on the draw alone."""

from __future__ import annotations

import pytest
import torch

from hgld.benchmarks.datasets import tensor_images
from hgld.benchmarks.datasets.tensor_images import AugmentedImages, TensorImages
from hgld.benchmarks.training.setup import augmentation
from tests.benchmarks.datasets.coloured_images import ColouredImages

IMAGES = ColouredImages("train", 2)


def test_images_are_square_and_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = TensorImages(IMAGES, 24)
    assert tensors.in_memory and len(tensors) == 8
    assert tensors[0].shape == (3, 24, 24)
    assert tensors[0].dtype == torch.uint8
    assert tensors[0] is tensors[0]
    monkeypatch.setattr(tensor_images, "CACHE_BYTES", 8 * 3 * 24 * 24 - 1)
    uncached = TensorImages(IMAGES, 24)
    assert not uncached.in_memory
    assert uncached[0] is not uncached[0]
    assert torch.equal(uncached[0], tensors[0])


def test_augmentation_depends_on_the_draw_alone() -> None:
    images = AugmentedImages(TensorImages(IMAGES, 24), IMAGES.labels, augmentation(16), seed=3)
    before = torch.get_rng_state()
    image, label = images[5, 70]
    assert torch.equal(torch.get_rng_state(), before)
    assert image.shape == (3, 16, 16)
    assert label.tolist() == [1, 0]
    torch.rand(3)
    assert torch.equal(images[5, 70][0], image)
    assert not torch.equal(images[5, 71][0], image)
