"""Time and peak memory of one case, in a process of its own, and the table of several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
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
    """Median seconds and CPU seconds, the seconds of every timed run, the peak of extra memory in MB (NaN: unknown).

    busy: the seconds beside one busy process per core, as a multiple of the fair share (`beside_busy_processes`); None
    where that was not measured.
    """

    seconds: float
    cpu_seconds: float
    runs: list[float]
    extra_mb: float
    busy: float | None = None


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
    caption = "* measured on fewer queries and scaled up; busy cores: times the fair share beside a process per core"
    table = Table(caption=caption, caption_justify="left")
    table.add_column("case")
    for name in ("ours", "published, transcribed", "faster", "by CPU time", "busy cores"):
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
        busy = "" if row.ours.busy is None else f"{row.ours.busy:.1f} ×"
        table.add_row(row.case, ours, published, *ratios, busy, row.goal)
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


def beside_busy_processes(step: Step, runs: int) -> float:
    """Seconds of a step beside one busy process per core, as a multiple of its fair share: twice the seconds alone.

    Both are medians; a run alone and one beside the processes take turns, so that other work disturbs them alike.
    """
    seconds: dict[bool, list[float]] = {False: [], True: []}
    with _busy_processes() as let_run:
        for _ in range(runs):
            for busy, times in seconds.items():
                let_run(busy)
                start = time.perf_counter()
                step()
                times.append(time.perf_counter() - start)
    return statistics.median(seconds[True]) / (2.0 * statistics.median(seconds[False]))


@contextmanager
def _busy_processes() -> Iterator[Callable[[bool], None]]:
    """One process per core that only computes; the function of the context lets them run or stops them."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(len(os.sched_getaffinity(0)))]

    def let_run(busy: bool) -> None:
        for process in processes:
            process.send_signal(signal.SIGCONT if busy else signal.SIGSTOP)
        time.sleep(0.01)

    try:
        time.sleep(0.2)  # until they have started
        yield let_run
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure_in_process(make_step: Callable[..., Step], *arguments: object, runs: int, busy_runs: int = 0) -> Measured:
    """`measure(make_step(*arguments), runs)` in a fresh process on THREADS threads; all must be picklable.

    busy_runs: how often the step then also runs beside busy processes (Linux only).
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (make_step, arguments, runs, busy_runs))


def _measure(make_step: Callable[..., Step], arguments: tuple[object, ...], runs: int, busy_runs: int) -> Measured:
    torch.set_num_threads(THREADS)
    keep_freed_memory()
    step = make_step(*arguments)
    measured = measure(step, runs)
    return replace(measured, busy=beside_busy_processes(step, busy_runs)) if busy_runs and STATUS.exists() else measured


def _resident_mb(field: str) -> float:
    """VmRSS or VmHWM of this process in MB; NaN where there is no /proc."""
    if not STATUS.exists():
        return float("nan")
    lines = dict(line.split(":", 1) for line in STATUS.read_text(encoding="ascii").splitlines())
    return float(lines[field].split()[0]) * 1024 / 1e6
