"""Trains what the claims are about, and writes docs/claims.md with its plots.

    python -m hgld.benchmarks.claims [--quick | --page] [--set NAME] [--data FOLDER] [--out docs/claims.md]

Every finished training is kept in the results file, and not repeated; the page is written from that file alone. With
--page nothing is trained, and the results may be of another version of the code. Two runs at once, each with its --set,
use two cores.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from hgld.benchmarks.claims.experiments import QUICK, SETS, Plan, work
from hgld.benchmarks.claims.loss_sections import generalisation, longer, methods, mixtures, quick_verdicts, tradeoffs
from hgld.benchmarks.claims.page import Section, write_page
from hgld.benchmarks.claims.results import Results, code_version
from hgld.benchmarks.claims.training import Data, Setting, run
from hgld.benchmarks.claims.training_sections import batch_sizes, galleries, samplers, scratch, whole, wrong_labels
from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError

DATA = Path("../shared/data")
OUT = Path("docs/claims.md")
CACHE = Path("data/claims")
SECTIONS: Sequence[Callable[[Results], Section]] = (
    methods,
    tradeoffs,
    mixtures,
    generalisation,
    longer,
    whole,
    scratch,
    samplers,
    galleries,
    batch_sizes,
    wrong_labels,
)


def sections(results: Results) -> list[Section]:
    """All sections of the page."""
    return [section(results) for section in SECTIONS]


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
@click.option("--quick", is_flag=True, help="One set of images and four losses, in minutes; prints verdicts, no page.")
@click.option("--page", is_flag=True, help="Train nothing: write the page from the results file.")
@click.option("--set", "sets", multiple=True, type=click.Choice(SETS), help="Train on this set only; repeatable.")
@click.option("--data", default=DATA, show_default=True, type=click.Path(path_type=Path), help="Folder of the zips.")
@click.option("--out", default=OUT, show_default=True, type=click.Path(path_type=Path), help="The page.")
@click.option("--results", "file", type=click.Path(path_type=Path), help="[default: claims_results.jsonl beside it]")
@click.option("--cache", default=CACHE, show_default=True, type=click.Path(path_type=Path), help="For the features.")
def main(quick: bool, page: bool, sets: tuple[str, ...], data: Path, out: Path, file: Path | None, cache: Path) -> None:
    """Train what is missing in the results file, and write the page from it."""
    try:
        measure(quick=quick, page=page, sets=sets or SETS, data=data, out=out, file=file, cache=cache)
    except HgldError as error:
        raise click.ClickException(str(error)) from None


def measure(
    *, quick: bool, page: bool, sets: Sequence[str] = SETS, data: Path, out: Path, file: Path | None, cache: Path
) -> None:
    """What `main` does. Raises HgldError."""
    file = file or (cache / "quick.jsonl" if quick else out.with_name("claims_results.jsonl"))
    results = Results(file, None if page else code_version())
    if not page:
        train_all(QUICK if quick else Plan(sets=tuple(sets)), results, Data(data, cache))
        results = Results(file, results.version)  # with those of another run at the same time
    if quick:
        echo(*quick_verdicts(results))
        return
    write_page(sections(results), results, out)
    echo(f"{len(results)} trainings in {file}, page in {out}")


if __name__ == "__main__":
    main()
