"""Thread pools for independent rows, each thread running torch on one core.

torch's own threads split a single operation; a radix sort or a prefix sum is one piece to them. Rows are independent,
so here every thread takes rows of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Barrier
from typing import Protocol, TypeVar

import torch

_allowed: ContextVar[int] = ContextVar("_allowed", default=0)

T = TypeVar("T")
R = TypeVar("R")


class Map(Protocol):
    """`parallel_map(function, parts)`: the list of function(part), in order."""

    def __call__(self, function: Callable[[T], R], parts: Iterable[T], /) -> list[R]:
        """Apply the function to every part."""


@contextmanager
def single_core_threads(count: int) -> Iterator[Map]:
    """A `Map` over `count` threads of one core each; the calling thread keeps torch's number of threads.

    >>> with single_core_threads(2) as parallel_map:
    ...     parallel_map(lambda n: n * n, range(4))
    [0, 1, 4, 9]
    """
    if count <= 1:
        yield _serial_map
        return
    before, started = torch.get_num_threads(), Barrier(count)

    def use_one_core(_: int) -> None:
        torch.get_num_threads()  # the first call in a thread resets its number to the process's
        torch.set_num_threads(1)
        started.wait()  # so that each of the `count` threads runs this once

    with ThreadPoolExecutor(count, thread_name_prefix="rows") as pool:
        try:
            list(pool.map(use_one_core, range(count)))
            # OpenMP's setting is per thread, MKL's per process: restore it for the caller's matrix products.
            torch.set_num_threads(before)
            yield lambda function, parts: list(pool.map(function, parts))
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def one_core() -> Iterator[None]:
    """Inside, torch runs the calling thread's operations on one core.

    Otherwise its threads wait for each other at every operation of more than 32,768 numbers, on a busy machine for
    milliseconds each time.
    """
    before, token = torch.get_num_threads(), _allowed.set(allowed_threads())
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _allowed.reset(token)


def allowed_threads() -> int:
    """Torch's number of threads, inside `one_core` the one outside."""
    return _allowed.get() or torch.get_num_threads()


def _serial_map(function: Callable[[T], R], parts: Iterable[T], /) -> list[R]:
    return [function(part) for part in parts]
