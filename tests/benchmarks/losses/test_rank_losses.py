"""The rank losses against slow loops, in blocks, and their memory; gradcheck is in test_registry.py."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.ranking import surrogates
from hgld.benchmarks.ranking.surrogates import SUPRANK_SETTINGS, SupHRankSettings
from tests.benchmarks import oracles
from tests.benchmarks.loss_oracles import rank_loss
from tests.benchmarks.losses.examples import RANKED, batch, nested, with_scores


def draw_settings(name: str, data: st.DataObject, levels: int) -> dict[str, Any]:
    """Settings of the surrogate, the level and the relevance."""
    given: dict[str, Any] = {"tau": 0.01}
    if name.startswith("sup"):
        given = asdict(data.draw(st.sampled_from(list(SUPRANK_SETTINGS.values()))))
    if name == "sup_hap" and data.draw(st.booleans()):
        given |= asdict(SupHRankSettings(gamma=data.draw(st.sampled_from([0.5, 2.0]))))
    if name.endswith("hap"):
        weights = tuple((level + 1) / 10 for level in range(levels))
        given |= data.draw(st.sampled_from([{}, {"alpha": 2.0}, {"relevance": "map", "weights": weights}]))
    if name.endswith(("_ap", "recall")):
        given["level"] = data.draw(st.integers(0, levels - 1))
    return given


@pytest.mark.parametrize("name", RANKED)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_rank_losses_equal_their_slow_loop(name: str, data: st.DataObject) -> None:
    """Ties, singletons, empty levels, one query, one item, queries without positives; N to 60, L to 5.

    Scores take few values, so that ties and the joints of the surrogate's pieces occur.
    """
    levels = data.draw(st.integers(1, 5))
    n = data.draw(st.integers(1, 60))
    label = st.integers(0, 2**levels - 1)
    query = data.draw(st.lists(label, min_size=1, max_size=3))
    items = data.draw(st.lists(label, min_size=n, max_size=n))
    point = st.sampled_from([-0.4, 0.0, 0.02, 0.05, 0.06, 0.3])
    scores = data.draw(st.lists(st.lists(point, min_size=n, max_size=n), min_size=len(query), max_size=len(query)))
    given_ = draw_settings(name, data, levels)
    lq, lg = (torch.tensor([[v // 2**c for c in range(levels)] for v in values]) for values in (query, items))
    loss = LOSSES[name](**given_, reduction="none")
    queries, gallery = with_scores(torch.tensor(scores, dtype=torch.float64))
    values = loss(queries, lq, gallery, lg)
    for row in range(len(query)):
        ts = [oracles.agreement(lq[row].tolist(), other.tolist()) for other in lg]
        expected = rank_loss(name, scores[row], ts, levels, **given_)
        assert float(values[row]) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", RANKED)
def test_the_block_size_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, labels = batch(20)

    def run() -> tuple[Tensor, Tensor]:
        leaf = embeddings.clone().requires_grad_()
        value = LOSSES[name]()(leaf, labels)
        return value.detach(), torch.autograd.grad(value, leaf)[0]

    whole = run()
    monkeypatch.setattr(surrogates, "BLOCK", 50)
    for ours, theirs in zip(run(), whole, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ["smooth_recall", "sup_recall"])
def test_recall_losses_take_queries_with_unequal_numbers_of_positives(name: str) -> None:
    """The published code requires equal numbers."""
    scores = torch.tensor([[0.9, 0.5, 0.1, -0.3]] * 2, dtype=torch.float64)
    labels, names = torch.tensor([[0], [1]]), torch.tensor([[0], [0], [0], [1]])
    query, items = with_scores(scores)
    value = LOSSES[name](at_k=(2,), reduction="none")(query, labels, items, names)
    # ranks 1, 2, 3 of min(3, 2), and rank 4 of 1; SupRank's 4 is longer, as the scores are far apart
    first = 1 - sum(oracles.sigmoid(2 - rank) for rank in (1, 2, 3)) / 2
    assert float(value[0]) == pytest.approx(first, abs=1e-9)
    if name == "smooth_recall":
        assert float(value[1]) == pytest.approx(1 - oracles.sigmoid(2 - 4), abs=1e-9)
    assert float(value[1]) >= 1 - oracles.sigmoid(2 - 4) - 1e-9


@pytest.mark.parametrize("name", RANKED)
def test_memory_for_the_backward_pass_grows_with_the_scores(name: str) -> None:
    """A few matrices (B, N); the published code keeps B x N x N numbers, 17.5 GiB for 128 x 2,048."""
    kept = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    generator = torch.Generator().manual_seed(0)
    items = nn.functional.normalize(torch.randn(600, 16, generator=generator), dim=1)
    labels = nested(torch.arange(600) // 5)
    leaf = items[:24].clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        value = LOSSES[name]()(leaf, labels[:24], items, labels)
    assert kept < 8 * 24 * 600 * 4
    assert torch.autograd.grad(value, leaf)[0].isfinite().all()


def test_a_query_whose_positives_have_no_weight_is_undefined_and_affects_no_other() -> None:
    """Relevance "map" with a weight of 0, or a weight that underflows float32: 0 / 0 made every gradient NaN."""
    query, labels = batch(6, dtype=torch.float32)
    gallery, names = batch(30, seed=1, dtype=torch.float32)
    labels[0, 0] = 99  # only coarse positives
    for relevance in ({"relevance": "map", "weights": (0.0, 0.0, 1.0)}, {"alpha": 400.0}):
        for name in ("sup_hap", "smooth_hap"):
            leaf = query.clone().requires_grad_()
            loss = LOSSES[name](**relevance)
            value = loss(leaf, labels, gallery, names)
            (slope,) = torch.autograd.grad(value, leaf)
            assert value.isfinite() and slope.isfinite().all() and slope[1:].any()
            assert not slope[0].any() or "alpha" in relevance
