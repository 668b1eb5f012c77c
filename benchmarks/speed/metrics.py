"""The speed of the metrics beside a plain dense transcription of the published evaluation.

    python -m hgld.benchmarks.speed.metrics            512 queries against 60,000 items
    python -m hgld.benchmarks.speed.metrics --gldv2    also GLDv2's own size

Embeddings are drawn as class centres at every level plus noise, so that scores, ties and ranks resemble those of a
trained model. Memory is the peak of the process above its size before, without embeddings and labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click
import torch
from rich.console import Console
from torch import Tensor

from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.speed.measure import Comparison, Step, comparison_table, measure_in_process

PUBLISHED_BATCH = 256


@dataclass(frozen=True)
class Case:
    """Q queries against N items of dimension d; the number of classes of each level, finest first; the metrics."""

    name: str
    queries: int
    items: int
    dimension: int
    classes: tuple[int, ...]
    metrics: tuple[str, ...]


SMALL = Case(
    "metrics, 512 x 60,000, d 128, 2 levels",
    *(512, 60_000, 128, (12_000, 12)),
    ("NDCG", "H-AP", "AP_l0", "AP_l1", "mAP@R_l0", "mAP@R_l1", "R@1_l0", "R@1_l1", "ASI"),
)
# Landmarks, supercategories, natural or human-made: the numbers of GLDv2's index set.
GLDV2 = Case(
    "all metrics, 1,129 x 761,757, d 512, 3 levels",
    *(1_129, 761_757, 512, (101_302, 78, 2)),
    (
        *("NDCG", "NDCG@10", "H-AP", "ASI", "AP#1", "AP#2", "AP#3", "ties"),
        *(f"{name}_l{level}" for level in range(3) for name in ("AP", "mAP@R", "mAP@100", "P@10", "R@1", "recall@10")),
    ),
)


def drawn(case: Case, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query embeddings and labels, gallery embeddings and labels; levels are nested, class sizes unequal."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.arange(case.classes[0])[:, None]
    for count in case.classes[1:]:
        size = max(1, -(-int(table[:, -1].max() + 1) // count))
        table = torch.cat([table, table[:, -1:] // size], dim=1)
    centres = [torch.randn(count, case.dimension, generator=generator) for count in case.classes]

    def side(count: int) -> tuple[Tensor, Tensor]:
        # The square of a uniform number makes a few classes large.
        fine = (torch.rand(count, generator=generator).square() * case.classes[0]).long()
        labels = table[fine]
        embeddings = torch.randn(count, case.dimension, generator=generator)
        for level, centre in enumerate(centres):
            embeddings.add_(centre[labels[:, level]], alpha=0.7)
        return torch.nn.functional.normalize(embeddings, out=embeddings), labels

    return *side(case.queries), *side(case.items)


@torch.no_grad()
def plain(query: Tensor, query_labels: Tensor, gallery: Tensor, gallery_labels: Tensor) -> dict[str, float]:
    """The published evaluation of SMALL's metrics: dense, batch by batch; -> means by metric.

    Every quantity is a (batch, N) tensor: relevances in ranked order, cumulative sums, precisions.
    """
    sums: dict[str, float] = {}
    for start in range(0, len(query), PUBLISHED_BATCH):
        batch = slice(start, start + PUBLISHED_BATCH)
        same = query_labels[batch, None, :] == gallery_labels[None, :, :]
        order = (query[batch] @ gallery.T).argsort(dim=1, descending=True)
        ranked = same.sum(2).gather(1, order)
        for name, values in _dense(ranked, query_labels.shape[1]).items():
            sums[name] = sums.get(name, 0.0) + float(values.nansum())
    return {name: total / len(query) for name, total in sums.items()}


def _dense(ranked: Tensor, levels: int) -> dict[str, Tensor]:
    """SMALL's metrics of ranked agreements (Q, N), straight from the formulas."""
    rank = torch.arange(1, ranked.shape[1] + 1)
    gains, ideal = 2.0**ranked - 1, 2.0 ** ranked.sort(dim=1, descending=True).values - 1
    discount = torch.log2(rank + 1.0)
    values = {"NDCG": (gains / discount).sum(1) / (ideal / discount).sum(1)}
    relevance = torch.zeros(ranked.shape)
    for t in range(1, levels + 1):
        at_t = ranked == t
        relevance += at_t * (t / levels) / at_t.sum(1, keepdim=True).clamp(min=1)
    hrank, overlap = torch.zeros(ranked.shape), torch.zeros(ranked.shape)
    best = ranked.sort(dim=1, descending=True).values
    for t in range(1, levels + 1):
        at_t = ranked == t
        level_relevance = (relevance * at_t).amax(1, keepdim=True)
        hrank += at_t.cumsum(1) * torch.minimum(relevance, level_relevance)
        overlap += torch.minimum(at_t.cumsum(1), (best == t).cumsum(1))
    values["H-AP"] = (hrank / rank).sum(1) / relevance.sum(1)
    total = (ranked > 0).sum(1, keepdim=True)
    values["ASI"] = (overlap / rank * (rank <= total)).sum(1) / total[:, 0]
    for level in range(levels):
        hits = ranked >= levels - level
        precision, count = hits.cumsum(1) / rank * hits, hits.sum(1)
        values[f"AP_l{level}"] = precision.sum(1) / count
        values[f"mAP@R_l{level}"] = (precision * (rank <= count[:, None])).sum(1) / count
        values[f"R@1_l{level}"] = hits[:, :1].any(1).float()
    return values


def ours(case: Case) -> Step:
    """`evaluate` on a case; a small call first starts the threads and loads the code."""
    sides = drawn(case)
    evaluate(*(side[:64] for side in sides), metrics=case.metrics)
    return lambda: evaluate(*sides, metrics=case.metrics)


def published(case: Case) -> Step:
    """The plain transcription on a case."""
    sides = drawn(case)
    return lambda: plain(*sides)


def measure_metrics(*, gldv2: bool = False, runs: int = 5) -> Iterator[Comparison]:
    """The small case and, with `gldv2`, one run at GLDv2's size, where the transcription does not fit."""
    mine = measure_in_process(ours, SMALL, runs=runs)
    theirs = measure_in_process(published, SMALL, runs=min(runs, 3))
    yield Comparison(case=SMALL.name, ours=mine, published=theirs)
    if gldv2:
        yield Comparison(case=GLDV2.name, ours=measure_in_process(ours, GLDV2, runs=1))


@click.command()
@click.option("--gldv2", is_flag=True, help="Also a case of GLDv2's size (a minute or more, 2 GB of embeddings).")
@click.option("--runs", default=5, show_default=True, help="Timed runs of the small case.")
def main(gldv2: bool, runs: int) -> None:
    """Measure only the metrics, and print a table."""
    Console().print(comparison_table(list(measure_metrics(gldv2=gldv2, runs=runs))))


if __name__ == "__main__":
    main()
