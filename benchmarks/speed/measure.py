"""Time and peak memory of one case, in a process of its own, and the table of several."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from hgld.benchmarks.ranking.allocator import keep_freed_memory

THREADS = 2
STATUS = Path("/proc/self/status")

Step = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Median seconds and CPU seconds, the seconds of every timed run, the peak of extra memory in MB (NaN: unknown)."""

    seconds: float
    cpu_seconds: float
    runs: list[float]
    extra_mb: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A case with its measurements; the published code ran on 1 / scale of the queries, or not at all."""

    case: str
    ours: Measured
    published: Measured | None = None
    scale: float = 1.0
    goal: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times faster by the clock."""
        return None if self.published is None else self.published.seconds * self.scale / self.ours.seconds

    @property
    def cpu_ratio(self) -> float | None:
        """How many times less CPU time: comparable on a busy machine too."""
        return None if self.published is None else self.published.cpu_seconds * self.scale / self.ours.cpu_seconds

    def as_dict(self) -> dict[str, Any]:
        """All numbers, for JSON."""
        return {**asdict(self), "ratio": self.ratio, "cpu_ratio": self.cpu_ratio}


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """One row per case."""
    table = Table(caption="* measured on fewer queries and scaled up", caption_justify="left")
    table.add_column("case")
    for name in ("ours", "published, transcribed", "faster", "by CPU time"):
        table.add_column(name, justify="right")
    table.add_column("goal")
    for row in comparisons:
        published, ratios = "does not fit", ("", "")
        if row.published is not None:
            star = "" if row.scale == 1 else "*"
            seconds, extra_mb = row.published.seconds * row.scale, row.published.extra_mb * row.scale
            published = f"{seconds:.2f} s{star}, {extra_mb:,.0f} MB{star}"
            ratios = f"{row.ratio:.0f} ×", f"{row.cpu_ratio:.0f} ×"
        ours = f"{row.ours.seconds * 1e3:,.0f} ms, {row.ours.extra_mb:,.0f} MB"
        table.add_row(row.case, ours, published, *ratios, row.goal)
    return table


def measure(step: Step, runs: int) -> Measured:
    """Time and memory of a step. The first run serves as warm-up and is timed only if it is the only one."""
    before = _resident_mb("VmRSS")
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
    seconds, cpu_seconds = [], []
    for _ in range(runs + 1 if runs > 1 else 1):
        start, cpu_start = time.perf_counter(), time.process_time()
        step()
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
    timed, cpu_timed = seconds[1:] or seconds, cpu_seconds[1:] or cpu_seconds
    return Measured(
        seconds=statistics.median(timed),
        cpu_seconds=statistics.median(cpu_timed),
        runs=timed,
        extra_mb=_resident_mb("VmHWM") - before,
    )


def measure_in_process(make_step: Callable[..., Step], *arguments: object, runs: int) -> Measured:
    """`measure(make_step(*arguments), runs)` in a fresh process on THREADS threads; all must be picklable."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (make_step, arguments, runs))


def _measure(make_step: Callable[..., Step], arguments: tuple[object, ...], runs: int) -> Measured:
    torch.set_num_threads(THREADS)
    keep_freed_memory()
    return measure(make_step(*arguments), runs)


def _resident_mb(field: str) -> float:
    """VmRSS or VmHWM of this process in MB; NaN where there is no /proc."""
    if not STATUS.exists():
        return float("nan")
    lines = dict(line.split(":", 1) for line in STATUS.read_text(encoding="ascii").splitlines())
    return float(lines[field].split()[0]) * 1024 / 1e6
