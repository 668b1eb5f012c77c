"""The published values beside the checkout; tests that need them are skipped where they are absent."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.paths import SHARED

FOLDER = SHARED / "golden"
needs_golden = pytest.mark.skipif(not (FOLDER / "golden.npz").exists(), reason=f"no published values in {FOLDER}")


@cache
def values() -> dict[str, np.ndarray[Any, Any]]:
    """Every array by its name."""
    with np.load(FOLDER / "golden.npz") as archive:
        return {name: archive[name] for name in archive.files}


@cache
def entries() -> dict[str, dict[str, Any]]:
    """Arguments and formula of every entry by its name."""
    loaded: dict[str, dict[str, Any]] = json.loads((FOLDER / "golden.json").read_text(encoding="utf-8"))
    return loaded


def tensor(name: str) -> Tensor:
    """One array as a fresh tensor."""
    return torch.from_numpy(values()[name].copy())


def inputs(case: str) -> tuple[Tensor, Tensor, Tensor, Tensor] | tuple[Tensor, Tensor]:
    """Embeddings and labels of a case, and of its gallery where it has one."""
    query = tensor(f"in/{case}/eq"), tensor(f"in/{case}/lq")
    return query if case == "sq" else (*query, tensor(f"in/{case}/eg"), tensor(f"in/{case}/lg"))


def level_of(name: str) -> int:
    """The level at the end of an entry's name, e.g. 1 for `AP_l1`; 0 without one."""
    end = name.rsplit("_l", 1)[-1]
    return int(end) if end.isdigit() else 0
