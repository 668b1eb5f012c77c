"""The baselines against slow loops from their formulas and against pytorch-metric-learning called directly."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_metric_learning import distances, losses, miners
from torch import Tensor, nn

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.losses.blackbox import ranks_of
from hgld.benchmarks.training.pos_mixup import mixed_gallery, mixed_scores
from hgld.foundation.errors import HgldError
from tests import oracles
from tests.benchmarks.losses.examples import CLASSES, DIM, batch, example, gradient

CASES = pytest.mark.parametrize(("queries", "items"), [(14, 0), (9, 33)])


def inputs(queries: int, items: int) -> tuple[Tensor, ...]:
    """A batch, and a gallery unless it has no items."""
    return (*batch(queries), *(batch(items, seed=1) if items else ()))


def against(tensors: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """The gallery as the library wants it; nothing for the batch itself."""
    return {"ref_emb": tensors[2], "ref_labels": tensors[3][:, 0]} if len(tensors) == 4 else {}


@CASES
@pytest.mark.parametrize("margins", [(0.0, 1.0), (0.4, 1.4)])
def test_contrastive_is_the_librarys(queries: int, items: int, margins: tuple[float, float]) -> None:
    tensors = inputs(queries, items)
    library = losses.ContrastiveLoss(pos_margin=margins[0], neg_margin=margins[1])
    expected = library(tensors[0], tensors[1][:, 0], **against(tensors))
    value = LOSSES["contrastive"](pos_margin=margins[0], neg_margin=margins[1])(*tensors)
    torch.testing.assert_close(value, expected, atol=1e-12, rtol=0)


@CASES
@pytest.mark.parametrize("semihard", [True, False])
def test_triplet_is_the_librarys(queries: int, items: int, semihard: bool) -> None:
    tensors = inputs(queries, items)
    labels = tensors[1][:, 0]
    other = against(tensors)
    library = losses.TripletMarginLoss(margin=0.3, distance=distances.CosineSimilarity())
    mined = miners.BatchEasyHardMiner()(tensors[0], labels, **other) if semihard else None
    expected = library(tensors[0], labels, mined, **other)
    loss = LOSSES["triplet"](margin=0.3, semihard=semihard, itself=False)
    assert float(expected) > 0
    torch.testing.assert_close(loss(*tensors), expected, atol=1e-12, rtol=0)


def test_the_query_as_its_own_easiest_positive_leaves_only_the_hardest_negatives() -> None:
    """The published default: with the batch as gallery, a query competes with negatives above 1 - margin alone."""
    query, labels = batch(14)
    scores = (query @ query.T).masked_fill(labels[:, :1] == labels[:, 0], -1.0)
    worst = (scores.amax(1) - 1 + 0.9).relu()
    value = LOSSES["triplet"](margin=0.9)(query, labels)
    torch.testing.assert_close(value, worst.sum() / worst.gt(0).sum(), atol=1e-12, rtol=0)
    assert float(LOSSES["triplet"]()(query, labels)) == 0.0
    assert float(LOSSES["triplet"](itself=False)(query, labels)) > 0.0


def test_arcface_and_proxy_nca_are_the_librarys() -> None:
    query, labels = batch(14)
    arcface, nca = example("arcface", s=20.0, m=0.4), example("proxy_nca", scale=2.0)
    assert isinstance(arcface, nn.Module) and isinstance(nca, nn.Module)
    library = losses.ArcFaceLoss(CLASSES, DIM, margin=math.degrees(0.4), scale=20.0)
    library.W.data = arcface.weight.data.T.double()
    torch.testing.assert_close(arcface(query, labels), library(query, labels[:, 0]))
    library = losses.ProxyNCALoss(CLASSES, DIM, softmax_scale=4.0)
    library.proxies.data = nca.weight.data.double()
    torch.testing.assert_close(nca(query, labels), library(query, labels[:, 0]))


def test_fast_ap_is_the_librarys_where_that_has_no_gallery() -> None:
    query, labels = batch(14)
    for bins in (1, 4, 10):
        expected = losses.FastAPLoss(num_bins=bins)(query, labels[:, 0])
        torch.testing.assert_close(LOSSES["fast_ap"](num_bins=bins)(query, labels), expected)


def binned(scores: list[float], hits: list[bool], edges: list[float], ends: bool) -> float:
    """AP from soft histograms over bins with these middles, best first; ends: what lies beyond belongs to them."""
    width = abs(edges[1] - edges[0])

    def share(score: float, middle: float) -> float:
        clipped = min(max(score, min(edges)), max(edges)) if ends else score
        return max(0.0, 1 - abs(clipped - middle) / width)

    value, found, seen = 0.0, 0.0, 0.0
    for middle in edges:
        here = sum(share(s, middle) for s, hit in zip(scores, hits, strict=True) if hit)
        found, seen = found + here, seen + sum(share(s, middle) for s in scores)
        value += here * found / seen if seen else 0.0
    return value / sum(hits) if any(hits) else math.nan


@CASES
def test_the_binned_losses_equal_their_slow_loop(queries: int, items: int) -> None:
    tensors = inputs(queries, items)
    query, labels, gallery, names = tensors if items else (*tensors, *tensors)
    fast = LOSSES["fast_ap"](num_bins=7, reduction="none")(*tensors)
    soft = LOSSES["soft_bin_ap"](nq=9, min=-0.5, max=0.6, reduction="none")(*tensors)
    for row in range(queries):
        kept = [i for i in range(len(gallery)) if items or i != row]
        scores = [float(query[row] @ gallery[i]) for i in range(len(gallery))]
        hits = [bool(labels[row, 0] == names[i, 0]) for i in range(len(gallery))]
        distances_ = [2 - 2 * scores[i] for i in kept]
        edges = [4 * bin_ / 7 for bin_ in range(8)]
        ap = binned(distances_, [hits[i] for i in kept], edges, ends=False)
        assert float(fast[row]) == pytest.approx(1 - ap, abs=1e-9, nan_ok=True)
        edges = [0.6 - 1.1 * bin_ / 8 for bin_ in range(9)]
        ap = binned(scores, hits, edges, ends=True)
        assert float(soft[row]) == pytest.approx(1 - ap, abs=1e-9, nan_ok=True)


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
    slope = torch.autograd.grad(loss(scores, labels[:1], torch.eye(25).double(), names).sum(), scores)[0]
    ranks = ranks_of(scores.detach())
    among = torch.tensor(
        [[sum(bool(hits[0, j]) and ranks[0, j] <= ranks[0, i] for j in range(25)) / 25 for i in range(25)]]
    )
    incoming = torch.where(hits[:1], among / ranks**2, 0.0) / (hits[0].sum() + 1e-5)
    moved = ranks_of(scores.detach() + 50.0 * incoming)
    torch.testing.assert_close(slope, (moved - ranks) / 50.0)


def test_copies_of_the_easiest_positive_are_not_less_similar() -> None:
    """Semi-hard negatives score less than the easiest positive: another class's copy of it does not."""
    query, labels = batch(9, dtype=torch.float32)
    gallery, names = batch(20, seed=1, dtype=torch.float32)
    copies = torch.cat([gallery, gallery]), torch.cat([names, names + 100])
    loss = LOSSES["triplet"](margin=0.9)
    scores = query @ gallery.T
    positive = labels[:, :1] == names[:, 0]
    best = scores.masked_fill(~positive, -9.0).amax(1, keepdim=True)
    easier = scores.masked_fill(scores >= best, -9.0).amax(
        1, keepdim=True
    )  # copies make every item a negative
    defined = positive.any(1) & (easier[:, 0] > -9.0)
    violation = (easier - best + 0.9)[defined].relu()
    torch.testing.assert_close(
        loss(query, labels, *copies), violation[violation > 0].mean(), atol=1e-5, rtol=0
    )


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


def test_xbm_pairs_equal_their_slow_loop() -> None:
    (query, labels), (gallery, names) = batch(6), batch(25, seed=1)
    gallery = torch.cat([gallery, query[:2]])
    names = torch.cat([names, labels[:2]])
    value = LOSSES["xbm_pair"](margin=0.2, reduction="none")(query, labels, gallery, names)
    for row in range(6):
        total = 0.0
        for item in range(len(gallery)):
            score = float(query[row] @ gallery[item])
            if labels[row, 0] == names[item, 0]:
                total += 1 - score if score < 1 - 1e-5 else 0.0
            elif score > 0.2:
                total += score
        assert float(value[row]) == pytest.approx(total, abs=1e-9)


def test_csl_equals_its_slow_loop() -> None:
    query, labels = batch(6)
    table = torch.tensor([[k, k // 2, k // 4] for k in range(CLASSES)])
    loss = example("csl", reduction="none", scale=5.0)
    assert isinstance(loss, nn.Module)
    proxies = nn.functional.normalize(loss.weight.detach().double(), dim=1)
    value = loss(query, labels).detach()
    for row in range(6):
        s = [5.0 * float(query[row] @ proxy) for proxy in proxies]
        own = -s[int(labels[row, 0])]
        total = 0.0
        for level, margin in enumerate((0.25, 0.35, 0.45)):
            other = [math.exp(s[k]) for k in range(CLASSES) if table[k, level] != labels[row, level]]
            total += math.log1p(math.exp(math.log(sum(other)) + own + margin * 5.0))
        assert float(value[row]) == pytest.approx(total, abs=1e-6)


def test_a_level_at_which_no_proxy_differs_adds_nothing_to_csl() -> None:
    """One coarse class only: published code takes the logarithm of an empty sum."""
    query, fine = batch(6)
    labels = torch.stack([fine[:, 0], torch.zeros(6, dtype=torch.long)], dim=1)
    table = torch.tensor([[k, 0] for k in range(CLASSES)])
    whole = LOSSES["csl"](num_classes=table, dim=DIM, margins=(0.25, 0.45))
    alone = LOSSES["csl"](num_classes=table[:, :1], dim=DIM, margins=(0.25,))
    torch.testing.assert_close(whole(query, labels), alone(query, labels[:, :1]))
    assert gradient(whole, query, labels).isfinite().all()


def test_mixed_scores_are_all_the_pairs_of_a_query() -> None:
    """Unequal numbers of positives, which the published code refuses; a mixture lies between its pair."""
    scores = torch.tensor(
        [[0.9, 0.1, 0.5, 0.3], [0.2, 0.4, 0.6, 0.8], [0.1, 0.2, 0.3, 0.4]], dtype=torch.float64
    )
    positive = torch.tensor([[1, 1, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]]).bool()
    mixed, target = mixed_scores(scores, positive, torch.Generator().manual_seed(0))
    assert torch.equal(mixed[:, :4], scores) and torch.equal(target[:, :4], positive)
    assert target[:, 4:].sum(1).tolist() == [3, 1, 0]
    low, high = torch.tensor([0.1, 0.3, 0.1]), torch.tensor([0.9, 0.9, 0.3])
    assert (mixed[0, 4:] >= low).all() and (mixed[0, 4:] <= high).all()
    assert 0.4 <= float(mixed[1, 4]) <= 0.6
    assert (mixed[~target] <= 0.8).all() and (mixed[1:, 5:] == -4).all()


def test_mixed_scores_with_equal_scores_are_exact() -> None:
    """Where a query's positives all score the same, a mixture is one more of them: AP is known."""
    positive = torch.tensor([[True, True, True, False]])
    mixed, target = mixed_scores(torch.tensor([[0.5, 0.5, 0.5, 0.9]]), positive)
    order = oracles.ranking(mixed[0].tolist())
    assert oracles.ap([bool(target[0, i]) for i in order]) == pytest.approx(
        sum(n / (n + 1) for n in range(1, 7)) / 6
    )


def test_mixed_gallery_scores_are_mixtures_of_scores() -> None:
    embeddings, labels = batch(12)
    mixed, names = mixed_gallery(embeddings, labels, torch.Generator().manual_seed(0))
    pairs = [(i, j) for i in range(12) for j in range(i + 1, 12) if torch.equal(labels[i], labels[j])]
    assert len(mixed) == len(names) == 12 + len(pairs)
    scores = embeddings @ mixed.T
    for place, (i, j) in enumerate(pairs, start=12):
        assert torch.equal(names[place], labels[i])
        between = torch.stack([scores[:, i], scores[:, j]])
        assert (scores[:, place] >= between.amin(0) - 1e-12).all()
        assert (scores[:, place] <= between.amax(0) + 1e-12).all()


@pytest.mark.parametrize("name", ["sup_ap", "sup_hap", "smooth_recall", "soft_bin_ap", "xbm_pair"])
def test_a_mixed_gallery_is_a_gallery(name: str) -> None:
    embeddings, labels = batch(12)
    embeddings.requires_grad_()
    value = LOSSES[name]()(embeddings, labels, *mixed_gallery(embeddings, labels))
    assert value.isfinite() and torch.autograd.grad(value, embeddings)[0].isfinite().all()


def test_mixing_refuses_what_does_not_fit_and_takes_nothing() -> None:
    with pytest.raises(HgldError, match="must both be"):
        mixed_scores(torch.zeros(2, 3), torch.zeros(2, 4, dtype=torch.bool))
    mixed, target = mixed_scores(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool))
    assert mixed.shape == target.shape == (2, 3)
    assert len(mixed_gallery(torch.zeros(0, 3), torch.zeros(0, 2, dtype=torch.long))[0]) == 0
