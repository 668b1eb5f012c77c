"""Stages at GLDv2's size: wall time, CPU time and peak memory of each, and how many queries were asked.

    python -m tests.scale [--share 1.0] [--folder DIR]

Makes metadata of GLDv2's size and a Wikidata about its categories (`metadata`, `graph`), serves that with oxigraph on
loopback, and runs `hgld download`, `wikidata` and `build` as a user does, each in a process of its own. In a temporary
folder, or in DIR, where what is there already is used again.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

from hgld.foundation.tables import read_parquet
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.pipeline.sparql.oxigraph import serving
from tests.paths import ROOT
from tests.scale import metadata
from tests.scale.graph import write_graph

PROFILE = "gldv2"


def main() -> None:
    """Make everything and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=1.0, help="share of GLDv2's size (default: all of it)")
    parser.add_argument("--folder", type=Path, help="work here and leave everything there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hgld-scale-") as scratch:
        folder = (given.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        source = made_metadata(folder, given.share)
        settings(folder, source, url=None)
        print(f"{'stage':<12}{'wall s':>9}{'cpu s':>9}{'cpu %':>8}{'peak RSS MB':>13}")
        measure("download", folder)
        print("again: nothing is fetched, all is verified and converted")
        measure("download", folder)
        facts = made_graph(folder)
        with serving([facts]) as url:
            settings(folder, source, url)
            before = _children_cpu()
            own = measure("wikidata", folder)
        print(f"{'its server':<21}{_children_cpu() - before - own:>9.1f}")
        answers = list((folder / "data" / PROFILE / "wikidata-answers").iterdir())
        print(f"{len(answers):,} queries")
        measure("build", folder)


def made_metadata(folder: Path, share: float) -> Path:
    """The source's files."""
    source = folder / "source"
    if not (source / "md5sum").is_dir():
        started = time.monotonic()
        metadata.write(source, metadata.Size().share(share) if share < 1 else metadata.Size())
        print(f"metadata made in {time.monotonic() - started:.0f} s")
    print(f"{sum(one.stat().st_size for one in (source / 'metadata').iterdir()) / 1e6:,.0f} MB of CSV")
    return source


def made_graph(folder: Path) -> Path:
    """A Wikidata about all categories of the metadata."""
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
    """The settings of the full profile, but for the source and the endpoint: no pauses, and no count of statements."""
    yaml = YAML()
    document = yaml.load(ROOT / "params.yaml")
    document[PROFILE]["download"]["source"] = str(source)
    document[PROFILE]["wikidata"].update(endpoint=url, pause_s=0, canary={})
    document[PROFILE]["build"]["taxonomy"] = str(ROOT / "hierarchy/curated")
    yaml.dump(document, folder / "params.yaml")


def measure(stage: str, folder: Path) -> float:
    """Run a stage in `folder` and print what it took; ends the program when it fails. Returns its CPU seconds."""
    command = [sys.executable, "-m", "hgld.cli", stage, "--profile", PROFILE]
    started = time.monotonic()
    pid = os.fork()
    if not pid:
        os.chdir(folder)
        os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": str(ROOT / ".typing")})
    _, status, used = os.wait4(pid, 0)
    wall = time.monotonic() - started
    if status:
        sys.exit(f"{stage} ended with {os.waitstatus_to_exitcode(status)}")
    cpu = used.ru_utime + used.ru_stime
    print(
        f"{stage:<12}{wall:>9.1f}{cpu:>9.1f}{100 * cpu / wall:>8.0f}{used.ru_maxrss / 1024:>13,.0f}",
        flush=True,
    )
    return cpu


def _children_cpu() -> float:
    """The CPU seconds of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
