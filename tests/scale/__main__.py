"""Stages at GLDv2's size: wall time, CPU time and peak memory of each, and the number of queries.

    python -m tests.scale [--fraction 1.0] [--folder DIR]

Generates metadata of GLDv2's size and a Wikidata about its categories (`metadata`, `graph`), serves it with oxigraph on
loopback, and runs the stages from `download` to `release`, each in its own process, without images. In a temporary
folder, or in DIR, where files that exist already are reused.
"""

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

from hgld.foundation.tables import read_parquet
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.pipeline.release.folder import CITATION, DATA_CARD
from hgld.pipeline.sparql.oxigraph import serving
from tests.paths import ROOT
from tests.scale import metadata
from tests.scale.graph import write_graph

PROFILE = "gldv2"


def main() -> None:
    """Generate the input, run the stages, and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fraction", type=float, default=1.0, help="fraction of GLDv2's size (default: 1)")
    parser.add_argument("--folder", type=Path, help="work in this folder and keep it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hgld-scale-") as scratch:
        folder = (arguments.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        source = make_metadata(folder, arguments.fraction)
        settings(folder, source, url=None)
        print(f"{'stage':<12}{'wall s':>9}{'cpu s':>9}{'cpu %':>8}{'peak RSS MB':>13}")
        measure("download", folder)
        print("again: nothing is downloaded, everything is verified and converted")
        measure("download", folder)
        facts = make_graph(folder)
        with serving([facts]) as url:
            settings(folder, source, url)
            before = _children_cpu()
            stage_cpu = measure("wikidata", folder)
        print(f"{'its server':<21}{_children_cpu() - before - stage_cpu:>9.1f}")
        answers = list((folder / "data" / PROFILE / "wikidata-answers").iterdir())
        print(f"{len(answers):,} queries")
        for stage in ("build", "images", "embed", "refine", "queue", "release"):
            measure(stage, folder)


def make_metadata(folder: Path, fraction: float) -> Path:
    """Write the files of the source."""
    source = folder / "source"
    if not (source / "md5sum").is_dir():
        started = time.monotonic()
        metadata.write(source, metadata.Size().scaled(fraction))
        print(f"metadata generated in {time.monotonic() - started:.0f} s")
    print(f"{sum(path.stat().st_size for path in (source / 'metadata').iterdir()) / 1e6:,.0f} MB of CSV")
    return source


def make_graph(folder: Path) -> Path:
    """Write a Wikidata about all categories of the metadata."""
    facts = folder / "facts.nt"
    if not facts.exists():
        tables = folder / "data" / PROFILE / "metadata"
        categories = {
            normalise(url)
            for split in ("train", "index")
            for url in read_parquet(tables / f"{split}_label_to_category.parquet")["category"]
        }
        part = facts.with_suffix(".part")
        print(f"{len(categories):,} categories, {write_graph(sorted(categories), part):,} statements")
        part.rename(facts)
    return facts


def settings(folder: Path, source: Path, url: str | None) -> None:
    """Write the settings of the full profile with the local source and endpoint, without pauses and canary.

    Beside them go the texts that a release repeats.
    """
    yaml = YAML()
    document = yaml.load(ROOT / "params.yaml")
    for stage in ("download", "images"):
        document[PROFILE][stage]["source"] = str(source)
    document[PROFILE]["wikidata"].update(endpoint=url, pause_s=0, canary={})
    document[PROFILE]["build"]["taxonomy"] = str(ROOT / "hierarchy/curated")
    yaml.dump(document, folder / "params.yaml")
    for path in (DATA_CARD, CITATION):
        shutil.copy(ROOT / path, folder)


def measure(stage: str, folder: Path) -> float:
    """Run a stage in `folder` and print its measurements; exits if it fails. Returns its CPU seconds."""
    command = [sys.executable, "-m", "hgld.cli", stage, "--profile", PROFILE]
    started = time.monotonic()
    pid = os.fork()
    if not pid:
        os.chdir(folder)
        os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": str(ROOT / ".typing")})
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - started
    if status:
        sys.exit(f"{stage} ended with {os.waitstatus_to_exitcode(status)}")
    cpu = usage.ru_utime + usage.ru_stime
    print(
        f"{stage:<12}{wall:>9.1f}{cpu:>9.1f}{100 * cpu / wall:>8.0f}{usage.ru_maxrss / 1024:>13,.0f}",
        flush=True,
    )
    return cpu


def _children_cpu() -> float:
    """The CPU seconds of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
