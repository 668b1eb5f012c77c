"""The speed of the rank losses, forward and backward in float32, beside a transcription of the published algorithm.

The published code of the three papers compares every item with every item for every query: tensors of B x N x N, whose
pieces are selected by boolean indices. `dense_hap` is the same in a few lines. Where that does not fit, it runs on
fewer queries, and its time and memory are scaled up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, astuple, dataclass, replace

import torch
from torch import Tensor

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.ranking.levels import agreement, level_counts, pop_relevance
from hgld.benchmarks.ranking.surrogates import SUPRANK_SETTINGS
from hgld.benchmarks.speed.measure import Comparison, Step, measure_in_process

PUBLISHED = SUPRANK_SETTINGS["sop"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A loss on B queries against N items of width d; the transcription runs on `dense` queries, 0: not at all."""

    loss: str
    queries: int
    items: int
    levels: int
    dim: int = 512
    dense: int = 0
    goal: str = ""


CASES = {
    "SupAP 384 × 384, 4 per class": Case(
        loss="sup_ap", queries=384, items=384, levels=1, dense=384, goal="≥ 150 ×, < 50 MB, busy ≤ 1.5 ×"
    ),
    "SupHAP 384 × 384, 3 levels": Case(
        loss="sup_hap", queries=384, items=384, levels=3, dense=384, goal="≥ 50 ×, < 100 MB"
    ),
    "SupHAP 128 × 2,048, 3 levels": Case(
        loss="sup_hap", queries=128, items=2048, levels=3, dense=8, goal="≥ 400 ×, < 200 MB"
    ),
    "SupHAP 256 × 60,000, 3 levels": Case(loss="sup_hap", queries=256, items=60_000, levels=3, goal="< 20 s, < 2 GB"),
    "SupNDCG 256 × 60,000, 3 levels": Case(loss="sup_ndcg", queries=256, items=60_000, levels=3, goal="< 20 s, < 2 GB"),
}
QUICK = ("SupAP 384 × 384, 4 per class", "SupHAP 384 × 384, 3 levels")


def inputs(case: Case) -> tuple[Tensor, Tensor]:
    """Random unit embeddings (N, d) and nested labels (N, L): 4 of a landmark, 32 of a class, two halves."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.nn.functional.normalize(torch.randn(case.items, case.dim, generator=generator), dim=1)
    item = torch.arange(case.items)
    return embeddings, torch.stack([item // 4, item // 32, item // (case.items // 2)], dim=1)[:, : case.levels]


def ours(case: Case) -> Step:
    """A forward and backward pass of this package's loss."""
    embeddings, labels = inputs(case)
    loss = LOSSES[case.loss](**asdict(PUBLISHED))

    def step() -> None:
        leaf = embeddings.clone().requires_grad_()
        if case.queries == case.items:
            value = loss(leaf, labels)
        else:
            leaf = leaf[: case.queries].detach().requires_grad_()
            value = loss(leaf, labels[: case.queries], embeddings, labels)
        torch.autograd.backward(value)

    return step


def published(case: Case) -> Step:
    """A forward and backward pass of the transcription, on `case.dense` queries."""
    embeddings, labels = inputs(case)

    def step() -> None:
        leaf = embeddings.clone().requires_grad_()
        torch.autograd.backward(dense_hap(leaf[: case.dense] @ leaf.T, labels[: case.dense], labels))

    return step


def dense_hap(scores: Tensor, labels: Tensor, ref_labels: Tensor) -> Tensor:
    """SupHAP with the published settings over all B x N x N pairs; with one level it is SupAP. -> scalar."""
    tau, rho, delta, start, offset = astuple(PUBLISHED)
    depth = agreement(labels, ref_labels)
    relevance = pop_relevance(level_counts(depth, labels.shape[1])).float().gather(1, depth.long())
    x = scores[:, None, :] - scores[:, :, None]
    itself = torch.eye(scores.shape[1], dtype=torch.bool)
    lower = depth[:, None, :] < depth[:, :, None]
    above = (x >= 0).to(x.dtype)
    step = above.clone()
    for piece, value in (
        (lower & (x <= 0), lambda z: torch.sigmoid(z / tau)),
        (lower & (x > 0) & (x <= delta), lambda z: start + torch.sigmoid(z / tau)),
        (lower & (x > delta), lambda z: rho * (z - delta) + offset),
    ):
        step[piece] = value(x[piece])
    rank = 1.0 + step.masked_fill(itself, 0.0).sum(2)
    shared = torch.minimum(relevance[:, None, :], relevance[:, :, None])
    hrank = relevance + (shared * above.masked_fill(itself, 0.0)).sum(2)
    return 1.0 - ((hrank / rank * (relevance > 0)).sum(1) / relevance.sum(1)).mean()


def warmed_up(make_step: Callable[[Case], Step], case: Case) -> Step:
    """The step, after a small case that starts the threads and loads the code."""
    make_step(replace(case, queries=8, items=64, dense=8))()
    return make_step(case)


def measure_losses(names: Iterable[str] = CASES, *, runs: int = 5) -> Iterator[Comparison]:
    """The cases one by one, as they are measured, also beside busy processes."""
    for name in names:
        case = CASES[name]
        # A few milliseconds are measured often: a process that waits its turn loses as many at once.
        busy_runs = 10 * runs if name in QUICK else runs
        measured = measure_in_process(warmed_up, ours, case, runs=runs, busy_runs=busy_runs)
        mine = Comparison(case=name, goal=case.goal, ours=measured)
        if not case.dense:
            yield mine
        else:
            theirs = measure_in_process(warmed_up, published, case, runs=runs)
            yield replace(mine, published=theirs, scale=case.queries / case.dense)
