"""How long the metrics take and how much memory, beside a plain dense transcription of the published evaluation.

    python -m hgld.benchmarks.speed.metrics            the case of 60,000 items
    python -m hgld.benchmarks.speed.metrics --gldv2    GLDv2's own size too (a minute, and 2 GB for the embeddings)

Embeddings are drawn: a direction a class at every level, plus noise, so that scores, ties and ranks look like a trained
model's. Memory is what the process holds at its highest above what it held before, embeddings and labels not counted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread

import torch
from torch import Tensor

from hgld.benchmarks.metrics import evaluate

PUBLISHED_BATCH = 256


@dataclass(frozen=True)
class Case:
    """What is measured: Q queries against N items of dimension d, and how many classes each level has, finest first."""

    name: str
    queries: int
    items: int
    dimension: int
    classes: tuple[int, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One line of the table: seconds and MiB of ours and, where it can be run, of the plain transcription."""

    case: str
    seconds: float
    mib: float
    plain_seconds: float | None
    plain_mib: float | None

    @property
    def ratio(self) -> float | None:
        """How many times faster."""
        return None if self.plain_seconds is None else self.plain_seconds / self.seconds


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
        *(
            f"{name}_l{level}"
            for level in range(3)
            for name in ("AP", "mAP@R", "mAP@100", "P@10", "R@1", "recall@10")
        ),
    ),
)


def drawn(case: Case, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query embeddings and labels, gallery embeddings and labels; each level nested in the next, sizes unequal."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.arange(case.classes[0])[:, None]
    for count in case.classes[1:]:
        size = max(1, -(-int(table[:, -1].max() + 1) // count))
        table = torch.cat([table, table[:, -1:] // size], dim=1)
    centres = [torch.randn(count, case.dimension, generator=generator) for count in case.classes]

    def side(count: int) -> tuple[Tensor, Tensor]:
        # The square of a uniform number: a few classes are large.
        fine = (torch.rand(count, generator=generator).square() * case.classes[0]).long()
        labels = table[fine]
        embeddings = torch.randn(count, case.dimension, generator=generator)
        for level, centre in enumerate(centres):
            embeddings.add_(centre[labels[:, level]], alpha=0.7)
        return torch.nn.functional.normalize(embeddings, out=embeddings), labels

    return *side(case.queries), *side(case.items)


@torch.no_grad()
def plain(query: Tensor, query_labels: Tensor, gallery: Tensor, gallery_labels: Tensor) -> dict[str, float]:
    """The published evaluation of SMALL's metrics as it stands in the papers: dense, batch by batch; means.

    Every quantity is a (batch, N) tensor: relevances in order, their cumulated sums, precisions.
    """
    sums: dict[str, float] = {}
    for at in range(0, len(query), PUBLISHED_BATCH):
        part = slice(at, at + PUBLISHED_BATCH)
        same = query_labels[part, None, :] == gallery_labels[None, :, :]
        order = (query[part] @ gallery.T).argsort(dim=1, descending=True)
        ranked = same.sum(2).gather(1, order)
        for name, values in _dense(ranked, query_labels.shape[1]).items():
            sums[name] = sums.get(name, 0.0) + float(values.nansum())
    return {name: total / len(query) for name, total in sums.items()}


def _dense(ranked: Tensor, levels: int) -> dict[str, Tensor]:
    """SMALL's metrics of ranked agreements (Q, N), straight from the formulas."""
    places = torch.arange(1, ranked.shape[1] + 1)
    gains, ideal = 2.0**ranked - 1, 2.0 ** ranked.sort(dim=1, descending=True).values - 1
    discount = torch.log2(places + 1.0)
    found = {"NDCG": (gains / discount).sum(1) / (ideal / discount).sum(1)}
    relevance = torch.zeros(ranked.shape)
    for t in range(1, levels + 1):
        of_t = ranked == t
        relevance += of_t * (t / levels) / of_t.sum(1, keepdim=True).clamp(min=1)
    hrank, overlap = torch.zeros(ranked.shape), torch.zeros(ranked.shape)
    best = ranked.sort(dim=1, descending=True).values
    for t in range(1, levels + 1):
        of_t = ranked == t
        worth = (relevance * of_t).amax(1, keepdim=True)
        hrank += of_t.cumsum(1) * torch.minimum(relevance, worth)
        overlap += torch.minimum(of_t.cumsum(1), (best == t).cumsum(1))
    found["H-AP"] = (hrank / places).sum(1) / relevance.sum(1)
    total = (ranked > 0).sum(1, keepdim=True)
    found["ASI"] = (overlap / places * (places <= total)).sum(1) / total[:, 0]
    for level in range(levels):
        hits = ranked >= levels - level
        precision, count = hits.cumsum(1) / places * hits, hits.sum(1)
        found[f"AP_l{level}"] = precision.sum(1) / count
        found[f"mAP@R_l{level}"] = (precision * (places <= count[:, None])).sum(1) / count
        found[f"R@1_l{level}"] = hits[:, :1].any(1).float()
    return found


def measure(case: Case, *, repeats: int = 5, with_plain: bool = True) -> Row:
    """Median time of `evaluate` over the repeats, of the plain transcription likewise, and the memory of each."""
    sides = drawn(case)
    evaluate(*(side[:64] for side in sides), metrics=case.metrics)  # code and threads warm
    ours = [_timed(lambda: evaluate(*sides, metrics=case.metrics)) for _ in range(repeats)]
    theirs = [_timed(lambda: plain(*sides)) for _ in range(min(repeats, 3))] if with_plain else []
    return Row(case.name, *_median(ours), *(_median(theirs) if theirs else (None, None)))


def measure_all(*, gldv2: bool = False, repeats: int = 5) -> list[Row]:
    """The rows about metrics of the table of speeds."""
    rows = [measure(SMALL, repeats=repeats)]
    return [*rows, measure(GLDV2, repeats=1, with_plain=False)] if gldv2 else rows


def _median(runs: list[tuple[float, float]]) -> tuple[float, float]:
    """Median of the seconds and the highest of the MiB."""
    return sorted(seconds for seconds, _ in runs)[len(runs) // 2], max(mib for _, mib in runs)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the work, and the MiB by which the process grew at its highest (looked at every 5 ms)."""
    done, highest, base = Event(), [0.0], _resident()

    def watch() -> None:
        while not done.wait(0.005):
            highest[0] = max(highest[0], _resident())

    watcher = Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    return seconds, max(0.0, highest[0] - base)


def _resident() -> float:
    """MiB that the process holds now; 0 where the system does not tell."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 / 2**20 if status.exists() else 0.0


def main() -> None:
    """Print a table, and write JSON where asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gldv2", action="store_true", help="GLDv2's own size too")
    parser.add_argument("--repeats", type=int, default=5, help="runs of the small case (5)")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    wanted = parser.parse_args()
    rows = measure_all(gldv2=wanted.gldv2, repeats=wanted.repeats)
    for row in rows:
        print(f"{row.case:48} {row.seconds:8.2f} s {row.mib:8.0f} MiB", end="")
        if row.ratio is not None:
            print(
                f"   plain {row.plain_seconds:6.2f} s {row.plain_mib:6.0f} MiB   {row.ratio:5.1f} x", end=""
            )
        print()
    if wanted.json is not None:
        wanted.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
