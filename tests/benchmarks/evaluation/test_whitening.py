"""PCA-whitening: that of scikit-learn, and refused where the train images do not vary enough."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from hgld.benchmarks.evaluation.whitening import Whitening
from hgld.foundation.errors import HgldError


def vectors(n: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(n, width, generator=generator) @ torch.randn(width, width, generator=generator)
    return torch.nn.functional.normalize(mixed + 2.0, dim=1)


def test_cosines_after_whitening_are_those_of_scikit_learn() -> None:
    train, query = vectors(300, 12), vectors(20, 12, seed=1)
    found = Whitening.learn(train, 7)(query)
    expected = PCA(7, whiten=True, svd_solver="full").fit(train.double().numpy()).transform(query.double().numpy())
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert found.dtype == torch.float32 and found.shape == (20, 7)
    assert (found @ found.T).numpy() == pytest.approx(expected @ expected.T, abs=1e-5)


def test_the_order_of_the_train_images_does_not_matter() -> None:
    train, query = vectors(50, 6), vectors(5, 6, seed=1)
    once, again = Whitening.learn(train, 4)(query), Whitening.learn(train.flip(0), 4)(query)
    assert (once @ once.T).numpy() == pytest.approx((again @ again.T).numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("train", "dim", "message"),
    [
        (vectors(50, 6), 7, "50 train images with embeddings of 6 numbers allow 1 to 6"),
        (vectors(4, 6), 4, "4 train images with embeddings of 6 numbers allow 1 to 3"),
        (torch.cat([vectors(50, 3), torch.zeros(50, 3)], dim=1), 5, "vary in 3 directions"),
        (torch.ones(5, 2), 1, "vary in 0 directions"),
    ],
)
def test_too_few_images_or_directions_are_an_error(train: torch.Tensor, dim: int, message: str) -> None:
    with pytest.raises(HgldError, match=message):
        Whitening.learn(train, dim)
