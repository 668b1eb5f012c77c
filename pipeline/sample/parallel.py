"""Draw on all processors."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

MOST_WORKERS = 8
WORTH_IT = 200
"""Below so many pictures, starting other processes takes longer than drawing."""


def in_parallel(function: Callable[[In], Out], inputs: Sequence[In]) -> list[Out]:
    """`function` of each input, in their order; it must be a module's own function, so that it can be sent."""
    workers = min(MOST_WORKERS, os.cpu_count() or 1)
    if workers == 1 or len(inputs) < WORTH_IT:
        return [function(one) for one in inputs]
    # a fresh interpreter each: forking a process that has threads (torch) can hang
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(function, inputs, chunksize=32))
