"""How fast and how large: the losses and metrics beside a plain transcription of the published algorithm.

    python -m hgld.benchmarks.speed.losses [--quick] [--json FILE]

prints a table and writes its numbers. Every case runs in a process of its own on two threads, forward and backward, in
float32; seconds are the median of five runs after a warm-up, memory is the largest resident size of the first run above
the size before it (Linux; elsewhere it is left out).

The published code of the three papers compares every item with every item for every query: tensors of B x N x N, its
pieces chosen by boolean indices. `published` says the same in a few lines. Where that does not fit, it runs on fewer
queries and its time and memory are scaled up, which the table says.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch
from torch import Tensor

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.ranking.levels import agreement, level_counts, pop_relevance
from hgld.benchmarks.speed.metrics import measure_all

THREADS = 2
STATUS = Path("/proc/self/status")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A loss on B queries against N items of width d; `dense` queries are what the transcription is run on."""

    loss: str
    queries: int
    items: int
    levels: int
    dim: int = 512
    dense: int = 0
    goal: str = ""


CASES = {
    "SupAP 384 × 384, 4 per class": Case(
        loss="sup_ap", queries=384, items=384, levels=1, dense=384, goal="≥ 150 ×, < 50 MB"
    ),
    "SupHAP 384 × 384, 3 levels": Case(
        loss="sup_hap", queries=384, items=384, levels=3, dense=384, goal="≥ 50 ×, < 100 MB"
    ),
    "SupHAP 128 × 2,048, 3 levels": Case(
        loss="sup_hap", queries=128, items=2048, levels=3, dense=8, goal="≥ 400 ×, < 200 MB"
    ),
    "SupHAP 256 × 60,000, 3 levels": Case(
        loss="sup_hap", queries=256, items=60_000, levels=3, goal="< 20 s, < 2 GB"
    ),
    "SupNDCG 256 × 60,000, 3 levels": Case(
        loss="sup_ndcg", queries=256, items=60_000, levels=3, goal="< 20 s, < 2 GB"
    ),
}
QUICK = ("SupAP 384 × 384, 4 per class", "SupHAP 384 × 384, 3 levels")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Median seconds and processor seconds, the seconds of every run, the extra memory of the first in MB or NaN."""

    seconds: float
    processor_seconds: float
    runs: list[float]
    extra_mb: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """A case with what was measured; the published algorithm on a `scale`-th of the queries."""

    case: str
    goal: str
    ours: Measured
    published: Measured | None = None
    scale: float = 1.0

    @property
    def ratio(self) -> float:
        """How many times faster by the clock."""
        return (
            float("nan")
            if self.published is None
            else self.published.seconds * self.scale / self.ours.seconds
        )

    @property
    def processor_ratio(self) -> float:
        """How many times less processor time: what remains comparable on a busy machine."""
        if self.published is None:
            return float("nan")
        return self.published.processor_seconds * self.scale / self.ours.processor_seconds


def inputs(case: Case) -> tuple[Tensor, Tensor]:
    """Random unit embeddings (N, d) and nested labels (N, L): 4 of a landmark, 32 of a class, two halves."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.nn.functional.normalize(torch.randn(case.items, case.dim, generator=generator), dim=1)
    at = torch.arange(case.items)
    return embeddings, torch.stack([at // 4, at // 32, at // (case.items // 2)], dim=1)[:, : case.levels]


def ours(case: Case) -> Callable[[], None]:
    """One forward and backward pass of the library's loss."""
    embeddings, labels = inputs(case)
    loss = LOSSES[case.loss](offset=1.44)

    def step() -> None:
        leaf = embeddings.clone().requires_grad_()
        if case.queries == case.items:
            back(loss(leaf, labels))
        else:
            batch = leaf[: case.queries].detach().requires_grad_()
            back(loss(batch, labels[: case.queries], embeddings, labels))

    return step


def published(case: Case) -> Callable[[], None]:
    """One forward and backward pass of the transcription, on `case.dense` queries."""
    embeddings, labels = inputs(case)

    def step() -> None:
        leaf = embeddings.clone().requires_grad_()
        depth = agreement(labels[: case.dense], labels)
        relevance = pop_relevance(level_counts(depth, case.levels)).float().gather(1, depth.long())
        back(dense_hap(leaf[: case.dense] @ leaf.T, depth, relevance))

    return step


def back(value: Tensor) -> None:
    """The backward pass."""
    torch.autograd.backward(value)


def dense_hap(scores: Tensor, depth: Tensor, relevance: Tensor) -> Tensor:
    """SupHAP with the published settings over all B x N x N pairs; with one level it is SupAP. -> scalar."""
    tau, rho, delta, start, offset = 0.01, 100.0, 0.05, 0.5, 1.44
    x = scores[:, None, :] - scores[:, :, None]
    itself = torch.eye(scores.shape[1], dtype=torch.bool)
    lower = depth[:, None, :] < depth[:, :, None]
    above = (x >= 0).to(x.dtype)
    rise = above.clone()
    for piece, value in (
        (lower & (x <= 0), lambda z: torch.sigmoid(z / tau)),
        (lower & (x > 0) & (x <= delta), lambda z: start + torch.sigmoid(z / tau)),
        (lower & (x > delta), lambda z: rho * (z - delta) + offset),
    ):
        rise[piece] = value(x[piece])
    rank = 1.0 + rise.masked_fill(itself, 0.0).sum(2)
    shared = torch.minimum(relevance[:, None, :], relevance[:, :, None])
    hrank = relevance + (shared * above.masked_fill(itself, 0.0)).sum(2)
    return 1.0 - ((hrank / rank * (relevance > 0)).sum(1) / relevance.sum(1)).mean()


def resident(field: str) -> float:
    """VmRSS or VmHWM of this process in MB; NaN where there is no /proc."""
    if not STATUS.exists():
        return float("nan")
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return float(lines[field].split()[0]) * 1024 / 1e6


def measure(step: Callable[[], None], runs: int) -> Measured:
    """Time and memory of a step that has run before on something small."""
    before = resident("VmRSS")
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    step()
    extra = resident("VmHWM") - before
    seconds, processor = [], []
    for _ in range(runs):
        start, start_processor = time.perf_counter(), time.process_time()
        step()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
    return Measured(
        seconds=statistics.median(seconds),
        processor_seconds=statistics.median(processor),
        runs=seconds,
        extra_mb=extra,
    )


def measure_here(name: str, way: str, runs: int) -> Measured:
    """One case in this process."""
    torch.set_num_threads(THREADS)
    case, make = CASES[name], {"ours": ours, "published": published}[way]
    make(Case(loss=case.loss, queries=8, items=64, levels=case.levels, dense=8))()  # thread pools, kernels
    return measure(make(case), runs)


def in_process(name: str, way: str, runs: int) -> Measured:
    """One case in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "hgld.benchmarks.speed.losses",
        "--one",
        name,
        "--way",
        way,
        "--runs",
        str(runs),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Measured(**json.loads(done.stdout))


def compare(name: str, runs: int) -> Line:
    """One line of the table."""
    case, mine = CASES[name], in_process(name, "ours", runs)
    if not case.dense:
        return Line(case=name, goal=case.goal, ours=mine)
    scale = case.queries / case.dense
    return Line(
        case=name, goal=case.goal, ours=mine, published=in_process(name, "published", runs), scale=scale
    )


def row(line: Line) -> str:
    """A line of the printed table."""
    text = f"{line.case:32} {line.ours.seconds * 1e3:8.0f} ms {line.ours.extra_mb:6.0f} MB"
    if line.published is None:
        return f"{text}  {'does not fit':>39}   {line.goal}"
    star = " " if line.scale == 1 else "*"
    seconds, extra = line.published.seconds * line.scale, line.published.extra_mb * line.scale
    ratios = f"{line.ratio:5.0f} × {line.processor_ratio:5.0f} ×"
    return f"{text}  {seconds:6.2f} s{star} {extra:6.0f} MB{star} {ratios:>19}   {line.goal}"


@click.command()
@click.option("--quick", is_flag=True, help="Only the small cases, three runs each.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where to write the numbers.")
@click.option("--one", hidden=True)
@click.option("--way", hidden=True, default="ours")
@click.option("--runs", default=5, show_default=True, help="Timed runs a case.")
def main(quick: bool, out: Path | None, one: str | None, way: str, runs: int) -> None:
    """Measure the losses and the metrics, and print a table."""
    if one is not None:
        click.echo(json.dumps(asdict(measure_here(one, way, runs))))
        return
    click.echo(
        f"{'forward and backward':32} {'ours':>21}  {'published, transcribed':>20} {'faster, by processor':>20}"
    )
    lines = []
    for name in QUICK if quick else CASES:
        lines.append(compare(name, 3 if quick else runs))
        click.echo(row(lines[-1]))
    click.echo("* measured on fewer queries and scaled up")
    metrics = [] if quick else measure_all(repeats=runs)
    for each in metrics:
        plain = (
            ""
            if each.ratio is None
            else f"  plain {each.plain_seconds:.2f} s {each.plain_mib:.0f} MiB {each.ratio:.1f} ×"
        )
        click.echo(f"{each.case:44} {each.seconds:8.2f} s {each.mib:6.0f} MiB{plain}")
    if out is not None:
        ratios = [{"ratio": line.ratio, "processor_ratio": line.processor_ratio} for line in lines]
        losses = [asdict(line) | ratio for line, ratio in zip(lines, ratios, strict=True)]
        found = {"threads": THREADS, "losses": losses, "metrics": [asdict(each) for each in metrics]}
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
