"""A script of test_distributed: `torchrun failing_process.py FOLDER HOW`; process 1 fails after the first epoch."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from hgld.benchmarks.training import train
from hgld.cli import main as hgld


def fail(how: str) -> None:
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("one of two\nlines")


def main(folder: Path, how: str) -> None:
    """`hgld train` in the folder."""
    os.chdir(folder)
    report = train.rank

    def failing(*arguments: Any) -> int:
        number = report()
        if number and sys._getframe(1).f_code.co_name == "train" and sys._getframe(1).f_locals.get("epoch") == 1:
            fail(how)
        return number

    train.rank = failing
    hgld(["train"])


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
