"""Trains what the claims are about, and writes docs/claims.md with its plots.

    python -m hgld.benchmarks.claims [--quick] [--data FOLDER] [--out docs/claims.md]

Every finished training is kept in the results file, and not repeated; the page is written from that file alone.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import click

from hgld.benchmarks.claims.experiments import QUICK, Plan, work
from hgld.benchmarks.claims.results import Results, code_version
from hgld.benchmarks.claims.training import Data, Setting, run
from hgld.foundation.display.visible import echo

DATA = Path("../shared/data")
RESULTS = Path("docs/claims_results.jsonl")
CACHE = Path("data/claims")


def train_all(plan: Plan, results: Results, data: Data) -> None:
    """Train what is not in the results yet, and add it to them; says every minute how far it is."""
    started = said = time.monotonic()
    done = 0
    for setting, seed in work(plan, results):
        if results.get(setting, seed) is not None:
            continue
        results.add(setting, seed, run(setting, seed, data, _seconds(setting, seed, results)))
        done += 1
        if time.monotonic() - said > 60:
            said = time.monotonic()
            print(f"{done} trainings in {(said - started) / 60:.0f} min: {setting.key()}", file=sys.stderr, flush=True)


def _seconds(setting: Setting, seed: int, results: Results) -> float | None:
    """The CPU time of the same setting with all training images as the gallery, where it is asked for."""
    if not setting.same_time:
        return None
    other = results.get(replace(setting, same_time=False, gallery="all"), seed)
    assert other is not None, "it is trained before"
    return other["cpu_seconds"]


@click.command()
@click.option("--quick", is_flag=True, help="One set of images and few methods: minutes, and no page.")
@click.option("--data", default=DATA, show_default=True, type=click.Path(path_type=Path), help="Where the zips are.")
@click.option("--results", "file", default=RESULTS, show_default=True, type=click.Path(path_type=Path))
@click.option("--cache", default=CACHE, show_default=True, type=click.Path(path_type=Path), help="For the features.")
def main(quick: bool, data: Path, file: Path, cache: Path) -> None:
    """Train what is missing in the results file."""
    results = Results(file, code_version())
    train_all(QUICK if quick else Plan(), results, Data(data, cache))
    echo(f"{len(results)} trainings in {file}")


if __name__ == "__main__":
    main()
