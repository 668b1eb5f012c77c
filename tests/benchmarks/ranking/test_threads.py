"""Threads of one core each."""

from __future__ import annotations

import pytest
import torch

from hgld.benchmarks.ranking.threads import single_core_threads


def test_threads_keep_the_order_raise_errors_and_restore_torchs_setting() -> None:
    before = torch.get_num_threads()
    with single_core_threads(3) as parallel_map:
        assert parallel_map(lambda n: n * n, range(50)) == [n * n for n in range(50)]
        assert parallel_map(lambda _: torch.get_num_threads(), range(9)) == [1] * 9
        with pytest.raises(ZeroDivisionError):
            parallel_map(lambda n: 1 / n, [1, 0])
    assert torch.get_num_threads() == before
