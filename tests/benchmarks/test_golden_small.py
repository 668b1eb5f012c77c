"""Every loss and metric against the committed values of slow loops (make_golden.py), which need no other data."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hgld.benchmarks.losses import LOSSES, PROXY_LOSSES, Loss
from hgld.benchmarks.metrics import evaluate
from tests.benchmarks import make_golden

REMEDY = "run python -m tests.benchmarks.make_golden"
GOLDEN: dict[str, Any] = json.loads(make_golden.FILE.read_text(encoding="utf-8"))


def tensor(name: str) -> Tensor:
    values = torch.tensor(GOLDEN["inputs"][name])
    return values if name.endswith("labels") else torch.tensor(GOLDEN["inputs"][name], dtype=torch.float64)


def make(entry: dict[str, Any], reduction: str) -> Loss:
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in entry["settings"].items()}
    if entry["loss"] not in PROXY_LOSSES:
        return LOSSES[entry["loss"]](reduction=reduction, **settings)
    table, weight = tensor("proxy_labels"), tensor("proxies")
    classes = table if entry["loss"] == "csl" else len(table)
    loss = LOSSES[entry["loss"]](num_classes=classes, dim=weight.shape[1], reduction=reduction, **settings)
    loss.double()
    loss.load_state_dict({"weight": weight}, strict=False)
    return loss


def with_nan(values: list[Any]) -> list[float]:
    return [math.nan if value is None else value for value in values]


@pytest.mark.parametrize("entry", GOLDEN["losses"], ids=lambda e: f"{e['loss']}-{e['settings']}-own={e['own']}")
def test_losses_and_gradients_equal_the_slow_loops(entry: dict[str, Any]) -> None:
    query = tensor("query").requires_grad_()
    gallery = () if entry["own"] else (tensor("gallery"), tensor("gallery_labels"))
    per_query = make(entry, "none")(query, tensor("labels"), *gallery)
    # The relative tolerance is for softplus, which torch rounds to the identity above 20.
    close = {"rtol": 1e-11, "atol": 1e-10}
    np.testing.assert_allclose(per_query.detach().numpy(), with_nan(entry["per_query"]), **close)
    value = make(entry, "mean")(query, tensor("labels"), *gallery)
    np.testing.assert_allclose(float(value.detach()), entry["mean"], **close)
    (gradient,) = torch.autograd.grad(value, query)
    if entry["gradient"] is not None:
        expected = np.array(entry["gradient"])
        np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("gallery", ["gallery", "own"])
def test_metrics_equal_the_slow_loops(gallery: str) -> None:
    sides = () if gallery == "own" else (tensor("gallery"), tensor("gallery_labels"))
    expected = GOLDEN["metrics"][gallery]
    frame = evaluate(tensor("query"), tensor("labels"), *sides, metrics=list(expected))
    for name, values in expected.items():
        np.testing.assert_allclose(frame[name], with_nan(values), rtol=0, atol=1e-10, err_msg=name)


def test_every_loss_is_in_the_file() -> None:
    assert {entry["loss"] for entry in GOLDEN["losses"]} == set(LOSSES), REMEDY
    assert all(any(entry["mean"] > 0 for entry in GOLDEN["losses"] if entry["loss"] == name) for name in LOSSES)


def test_the_script_reproduces_the_file() -> None:
    """Up to rounding: the last digits of exp and log depend on the platform's C library."""

    def flat(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return list(value) + flat(list(value.values()))
        return [leaf for part in value for leaf in flat(part)] if isinstance(value, list) else [value]

    ours, committed = flat(make_golden.golden()), flat(GOLDEN)
    assert len(ours) == len(committed), REMEDY
    numbers = [type(value) is float for value in committed]
    assert [v for v, n in zip(ours, numbers, strict=True) if not n] == [
        v for v, n in zip(committed, numbers, strict=True) if not n
    ]
    np.testing.assert_allclose(
        [v for v, n in zip(ours, numbers, strict=True) if n],
        [v for v, n in zip(committed, numbers, strict=True) if n],
        rtol=1e-9,
        atol=1e-7,
    )
