"""Integer keys sort like the floats, and radix sorts like the sort of floats."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.benchmarks.ranking.levels import agreement
from hgld.benchmarks.ranking.sorting import LAST, Hidden, descending_keys, rank_items
from tests.benchmarks import oracles


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_keys_order_every_float(values: list[float]) -> None:
    scores = torch.tensor([values])
    order = oracles.ranking(scores[0].tolist())
    keys = descending_keys(scores.clone())[0]
    assert keys.argsort(stable=True).tolist() == order
    assert int(keys.max()) < LAST


def test_long_float32_rows_are_ranked_like_float64_rows() -> None:
    """40,000 items per row are sorted by radix. The scores are exact in both dtypes."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(-99, 99, (3, 40_000), generator=generator).float() / 128
    labels = torch.randint(0, 9, (40_000, 2), generator=generator)
    ranked = []
    for dtype in (torch.float32, torch.float64):
        depth = agreement(labels[:3], labels)
        hidden = Hidden(torch.tensor([0, 0, 2]), torch.tensor([7, 9, 11]))
        ranked.append(rank_items(scores.to(dtype, copy=True), depth, hidden)[0])
    assert torch.equal(*ranked)
