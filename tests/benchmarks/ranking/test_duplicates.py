"""Exact duplicates are found, and nothing else is taken for one."""

from __future__ import annotations

import pytest
import torch

from hgld.benchmarks.ranking.duplicates import find_duplicates, first_equal_row


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", range(9))
def test_exactly_the_equal_rows_are_duplicates(width: int, dtype: torch.dtype) -> None:
    """Also among numbers that differ in few bits, which a weak hash would lose: signs, powers of two, -0."""
    generator = torch.Generator().manual_seed(width)
    values = torch.tensor([-1.0, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0], dtype=dtype)
    for scale in (1, 4, 7):
        drawn = values[torch.randint(7 - scale, 7, (200, width), generator=generator)]
        rows = drawn.tolist()
        duplicates = find_duplicates(drawn)
        expected = {n: rows.index(row) for n, row in enumerate(rows) if rows.index(row) != n}
        assert dict(zip(*(part.tolist() for part in duplicates), strict=True)) == expected
        assert first_equal_row(drawn).tolist() == [rows.index(row) for row in rows]
