"""Measures the losses and the metrics, and prints a table.

    python -m hgld.benchmarks.speed [--quick] [--gldv2] [--json FILE]

Every case runs in a process of its own on two threads; seconds are the median of five runs after a warm-up, memory is
the peak above the size before (Linux only). The losses are then timed beside one busy process per core: "busy cores" is
the time as a multiple of the fair share, which is twice the time alone.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from hgld.benchmarks.speed.losses import CASES, QUICK, measure_losses
from hgld.benchmarks.speed.measure import THREADS, comparison_table
from hgld.benchmarks.speed.metrics import measure_metrics


@click.command()
@click.option("--quick", is_flag=True, help="Only the small losses, three runs each.")
@click.option("--gldv2", is_flag=True, help="Also the metrics at GLDv2's size (a minute or more, 2 GB).")
@click.option("--runs", default=5, show_default=True, help="Timed runs per case.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write the numbers to this file.")
def main(quick: bool, gldv2: bool, runs: int, out: Path | None) -> None:
    """Measure the losses and the metrics, and print a table."""
    losses = list(measure_losses(QUICK if quick else CASES, runs=3 if quick else runs))
    metrics = [] if quick else list(measure_metrics(gldv2=gldv2, runs=runs))
    Console().print(comparison_table([*losses, *metrics]))
    if out is not None:
        numbers = {name: [row.as_dict() for row in rows] for name, rows in (("losses", losses), ("metrics", metrics))}
        out.write_text(json.dumps({"threads": THREADS, **numbers}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
