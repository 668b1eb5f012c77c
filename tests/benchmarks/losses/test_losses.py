"""Rank losses against slow loops and gradcheck, and what the losses refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hgld.benchmarks.losses import LOSSES, make_loss
from hgld.benchmarks.ranking import surrogates as ranks
from hgld.benchmarks.ranking.levels import agreement
from hgld.foundation.errors import HgldError
from tests import oracles
from tests.benchmarks.losses.examples import RANKED, batch

PUBLISHED = {"tau": 0.01, "rho": 100.0, "delta": 0.05, "start": 0.5, "offset": 1.44}


def slow(name: str, scores: list[float], ts: list[int], levels: int, **given: Any) -> float:
    """One query's loss, straight from the formula."""
    smooth = oracles.smooth(given.get("tau", 0.01))
    minus = oracles.h_minus(**{k: given[k] for k in PUBLISHED}) if name.startswith("sup") else smooth
    other = oracles.heaviside if name.startswith("sup") else smooth
    plus = oracles.h_plus(given["beta"], given["leak"], given["gamma"]) if "beta" in given else other
    kind = name.split("_")[1]
    if kind in ("ap", "recall"):
        ts = [int(t >= levels - given["level"]) for t in ts]
    if kind in ("ap", "recall"):
        rel = [float(t) for t in ts]
    elif "weights" in given:
        rel = oracles.by_map(ts, given["weights"])
    else:
        rel = oracles.pop(ts, levels, given.get("alpha", 1.0))
    positives = [i for i, t in enumerate(ts) if t > 0]
    if not positives:
        return math.nan
    at = {i: oracles.rank(scores, ts, i, minus, other) for i in positives}
    if kind in ("ap", "hap"):
        gained = sum(oracles.hrank(scores, ts, rel, i, plus, other) / at[i] for i in positives)
        return 1 - gained / sum(rel)
    if kind == "ndcg":
        best = sum((2**t - 1) / math.log2(n + 2) for n, t in enumerate(sorted(ts, reverse=True)))
        return 1 - sum((2 ** ts[i] - 1) / math.log2(1 + at[i]) for i in positives) / best
    ks = given.get("at_k", (1, 2, 4, 8, 16))
    return 1 - sum(
        sum(oracles.sigmoid(k - at[i]) for i in positives) / min(len(positives), k) for k in ks
    ) / len(ks)


def drawn_settings(name: str, data: st.DataObject, levels: int) -> dict[str, Any]:
    """Settings of the surrogate, the level and the relevance."""
    given: dict[str, Any] = dict(PUBLISHED) if name.startswith("sup") else {"tau": 0.01}
    if name.startswith("sup"):
        given |= data.draw(st.sampled_from([{}, {"start": 0.0, "offset": 1.0}, {"offset": None}]))
    if name == "sup_hap" and data.draw(st.booleans()):
        given |= {"beta": 25.0, "leak": 10.0, "gamma": data.draw(st.sampled_from([0.5, 2.0]))}
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

    Scores of few values, so that ties and the joints of the surrogate are met.
    """
    levels = data.draw(st.integers(1, 5))
    n = data.draw(st.integers(1, 60))
    label = st.integers(0, 2**levels - 1)
    query = data.draw(st.lists(label, min_size=1, max_size=3))
    items = data.draw(st.lists(label, min_size=n, max_size=n))
    point = st.sampled_from([-0.4, 0.0, 0.02, 0.05, 0.06, 0.3])
    scores = data.draw(
        st.lists(st.lists(point, min_size=n, max_size=n), min_size=len(query), max_size=len(query))
    )
    given_ = drawn_settings(name, data, levels)
    lq, lg = (torch.tensor([[v // 2**c for c in range(levels)] for v in values]) for values in (query, items))
    loss = LOSSES[name](**given_, reduction="none")
    values = loss(torch.tensor(scores, dtype=torch.float64), lq, torch.eye(n, dtype=torch.float64), lg)
    for row in range(len(query)):
        ts = [oracles.agreement(lq[row].tolist(), other.tolist()) for other in lg]
        expected = slow(name, scores[row], ts, levels, **given_)
        assert float(values[row]) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", RANKED)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_gradients_are_exact(name: str, reduction: str) -> None:
    embeddings, labels = batch(7)
    ref, ref_labels = batch(11, seed=1)
    loss = make_loss(name, reduction=reduction, tau=0.1)

    def value(e: Tensor, r: Tensor) -> Tensor:
        return loss(e, labels, r, ref_labels).nan_to_num(0.0)

    assert torch.autograd.gradcheck(value, (embeddings.requires_grad_(), ref.requires_grad_()))


@pytest.mark.parametrize("name", RANKED)
def test_blocks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, labels = batch(20)

    def run() -> tuple[Tensor, Tensor]:
        leaf = embeddings.clone().requires_grad_()
        value = LOSSES[name]()(leaf, labels)
        return value.detach(), torch.autograd.grad(value, leaf)[0]

    whole = run()
    monkeypatch.setattr(ranks, "BLOCK", 50)
    for ours, theirs in zip(run(), whole, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


def test_agreement_counts_from_the_coarsest() -> None:
    a, b = torch.tensor([[1, 1, 1]]), torch.tensor([[1, 1, 1], [2, 1, 1], [1, 2, 1], [1, 1, 2]])
    assert agreement(a, b).tolist() == [[3, 2, 1, 0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_loss("sup_hpa"), "did you mean 'sup_hap'"),
        (lambda: LOSSES["sup_hap"](offest=1.0), "unknown setting 'offest'; did you mean 'offset'"),
        (lambda: LOSSES["sup_ap"](0.01), "by name"),
        (lambda: LOSSES["cluster"](dim=4), "'num_classes' is needed"),
        (lambda: LOSSES["sup_ap"](tau=0.0), "tau must be above 0"),
        (lambda: LOSSES["sup_ap"](reduction="sum"), "unknown reduction"),
        (lambda: LOSSES["sup_hap"](relevance="map"), "takes weights"),
        (lambda: LOSSES["sup_hap"](relevance="pup"), "did you mean 'pop'"),
        (lambda: LOSSES["sup_recall"](at_k=()), "at_k"),
        (lambda: LOSSES["sup_recall"](at_k=10), "at_k must be a list, got 10"),
        (lambda: LOSSES["sup_ap"](tau="1e-2"), "tau must be a number, got '1e-2'"),
        (lambda: LOSSES["sup_ap"](tau=math.nan), "tau must be a number, got nan"),
        (lambda: LOSSES["sup_ap"](level=True), "level must be a whole number"),
        (lambda: LOSSES["triplet"](semihard=1), "semihard must be true or false"),
        (lambda: LOSSES["sup_ap"](reduction=None), "reduction must be text"),
        (lambda: LOSSES["sup_hap"](relevance="map", weights=(-0.5, 1.0)), "from 0 up"),
        (
            lambda: LOSSES["sup_hap"](relevance="map", weights=0.5),
            "a list of numbers from 0 up, not all 0; got 0.5",
        ),
        (lambda: LOSSES["sup_hap"](relevance="map", weights=()), "a list of numbers"),
        (lambda: LOSSES["sup_hap"](relevance="map", weights=("a",)), "a list of numbers"),
        (lambda: LOSSES["sup_hap"](offset="1.4"), "offset must be a number, got '1.4'"),
        (
            lambda: LOSSES["sup_ap"]()(*batch(4), batch(4)[0][:, :3], batch(4)[1]),
            "8 wide and ref_embeddings 3",
        ),
        (lambda: make_loss("cluster", num_classes=8, dim=8)(batch(4)[0], batch(3)[1]), "got 4 and 3"),
        (lambda: LOSSES["sup_ap"](level=3)(*batch(4)), "level 3 does not exist"),
        (lambda: LOSSES["sup_hap"](relevance="map", weights=(1.0,))(*batch(4)), "one weight a level"),
        (lambda: LOSSES["sup_hap"]()(*batch(4), batch(3)[0]), "belong together"),
        (lambda: LOSSES["sup_hap"]()(batch(4)[0], batch(3)[1]), "one row of labels each"),
        (lambda: LOSSES["sup_hap"]()(batch(4)[0], batch(4)[0]), "must be integers"),
        (lambda: make_loss("cluster", num_classes=2, dim=8)(*batch(8)), "proxies from 0 to 1"),
    ],
)
def test_what_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(HgldError, match=message):
        make()


def test_a_loss_is_frozen() -> None:
    loss: Any = LOSSES["sup_hap"]()
    with pytest.raises(AttributeError):
        loss.tau = 1.0
