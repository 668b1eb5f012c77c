"""Duplicates in the gallery of a loss tie exactly, and do not count as violations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hgld.benchmarks.losses import LOSSES
from tests.benchmarks.losses.examples import DIM, RANKED, batch, nested, with_scores

IMAGES = 7


def with_duplicates(items: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """A gallery (items, d) of seven images, the image of each item, and labels: duplicates differ in class at times."""
    generator = torch.Generator().manual_seed(items)
    images = torch.nn.functional.normalize(torch.randn(IMAGES, DIM, generator=generator, dtype=dtype), dim=1)
    which = torch.randint(0, IMAGES, (items,), generator=generator)
    return images[which], which, nested((which + torch.arange(items) // 40) % 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("queries", [1, 2, 9])
@pytest.mark.parametrize("name", [*RANKED, "blackbox_ap"])
def test_duplicates_tie(name: str, queries: int, dtype: torch.dtype) -> None:
    """The value is that of one score per query and image, repeated. Gradients are those of the product."""
    query, labels = batch(queries, seed=3, dtype=dtype)
    gallery, which, names = with_duplicates(61, dtype)
    first = torch.stack([(which == image).nonzero()[0, 0] for image in which])
    scores = (query @ gallery.T)[:, first].requires_grad_()
    loss = LOSSES[name](reduction="none")
    queries, items = with_scores(scores)
    expected = loss(queries, labels, items, names)
    leaves = query.clone().requires_grad_(), gallery.clone().requires_grad_()
    value = loss(leaves[0], labels, leaves[1], names)
    assert torch.equal(value.nan_to_num(-1.0), expected.nan_to_num(-1.0))
    (slope,) = torch.autograd.grad(expected.nansum(), scores)
    back = torch.autograd.grad(value.nansum(), leaves)
    close = {"atol": 1e-4, "rtol": 1e-4} if dtype == torch.float32 else {"atol": 1e-9, "rtol": 1e-9}
    torch.testing.assert_close(back[0], slope @ gallery, **close)
    torch.testing.assert_close(back[1], slope.T @ query, **close)


def contrastive_without_duplicates(query: Tensor, labels: Tensor, gallery: Tensor, names: Tensor) -> Tensor:
    """The loss of the queries against the gallery and themselves, from float64 distances, without duplicate pairs."""
    items, of = torch.cat([gallery, query]).double(), torch.cat([names, labels])[:, 0]
    apart = torch.cdist(query.double(), items, compute_mode="donot_use_mm_for_euclid_dist")
    same = labels[:, :1] == of
    pulled, pushed = apart[same & (apart > 1e-3)], torch.relu(1.0 - apart[~same])
    return (pulled.mean() + pushed[pushed > 0].mean()).to(query.dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_duplicate_of_the_query_is_no_violation_of_the_contrastive_loss(dtype: torch.dtype) -> None:
    """Its distance is 0; the library computes the root of a rounding error, which would count in the mean."""
    query, labels = batch(30, dtype=dtype)
    gallery, names = batch(40, seed=1, dtype=dtype)
    loss = LOSSES["contrastive"]()
    alone = loss(query, labels, gallery, names)
    within = loss(query, labels, torch.cat([gallery, query]), torch.cat([names, labels]))
    pairs = loss(query, labels)
    torch.testing.assert_close(within, contrastive_without_duplicates(query, labels, gallery, names), atol=1e-5, rtol=0)
    assert abs(within - alone) > 1e-4
    twice = loss(torch.cat([query, query]), torch.cat([labels, labels]))
    torch.testing.assert_close(twice, pairs, atol=1e-5, rtol=0)
