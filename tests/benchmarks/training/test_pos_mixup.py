"""Pos-mixup: which pairs are mixed, the scores of the mixtures, and the mixed gallery as the gallery of a loss."""

from __future__ import annotations

import pytest
import torch

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.training.pos_mixup import mixed_gallery
from tests.benchmarks.losses.examples import batch


def test_scores_of_mixtures_lie_between_those_of_their_pairs() -> None:
    """Classes have unequal numbers of images, which the published code refuses."""
    embeddings, labels = batch(12)
    mixed, mixed_labels = mixed_gallery(embeddings, labels, torch.Generator().manual_seed(0))
    pairs = [(i, j) for i in range(12) for j in range(i + 1, 12) if torch.equal(labels[i], labels[j])]
    assert len(mixed) == len(mixed_labels) == 12 + len(pairs)
    scores = embeddings @ mixed.T
    for row, (i, j) in enumerate(pairs, start=12):
        assert torch.equal(mixed_labels[row], labels[i])
        pair = torch.stack([scores[:, i], scores[:, j]])
        assert (scores[:, row] >= pair.amin(0) - 1e-12).all()
        assert (scores[:, row] <= pair.amax(0) + 1e-12).all()


@pytest.mark.parametrize("name", ["sup_ap", "sup_hap", "smooth_recall", "soft_bin_ap", "xbm_pair"])
def test_mixed_gallery_is_the_gallery_of_a_loss(name: str) -> None:
    embeddings, labels = batch(12)
    embeddings.requires_grad_()
    value = LOSSES[name]()(embeddings, labels, *mixed_gallery(embeddings, labels))
    assert value.isfinite() and torch.autograd.grad(value, embeddings)[0].isfinite().all()


def test_empty_batch_has_no_mixtures() -> None:
    assert len(mixed_gallery(torch.zeros(0, 3), torch.zeros(0, 2, dtype=torch.long))[0]) == 0
