"""Stages at GLDv2's size: wall time, CPU time and peak memory of each.

    python -m tests.scale [--share 1.0] [--folder DIR]

Makes metadata of GLDv2's size in a temporary folder (or in DIR, where what is there already is used again), and
runs the stages on it, each in a process of its own, as `hgld STAGE` would.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.scale import metadata

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Make the metadata and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=1.0, help="share of GLDv2's size (default: all of it)")
    parser.add_argument("--folder", type=Path, help="work here and leave everything there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        prepare(folder, given.share)
        print(f"{'stage':<12}{'wall s':>9}{'cpu s':>9}{'peak RSS MB':>13}")
        for stage in ("download",):
            measure(stage, ["-m", "hgld.cli", stage, "--profile", "sample"], folder)


def prepare(folder: Path, share: float) -> None:
    """The source's files, and a params.yaml that names them."""
    source = folder / "source"
    if not (source / "md5sum").is_dir():
        started = time.monotonic()
        metadata.write(source, metadata.Size().share(share) if share < 1 else metadata.Size())
        print(f"metadata made in {time.monotonic() - started:.0f} s")
    print(f"{sum(one.stat().st_size for one in (source / 'metadata').iterdir()) / 1e6:,.0f} MB of CSV")
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    changed = text.replace("source: sources/sample/metadata", f"source: {source}", 1)
    (folder / "params.yaml").write_text(changed, encoding="utf-8")


def measure(name: str, arguments: list[str], folder: Path) -> None:
    """Run Python on `arguments` in `folder` and print what it took; ends the program when it fails."""
    started = time.monotonic()
    pid = os.fork()
    if not pid:
        os.chdir(folder)
        os.execve(
            sys.executable,
            [sys.executable, *arguments],
            {**os.environ, "PYTHONPATH": str(ROOT / ".typing")},
        )
    _, status, used = os.wait4(pid, 0)
    wall = time.monotonic() - started
    if status:
        sys.exit(f"{name} ended with {os.waitstatus_to_exitcode(status)}")
    cpu = used.ru_utime + used.ru_stime
    print(f"{name:<12}{wall:>9.1f}{cpu:>9.1f}{used.ru_maxrss / 1024:>13,.0f}", flush=True)


if __name__ == "__main__":
    main()
