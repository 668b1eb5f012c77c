"""Draw in several processes."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

MAX_WORKERS = 8
MIN_INPUTS = 200
"""For fewer pictures, starting the processes takes longer than drawing."""


def in_parallel(function: Callable[[In], Out], inputs: Sequence[In]) -> list[Out]:
    """`function` of each input, in input order; it must be defined at module level, because it is pickled."""
    workers = min(MAX_WORKERS, os.cpu_count() or 1)
    if workers == 1 or len(inputs) < MIN_INPUTS:
        return [function(item) for item in inputs]
    # spawn: forking a process that has threads (torch) can deadlock
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(function, inputs, chunksize=32))
