"""Reproducible runs: fixed seed, thread count and algorithms, restored afterwards."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def reproducible(seed: int, threads: int) -> Iterator[str]:
    """Fix seed, thread count and deterministic algorithms inside the block; yields the device, "cuda" or "cpu"."""
    previous_threads, previous_mode = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is not deterministic without it
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            yield "cuda" if torch.cuda.is_available() else "cpu"
        finally:
            torch.set_num_threads(previous_threads)
            torch.use_deterministic_algorithms(previous_mode)
