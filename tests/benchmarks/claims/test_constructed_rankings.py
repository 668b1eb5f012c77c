"""The orderings drawn in HAPPIER's figures: rankings that AP cannot tell apart, and H-AP can."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hgld.benchmarks.metrics import evaluate

# Car, make, kind of vehicle: column 0 the finest.
LADA_2, LADA_9, PRIUS, BUS = [0, 0, 0], [1, 0, 0], [2, 1, 0], [3, 2, 1]


def scores(query: list[int], ranked: list[list[int]]) -> dict[str, float]:
    """H-AP and AP of a ranked list, whose items lie at growing angles to the query."""
    angles = torch.arange(1, len(ranked) + 1, dtype=torch.float64) / 10
    gallery = torch.stack([angles.cos(), angles.sin()], dim=1)
    frame = evaluate(
        torch.tensor([[1.0, 0.0]], dtype=torch.float64),
        torch.tensor([query]),
        gallery,
        torch.tensor(ranked),
        metrics=("H-AP", "AP_l0"),
    )
    return {str(name): float(value) for name, value in frame.iloc[0].items()}


def of_agreement(*agreements: int) -> dict[str, float]:
    """The scores of a list by the agreements of its items with the query, 3 the same car."""
    items = {3: LADA_2, 2: LADA_9, 1: PRIUS, 0: BUS}
    return scores(LADA_2, [items[t] for t in agreements])


def test_mistakes_of_another_severity_have_the_same_ap_and_another_h_ap() -> None:
    mild, severe = of_agreement(2, 1, 3, 0, 3, 3), of_agreement(0, 2, 3, 1, 3, 3)
    assert mild["AP_l0"] == severe["AP_l0"]
    assert mild["H-AP"] == pytest.approx(0.94, abs=0.005)
    assert severe["H-AP"] == pytest.approx(0.675)


def test_the_same_make_before_another_make_scores_higher_than_the_other_way_round() -> None:
    drawn = scores(LADA_2, [LADA_9, LADA_2, BUS, PRIUS, LADA_2])
    swapped = scores(LADA_2, [PRIUS, LADA_2, BUS, LADA_9, LADA_2])
    assert drawn["AP_l0"] == swapped["AP_l0"]
    assert drawn["H-AP"] > swapped["H-AP"]


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_every_swap_towards_the_ideal_order_helps(alpha: float) -> None:
    labels = torch.tensor([BUS, PRIUS, LADA_9, LADA_2])

    def h_ap(order: Tensor) -> float:
        angles = torch.arange(1, 5, dtype=torch.float64) / 10
        gallery = torch.stack([angles.cos(), angles.sin()], dim=1)
        query = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
        frame = evaluate(query, torch.tensor([LADA_2]), gallery, labels[order], metrics="H-AP", alpha=alpha)
        return float(frame["H-AP"].iloc[0])

    # One bubble sort, from the worst order to the ideal one.
    order = [0, 1, 2, 3]
    last = h_ap(torch.tensor(order))
    for end in range(3, 0, -1):
        for n in range(end):
            order[n], order[n + 1] = order[n + 1], order[n]
            value = h_ap(torch.tensor(order))
            assert value > last
            last = value
    assert order == [3, 2, 1, 0]
    assert math.isclose(last, 1.0)
