"""Every metric and surrogate rank as a slow loop straight from its formula, for one query.

Nothing is shared with the package: plain Python floats, no tensors, no levels of indirection. The losses are in
tests/benchmarks/loss_oracles.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

NAN = math.nan


def agreement(a: Sequence[int], b: Sequence[int]) -> int:
    """Consecutive equal columns counted from the coarsest (the last)."""
    depth = 0
    for x, y in zip(reversed(a), reversed(b), strict=True):
        if x != y:
            break
        depth += 1
    return depth


def ranking(scores: Sequence[float], hidden: set[int] = frozenset()) -> list[int]:  # type: ignore[assignment]
    """Gallery indices, score descending, then index ascending, without the hidden ones."""
    return sorted((i for i in range(len(scores)) if i not in hidden), key=lambda i: (-scores[i], i))


def pop(ts: Sequence[int], levels: int, alpha: float = 1.0) -> list[float]:
    """rel_k = (t_k / L)^alpha / |{j : t_j = t_k}|."""
    return [0.0 if t == 0 else (t / levels) ** alpha / sum(u == t for u in ts) for t in ts]


def by_map(ts: Sequence[int], weights: Sequence[float]) -> list[float]:
    """rel_k = sum_{p <= t_k} w_p / |{j : t_j >= p}|."""
    return [sum(weights[p - 1] / sum(u >= p for u in ts) for p in range(1, t + 1)) for t in ts]


def ap(hits: Sequence[bool]) -> float:
    total = sum(hits)
    return sum(sum(hits[: n + 1]) / (n + 1) for n in range(len(hits)) if hits[n]) / total if total else NAN


def ap_at(hits: Sequence[bool], k: int) -> float:
    total = min(sum(hits), k)
    return sum(sum(hits[: n + 1]) / (n + 1) for n in range(min(k, len(hits))) if hits[n]) / total if total else NAN


def ap_at_r(hits: Sequence[bool]) -> float:
    total = sum(hits)
    return sum(sum(hits[: n + 1]) / (n + 1) for n in range(total) if hits[n]) / total if total else NAN


def precision_at(hits: Sequence[bool], k: int) -> float:
    return sum(hits[:k]) / k if any(hits) else NAN


def any_at(hits: Sequence[bool], k: int) -> float:
    return float(any(hits[:k])) if any(hits) else NAN


def recall_at(hits: Sequence[bool], k: int) -> float:
    return sum(hits[:k]) / min(sum(hits), k) if any(hits) else NAN


def exact_ap(ts: Sequence[int], t: int) -> float:
    return ap([u == t for u in ts if u <= t])


def ndcg(ts: Sequence[int], k: int | None = None) -> float:
    def dcg(order: Sequence[int]) -> float:
        return sum((2**t - 1) / math.log2(n + 2) for n, t in enumerate(order[:k]))

    best = dcg(sorted(ts, reverse=True))
    return dcg(ts) / best if best else NAN


def h_ap(ts: Sequence[int], levels: int, alpha: float = 1.0) -> float:
    rel = pop(ts, levels, alpha)
    if not any(rel):
        return NAN
    return sum(sum(min(rel[k], rel[j]) for j in range(k + 1)) / (k + 1) for k in range(len(ts))) / sum(rel)


def asi(ts: Sequence[int]) -> float:
    """Size of the intersection of the multisets of levels of the first n, averaged over n <= |positives|."""
    total = sum(t > 0 for t in ts)
    ideal = sorted(ts, reverse=True)
    if not total:
        return NAN
    overlaps = []
    for n in range(1, total + 1):
        ours, best = list(ts[:n]), list(ideal[:n])
        overlaps.append(sum(min(ours.count(t), best.count(t)) for t in set(best)) / n)
    return sum(overlaps) / total


def ties(scores: Sequence[float], ts: Sequence[int]) -> float:
    """1 where neighbours of the ranking have equal scores and different agreements."""
    n = range(len(ts) - 1)
    return float(any(scores[i] == scores[i + 1] and ts[i] != ts[i + 1] for i in n))


def metrics(ts: Sequence[int], levels: int, ks: Sequence[int] = (3,), alpha: float = 1.0) -> dict[str, float]:
    """Every metric of one ranking of agreements by name, but for ties."""
    values = {"H-AP": h_ap(ts, levels, alpha), "NDCG": ndcg(ts), "ASI": asi(ts)}
    values |= {f"NDCG@{k}": ndcg(ts, k) for k in ks}
    for t in range(1, levels + 1):
        hits, level = [u >= t for u in ts], levels - t
        values |= {f"AP#{t}": exact_ap(ts, t), f"AP_l{level}": ap(hits), f"mAP@R_l{level}": ap_at_r(hits)}
        for k in ks:
            values[f"mAP@{k}_l{level}"] = ap_at(hits, k)
            values[f"P@{k}_l{level}"] = precision_at(hits, k)
            values[f"R@{k}_l{level}"] = any_at(hits, k)
            values[f"recall@{k}_l{level}"] = recall_at(hits, k)
    return values


Step = Callable[[float], float]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def smooth(tau: float) -> Step:
    return lambda x: sigmoid(x / tau)


def heaviside(x: float) -> float:
    return float(x >= 0)


def h_minus(tau: float, rho: float, delta: float, start: float, offset: float | None) -> Step:
    linear_start = start + sigmoid(delta / tau) if offset is None else offset

    def step(x: float) -> float:
        if x <= 0:
            return sigmoid(x / tau)
        return start + sigmoid(x / tau) if x <= delta else rho * (x - delta) + linear_start

    return step


def h_plus(beta: float, leak: float, gamma: float) -> Step:
    def step(x: float) -> float:
        if x <= 0:
            return leak * x
        return 1.0 if gamma > 1 else min(beta * x + gamma, 1.0)

    return step


def rank(scores: Sequence[float], ts: Sequence[int], i: int, lower: Step, other: Step) -> float:
    """1 + sum_{j != i} h, with `lower` where j agrees less than i and `other` elsewhere."""
    return 1 + sum((lower if ts[j] < ts[i] else other)(scores[j] - scores[i]) for j in range(len(ts)) if j != i)


def hrank(scores: Sequence[float], ts: Sequence[int], rel: Sequence[float], i: int, higher: Step, other: Step) -> float:
    """rel_i + sum_{j != i} min(rel_i, rel_j) h+, with `higher` where j agrees more than i and `other` elsewhere."""
    return rel[i] + sum(
        min(rel[i], rel[j]) * (higher if ts[j] > ts[i] else other)(scores[j] - scores[i])
        for j in range(len(ts))
        if j != i
    )
