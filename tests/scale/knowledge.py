"""The stages `wikidata` and `build` at the size of GLDv2, against a real SPARQL server on loopback.

    python -m tests.scale.knowledge [--train 203094] [--index 101302] [--folder FOLDER]

Makes a Wikidata of that size (see `graph`), serves it, runs the two commands as a user does, and prints wall time, the
CPU time of the command itself, its peak memory, and the number of queries. Half of the index landmarks are taken to be
of categories that train has too.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML

from hgld.hierarchy.category import category_url
from hgld.hierarchy.tables import write_parquet
from hgld.pipeline.oxigraph import serving
from tests.scale.graph import names, write_graph

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Make, serve, run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=203_094)
    parser.add_argument("--index", type=int, default=101_302)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hgld-scale-") as scratch:
        folder = options.folder or Path(scratch)
        facts = _world(folder, options.train, options.index)
        start = time.monotonic()
        with serving([facts]) as url:
            print(f"loaded in {time.monotonic() - start:.0f} s")
            _settings(folder, url)
            _run(folder, "wikidata")
        _run(folder, "build")


def _world(folder: Path, train: int, index: int) -> Path:
    """Write the metadata that the stage reads, and the facts; returns the file of facts."""
    every = names(train + index - index // 2)
    for split, own in (("train", every[:train]), ("index", every[train - index // 2 :])):
        rows = [(str(number), category_url(name)) for number, name in enumerate(own)]
        frame = pd.DataFrame(rows, columns=["landmark_id", "category"], dtype="str")
        write_parquet(frame, folder / "data" / "gldv2" / "metadata" / f"{split}_label_to_category.parquet")
    facts = folder / "facts.nt"
    print(
        f"{train:,} + {index:,} landmarks, {len(every):,} categories, {write_graph(every, facts):,} statements"
    )
    return facts


def _settings(folder: Path, url: str) -> None:
    """The settings of the profile gldv2, but for the endpoint: no pauses, and no count of statements."""
    yaml = YAML()
    document = yaml.load(ROOT / "params.yaml")
    document["gldv2"]["wikidata"].update(endpoint=url, pause_s=0, canary={})
    document["gldv2"]["build"]["taxonomy"] = str(ROOT / "hierarchy")
    yaml.dump(document, folder / "params.yaml")


def _run(folder: Path, stage: str) -> None:
    command = [sys.executable, "-m", "hgld.cli", stage, "--profile", "gldv2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".typing")}
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    if status:
        sys.exit(f"hgld {stage} failed")
    cpu = used.ru_utime + used.ru_stime
    print(f"hgld {stage}: {wall:.1f} s, CPU {cpu:.1f} s ({cpu / wall:.0%}), peak {used.ru_maxrss / 2**20:.2f} GiB",
          flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
