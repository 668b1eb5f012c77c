"""The baselines against slow loops from their formulas and against pytorch-metric-learning called directly."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pytorch_metric_learning import distances, losses, miners
from torch import Tensor, nn

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.losses.blackbox import normalised_ranks
from hgld.foundation.errors import HgldError
from tests.benchmarks import oracles
from tests.benchmarks.loss_oracles import LOSS_ORACLES, Inputs
from tests.benchmarks.losses.examples import CLASSES, DIM, batch, example, gradient, nested, with_scores

CASES = pytest.mark.parametrize(("queries", "items"), [(14, 0), (9, 33)])


def inputs(queries: int, items: int) -> tuple[Tensor, ...]:
    """A batch, and a gallery unless it has no items."""
    return (*batch(queries), *(batch(items, seed=1) if items else ()))


def against(tensors: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """The gallery as the library takes it; nothing for the batch itself."""
    return {"ref_emb": tensors[2], "ref_labels": tensors[3][:, 0]} if len(tensors) == 4 else {}


@CASES
@pytest.mark.parametrize("margins", [(0.0, 1.0), (0.4, 1.4)])
def test_contrastive_equals_the_librarys(queries: int, items: int, margins: tuple[float, float]) -> None:
    tensors = inputs(queries, items)
    library = losses.ContrastiveLoss(pos_margin=margins[0], neg_margin=margins[1])
    expected = library(tensors[0], tensors[1][:, 0], **against(tensors))
    value = LOSSES["contrastive"](pos_margin=margins[0], neg_margin=margins[1])(*tensors)
    torch.testing.assert_close(value, expected, atol=1e-12, rtol=0)


@CASES
@pytest.mark.parametrize("semihard", [True, False])
def test_triplet_equals_the_librarys(queries: int, items: int, semihard: bool) -> None:
    tensors = inputs(queries, items)
    labels = tensors[1][:, 0]
    other = against(tensors)
    library = losses.TripletMarginLoss(margin=0.3, distance=distances.CosineSimilarity())
    mined = miners.BatchEasyHardMiner()(tensors[0], labels, **other) if semihard else None
    expected = library(tensors[0], labels, mined, **other)
    loss = LOSSES["triplet"](margin=0.3, semihard=semihard, itself=False)
    assert float(expected) > 0
    torch.testing.assert_close(loss(*tensors), expected, atol=1e-12, rtol=0)


def test_with_the_query_as_easiest_positive_only_the_hardest_negatives_count() -> None:
    """As the papers have it, but not by default: with the batch as gallery, only negatives above 1 - margin count."""
    query, labels = batch(14)
    scores = (query @ query.T).masked_fill(labels[:, :1] == labels[:, 0], -1.0)
    worst = (scores.amax(1) - 1 + 0.9).relu()
    value = LOSSES["triplet"](margin=0.9, itself=True)(query, labels)
    torch.testing.assert_close(value, worst.sum() / worst.gt(0).sum(), atol=1e-12, rtol=0)
    assert float(LOSSES["triplet"](itself=True)(query, labels)) == 0.0


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_the_default_triplet_loss_trains_as_the_librarys(noise: float) -> None:
    """Also in a memory that holds the batch: with the query as its own positive, loss and gradient would be zero."""
    generator = torch.Generator().manual_seed(0)
    fine = torch.arange(64) % 16
    centres = nn.functional.normalize(torch.randn(16, 32, generator=generator))
    rows = nn.functional.normalize(centres[fine] + noise / 32**0.5 * torch.randn(64, 32, generator=generator))
    labels = nested(fine)
    loss, library = LOSSES["triplet"](), losses.TripletMarginLoss(margin=0.05, distance=distances.CosineSimilarity())
    leaf = rows.clone().requires_grad_()
    expected = torch.autograd.grad(library(leaf, fine, miners.BatchEasyHardMiner()(leaf, fine)), leaf)[0]
    assert float(expected.norm()) > 0.1
    torch.testing.assert_close(gradient(loss, rows, labels), expected)
    older, other = batch(40, seed=1, dtype=torch.float32)
    older = nn.functional.pad(older, (0, 32 - DIM))
    memory, names = torch.cat([rows, older, rows]), torch.cat([labels, other + 100, labels])
    alone = loss(rows, labels, torch.cat([rows, older]), torch.cat([labels, other + 100]))
    torch.testing.assert_close(loss(rows, labels, memory, names), alone)
    assert float(alone) > 0.01


def test_arcface_and_proxy_nca_equal_the_librarys() -> None:
    query, labels = batch(14)
    arcface, nca = example("arcface", s=20.0, m=0.4), example("proxy_nca", scale=2.0)
    (angles,), (points,) = arcface.parameters(), nca.parameters()
    library = losses.ArcFaceLoss(CLASSES, DIM, margin=math.degrees(0.4), scale=20.0)
    library.W.data = angles.data.T.double()
    torch.testing.assert_close(arcface(query, labels), library(query, labels[:, 0]))
    library = losses.ProxyNCALoss(CLASSES, DIM, softmax_scale=4.0)
    library.proxies.data = points.data.double()
    torch.testing.assert_close(nca(query, labels), library(query, labels[:, 0]))


def test_fast_ap_of_a_batch_equals_the_librarys() -> None:
    query, labels = batch(14)
    for bins in (1, 4, 10):
        expected = losses.FastAPLoss(num_bins=bins)(query, labels[:, 0])
        torch.testing.assert_close(LOSSES["fast_ap"](num_bins=bins)(query, labels), expected)


def as_lists(tensors: tuple[Tensor, ...], proxies: Tensor) -> Inputs:
    """The same inputs for the slow loops."""
    query, labels, gallery, gallery_labels = tensors if len(tensors) == 4 else (*tensors, *tensors)
    return Inputs(
        query=query.tolist(),
        labels=labels.tolist(),
        gallery=gallery.tolist(),
        gallery_labels=gallery_labels.tolist(),
        proxies=proxies.tolist(),
        proxy_labels=nested(torch.arange(CLASSES)).tolist(),
        own=len(tensors) == 2,
    )


@CASES
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("fast_ap", {"num_bins": 7}),
        ("soft_bin_ap", {"nq": 9, "min": -0.5, "max": 0.6}),
        ("xbm_pair", {"margin": 0.2}),
        ("calibration", {"pos_margin": 0.5, "neg_margin": 0.2}),
        ("csl", {"scale": 5.0, "margins": (0.25, 0.35, 0.45)}),
    ],
)
def test_losses_equal_their_slow_loop(name: str, settings: dict[str, Any], queries: int, items: int) -> None:
    tensors = inputs(queries, items)
    loss = example(name, reduction="none", **settings).double()
    proxies = torch.cat([torch.zeros(0, DIM), *loss.parameters()]).detach()
    expected = LOSS_ORACLES[name](as_lists(tensors, proxies), **settings)
    assert loss(*tensors).tolist() == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_blackbox_ap_is_ap_and_its_gradient_the_difference_of_two_rankings() -> None:
    (query, labels), (gallery, names) = batch(6), batch(25, seed=1)
    loss = LOSSES["blackbox_ap"](lambda_val=50.0, reduction="none")
    value = loss(query, labels, gallery, names)
    hits = labels[:, :1] == names[:, 0]
    for row in range(6):
        order = oracles.ranking((query[row] @ gallery.T).tolist())
        ap = oracles.ap([bool(hits[row, i]) for i in order])
        assert float(value[row]) == pytest.approx(1 - ap, abs=2e-5, nan_ok=True)
    scores = (query @ gallery.T)[:1].requires_grad_()
    one, items = with_scores(scores)
    slope = torch.autograd.grad(loss(one, labels[:1], items, names).sum(), scores)[0]
    ranks = normalised_ranks(scores.detach())
    among = torch.tensor(
        [[sum(bool(hits[0, j]) and ranks[0, j] <= ranks[0, i] for j in range(25)) / 25 for i in range(25)]]
    )
    incoming = torch.where(hits[:1], among / ranks**2, 0.0) / (hits[0].sum() + 1e-5)
    moved = normalised_ranks(scores.detach() + 50.0 * incoming)
    torch.testing.assert_close(slope, (moved - ranks) / 50.0)


def test_a_duplicate_of_the_easiest_positive_is_no_semihard_negative() -> None:
    """Semi-hard negatives score less than the easiest positive, which a duplicate of another class does not."""
    query, labels = batch(9, dtype=torch.float32)
    gallery, names = batch(20, seed=1, dtype=torch.float32)
    doubled = torch.cat([gallery, gallery]), torch.cat([names, names + 100])
    loss = LOSSES["triplet"](margin=0.9)
    scores = query @ gallery.T
    positive = labels[:, :1] == names[:, 0]
    best = scores.masked_fill(~positive, -9.0).amax(1, keepdim=True)
    easier = scores.masked_fill(scores >= best, -9.0).amax(1, keepdim=True)  # copies make every item a negative
    defined = positive.any(1) & (easier[:, 0] > -9.0)
    violation = (easier - best + 0.9)[defined].relu()
    torch.testing.assert_close(loss(query, labels, *doubled), violation[violation > 0].mean(), atol=1e-5, rtol=0)


def test_the_noise_of_blackbox_ap_is_drawn_or_given() -> None:
    inputs_ = batch(12)
    noise = torch.randn(12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    given = LOSSES["blackbox_ap"](margin=0.5, noise=noise)
    assert torch.equal(given(*inputs_), given(*inputs_))
    assert float(given(*inputs_)) > float(LOSSES["blackbox_ap"]()(*inputs_))
    drawn = LOSSES["blackbox_ap"](margin=0.5)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        values = {float(drawn(*inputs_)) for _ in range(3)}
    assert len(values) > 1
    with pytest.raises(HgldError, match=r"noise is \(12, 12\)"):
        given(*batch(5))


def test_a_level_at_which_no_proxy_differs_adds_nothing_to_csl() -> None:
    """With one coarse class the published code takes the logarithm of an empty sum."""
    query, fine = batch(6)
    labels = torch.stack([fine[:, 0], torch.zeros(6, dtype=torch.long)], dim=1)
    table = torch.tensor([[k, 0] for k in range(CLASSES)])
    whole = LOSSES["csl"](num_classes=table, dim=DIM, margins=(0.25, 0.45))
    alone = LOSSES["csl"](num_classes=table[:, :1], dim=DIM, margins=(0.25,))
    torch.testing.assert_close(whole(query, labels), alone(query, labels[:, :1]))
    assert gradient(whole, query, labels).isfinite().all()


@pytest.mark.parametrize("name", ["triplet", "contrastive"])
def test_the_query_is_found_in_a_gallery_whatever_the_lengths_of_its_rows(name: str) -> None:
    """A gallery that was normalised before, queries that were not, and the other way round: one value."""
    generator = torch.Generator().manual_seed(0)
    fine = torch.arange(60) % 20
    labels = torch.stack([fine, fine // 5], dim=1)
    centres = torch.randn(20, 16, generator=generator)
    unit = torch.nn.functional.normalize(centres[fine] + 1.2 * torch.randn(60, 16, generator=generator), dim=1)
    raw = unit * (torch.rand(60, 1, generator=generator) * 50 + 0.01)
    loss = LOSSES[name]()
    values = [float(loss(query, labels, gallery, labels)) for query in (unit, raw) for gallery in (unit, raw)]
    assert values == pytest.approx([values[0]] * 4, rel=1e-4) and values[0] > 0.01
    again = torch.nn.functional.normalize(raw, dim=1)
    assert float(loss(raw, labels, again, labels)) == pytest.approx(values[0], rel=1e-4)
