"""Rows worked on side by side: threads that each run torch on one core.

Torch's own threads split one operation; a list that is sorted by radix or summed up from the left is one piece to them.
Rows are independent, so each thread takes its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Protocol, TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


class Each(Protocol):
    """`each(function, parts)`: function(part) for every part, in order."""

    def __call__(self, function: Callable[[T], R], parts: Iterable[T], /) -> list[R]:
        """Apply the function to every part."""


@contextmanager
def side_by_side(threads: int) -> Iterator[Each]:
    """Gives an `Each` on so many threads of one core; the calling thread keeps torch's number of threads.

    >>> with side_by_side(2) as each:
    ...     each(lambda n: n * n, range(4))
    [0, 1, 4, 9]
    """
    if threads <= 1:
        yield _one_by_one
        return
    before, started = torch.get_num_threads(), Barrier(threads)

    def alone(_: int) -> None:
        torch.get_num_threads()  # a thread's first look gives it the process's number, and would undo the next line
        torch.set_num_threads(1)
        started.wait()  # no thread may take the place of another that has not started yet

    with ThreadPoolExecutor(threads, thread_name_prefix="rows") as pool:
        try:
            list(pool.map(alone, range(threads)))
            # OpenMP counts for each thread, MKL for the process: the caller's matrix products get theirs back.
            torch.set_num_threads(before)
            yield lambda function, parts: list(pool.map(function, parts))
        finally:
            pool.shutdown(cancel_futures=True)


def _one_by_one(function: Callable[[T], R], parts: Iterable[T], /) -> list[R]:
    return [function(part) for part in parts]
