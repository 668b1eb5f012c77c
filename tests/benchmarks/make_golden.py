"""Writes golden_small.json: values and gradients of every loss, and every metric, on two small cases.

    python -m tests.benchmarks.make_golden

Nothing is computed by the package. Values come from the slow float64 loops of oracles.py and loss_oracles.py
beside this file, gradients of the mean in the queries from central differences of those loops (fourth order,
accurate to about 1e-8). Inputs are drawn by Python's `random` and stored in full.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.benchmarks import oracles
from tests.benchmarks.loss_oracles import LOSS_ORACLES, Inputs, dot, mean, unit

FILE = Path(__file__).with_name("golden_small.json")
QUERIES, ITEMS, WIDTH, CLASSES = 5, 11, 4, 9
STEP = 2e-5
UPPER_BOUND = {"tau": 0.01, "rho": 100.0, "delta": 0.05, "start": 0.5, "offset": None}
SOP = {**UPPER_BOUND, "offset": 1.44}
INAT = {**UPPER_BOUND, "start": 0.0, "offset": 1.0}
SUPHRANK = {"beta": 25.0, "leak": 10.0, "gamma": 0.5}
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "smooth_ap": [{"tau": 0.01}, {"tau": 0.1, "level": 1}],
    "sup_ap": [UPPER_BOUND, {**SOP, "level": 1}, INAT],
    "smooth_hap": [{"tau": 0.01}, {"tau": 0.1, "alpha": 2.0}],
    "sup_hap": [
        UPPER_BOUND,
        SOP,
        {**SOP, **SUPHRANK},
        {**INAT, "relevance": "map", "weights": [0.2, 0.3, 0.5]},
    ],
    "smooth_ndcg": [{"tau": 0.1}],
    "sup_ndcg": [UPPER_BOUND, SOP],
    "smooth_recall": [{"tau": 0.1, "at_k": [1, 2, 4]}],
    "sup_recall": [UPPER_BOUND],
    "soft_bin_ap": [{"nq": 20, "min": -1.0, "max": 1.0}],
    "fast_ap": [{"num_bins": 10}],
    "blackbox_ap": [{"lambda_val": 4.0}],
    "calibration": [{"pos_margin": 0.9, "neg_margin": 0.6}, {"pos_margin": 0.7, "neg_margin": 0.1}],
    "cluster": [{"temperature": 0.05}],
    "csl": [{"scale": 32.0, "margins": [0.25, 0.35, 0.45]}],
    "arcface": [{"s": 30.0, "m": 0.3}],
    "proxy_nca": [{"scale": 3.0}],
    "contrastive": [{"pos_margin": 0.0, "neg_margin": 1.0}, {"pos_margin": 0.4, "neg_margin": 1.4}],
    "triplet": [
        {"margin": 0.05, "semihard": True, "itself": False},
        {"margin": 0.9, "semihard": True, "itself": True},
        {"margin": 0.3, "semihard": False, "itself": True},
    ],
    "xbm_pair": [{"margin": 0.5}],
}


@dataclass(frozen=True)
class Case:
    """A loss with its settings on the gallery, or on the batch as its own gallery."""

    loss: str
    settings: dict[str, Any]
    own: bool


def draw() -> dict[str, Any]:
    """Unit vectors and a binary tree of labels; class 8 shares nothing with the gallery."""
    generator = random.Random(9)

    def vectors(count: int) -> list[list[float]]:
        return [unit([generator.gauss() for _ in range(WIDTH)]) for _ in range(count)]

    def labels(classes: Sequence[int]) -> list[list[int]]:
        return [[fine, fine // 2, fine // 4] for fine in classes]

    return {
        "query": vectors(QUERIES),
        "labels": labels([0, 3, 5, 8, 0]),
        "gallery": vectors(ITEMS),
        "gallery_labels": labels([0, 0, 1, 2, 3, 3, 3, 5, 4, 7, 6]),
        "proxies": vectors(CLASSES),
        "proxy_labels": labels(range(CLASSES)),
    }


def inputs_of(drawn: dict[str, Any], own: bool) -> Inputs:
    """The drawn inputs; own: the batch is the gallery."""
    if own:
        drawn = {**drawn, "gallery": drawn["query"], "gallery_labels": drawn["labels"]}
    return Inputs(**drawn, own=own)


def with_query(inputs: Inputs, query: list[list[float]]) -> Inputs:
    """The same inputs with other queries, on both sides where they are the gallery."""
    return replace(inputs, query=query, gallery=query if inputs.own else inputs.gallery)


def differentiate(value: Callable[[Inputs], float], inputs: Inputs, step: float) -> list[list[float]]:
    """Gradient of the value in the queries, by central differences of fourth order."""

    def moved(row: int, column: int, by: float) -> float:
        query = [list(vector) for vector in inputs.query]
        query[row][column] += by
        return value(with_query(inputs, query))

    def slope(row: int, column: int) -> float:
        near = moved(row, column, step) - moved(row, column, -step)
        far = moved(row, column, 2 * step) - moved(row, column, -2 * step)
        return (8 * near - far) / (12 * step)

    return [[slope(row, column) for column in range(WIDTH)] for row in range(len(inputs.query))]


def blackbox_gradient(inputs: Inputs, lambda_val: float) -> list[list[float]]:
    """BlackBoxAP's: difference of the rankings before and after a step of the scores, times d score / d query.

    The true derivative of a ranking is 0. Here ranks are rank / N, and AP = sum_i rank+_i / rank_i / (|P| + 1e-5).
    """

    def ranks(scores: Sequence[float]) -> list[float]:
        order = oracles.ranking(scores)
        return [(order.index(i) + 1) / len(order) for i in range(len(order))]

    rows = [row for row in range(len(inputs.query)) if any(inputs.hits(row))]
    gradient = [[0.0] * WIDTH for _ in inputs.query]
    for row in rows:
        scores, hits = inputs.scores(row), inputs.hits(row)
        rank, items = ranks(scores), range(len(scores))
        incoming = []
        for i in items:
            among = sum(hits[j] and rank[j] <= rank[i] for j in items) / len(items)
            incoming.append(hits[i] * among / rank[i] ** 2 / (sum(hits) + 1e-5) / len(rows))
        after = ranks([s + lambda_val * g for s, g in zip(scores, incoming, strict=True)])
        slopes = [(b - a) / lambda_val for a, b in zip(rank, after, strict=True)]
        for column in range(WIDTH):
            gradient[row][column] += dot(slopes, [item[column] for item in inputs.gallery])
            if inputs.own:  # the query is an item of every other query's gallery
                for item in items:
                    gradient[item][column] += slopes[item] * inputs.query[row][column]
    return gradient


def loss_entry(case: Case, drawn: dict[str, Any]) -> dict[str, Any]:
    """Values per query, their mean, and the gradient of the mean; null is undefined, and no gradient at a kink."""
    inputs, given = inputs_of(drawn, case.own), dict(case.settings)
    lambda_val = given.pop("lambda_val", None)
    if case.loss not in LOSS_ORACLES:
        raise SystemExit(f"no slow loop for the loss {case.loss} in tests/benchmarks/loss_oracles.py")
    oracle = LOSS_ORACLES[case.loss]
    values = oracle(inputs, **{key: value for key, value in given.items() if key != "relevance"})

    def value(moved: Inputs) -> float:
        return mean(oracle(moved, **{key: v for key, v in given.items() if key != "relevance"}))

    gradient = None
    if lambda_val is not None:
        gradient = blackbox_gradient(inputs, lambda_val)
    elif not (case.loss == "soft_bin_ap" and case.own):  # the query's own score of 1 is the centre of the end bin
        # XBM's loss jumps where a score falls below 1 - 1e-5.
        gradient = differentiate(value, inputs, 1e-6 if case.loss == "xbm_pair" else STEP)
    return {
        "loss": case.loss,
        "settings": case.settings,
        "own": case.own,
        "per_query": [None if math.isnan(v) else round(v, 14) for v in values],
        "mean": round(mean(values), 14),
        "gradient": gradient and [[round(v, 9) for v in row] for row in gradient],
    }


def metrics_entry(drawn: dict[str, Any], own: bool) -> dict[str, list[float | None]]:
    """Every metric of every query; own: the query itself is not ranked."""
    inputs = inputs_of(drawn, own)
    values: dict[str, list[float | None]] = {}
    for row in range(QUERIES):
        scores, agreements = inputs.scores(row), inputs.agreements(row)
        order = oracles.ranking(scores, {row} if own else set())
        ts = [agreements[i] for i in order]
        measured = oracles.metrics(ts, levels=3, ks=(1, 3, 10))
        measured["ties"] = oracles.ties([scores[i] for i in order], ts)
        for name, value in measured.items():
            values.setdefault(name, []).append(None if math.isnan(value) else round(value, 14))
    return values


def golden() -> dict[str, Any]:
    """The contents of the file."""
    drawn = draw()
    cases = [Case(loss, settings, own) for loss in SETTINGS for settings in SETTINGS[loss] for own in (False, True)]
    return {
        "about": (__doc__ or "").strip().splitlines(),
        "inputs": drawn,
        "losses": [loss_entry(case, drawn) for case in cases],
        "metrics": {"gallery": metrics_entry(drawn, False), "own": metrics_entry(drawn, True)},
    }


def as_text(contents: dict[str, Any]) -> str:
    """JSON with one line per entry, so that a change is a line of a diff."""
    lines = []
    for key, value in contents.items():
        if isinstance(value, list):
            body = ",\n".join(f"  {json.dumps(entry)}" for entry in value)
            lines.append(f"{json.dumps(key)}: [\n{body}\n]")
        else:
            body = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in value.items())
            lines.append(f"{json.dumps(key)}: {{\n{body}\n}}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(as_text(golden()), encoding="utf-8")
