"""Every loss as slow loops straight from its formula: plain Python floats, nothing shared with the package.

A loss is `LOSS_ORACLES[name](inputs, **settings)` -> the value of each query, NaN where undefined; settings have the
package's names, and no defaults that a published run would change. The loss itself is the mean over the defined values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks import oracles

NAN = math.nan
Vector = Sequence[float]


@dataclass(frozen=True)
class Inputs:
    """Queries and gallery with their labels, finest first; proxies of the classes 0, 1, ..; own: gallery = batch."""

    query: Sequence[Vector]
    labels: Sequence[Sequence[int]]
    gallery: Sequence[Vector]
    gallery_labels: Sequence[Sequence[int]]
    proxies: Sequence[Vector]
    proxy_labels: Sequence[Sequence[int]]
    own: bool

    def agreements(self, row: int) -> list[int]:
        return [oracles.agreement(self.labels[row], other) for other in self.gallery_labels]

    def hits(self, row: int, level: int = 0) -> list[bool]:
        return [t >= len(self.labels[0]) - level for t in self.agreements(row)]

    def scores(self, row: int) -> list[float]:
        return [dot(self.query[row], item) for item in self.gallery]

    def cosines(self, row: int) -> list[float]:
        return [dot(unit(self.query[row]), unit(item)) for item in self.gallery]


def dot(a: Vector, b: Vector) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def unit(a: Vector) -> list[float]:
    length = math.sqrt(dot(a, a))
    return [x / length for x in a]


def mean(values: Sequence[float]) -> float:
    """The loss: the mean over the defined queries, 0 where there is none."""
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else 0.0


def rank_loss(name: str, scores: Sequence[float], ts: list[int], levels: int, **given: Any) -> float:
    """One query's loss for the rank losses; `sup_*` take all of SupRank's settings, hap beta, leak, gamma too."""
    family, kind = name.split("_")
    smooth = oracles.smooth(given.get("tau", 0.01))
    suprank = ("tau", "rho", "delta", "start", "offset")
    minus = oracles.h_minus(**{k: given[k] for k in suprank}) if family == "sup" else smooth
    other = oracles.heaviside if family == "sup" else smooth
    plus = oracles.h_plus(given["beta"], given["leak"], given["gamma"]) if "beta" in given else other
    if kind in ("ap", "recall"):
        ts = [int(t >= levels - given.get("level", 0)) for t in ts]
        rel = [float(t) for t in ts]
    elif "weights" in given:
        rel = oracles.by_map(ts, given["weights"])
    else:
        rel = oracles.pop(ts, levels, given.get("alpha", 1.0))
    positives = [i for i, t in enumerate(ts) if t > 0]
    if not positives:
        return NAN
    rank = {i: oracles.rank(scores, ts, i, minus, other) for i in positives}
    if kind in ("ap", "hap"):
        gained = sum(oracles.hrank(scores, ts, rel, i, plus, other) / rank[i] for i in positives)
        return 1 - gained / sum(rel)
    if kind == "ndcg":
        best = sum((2**t - 1) / math.log2(n + 2) for n, t in enumerate(sorted(ts, reverse=True)))
        return 1 - sum((2 ** ts[i] - 1) / math.log2(1 + rank[i]) for i in positives) / best
    ks = given.get("at_k", (1, 2, 4, 8, 16))
    counted = [sum(oracles.sigmoid(k - rank[i]) for i in positives) / min(len(positives), k) for k in ks]
    return 1 - sum(counted) / len(ks)


def _rank_loss(name: str) -> Callable[..., list[float]]:
    def loss(x: Inputs, **given: Any) -> list[float]:
        return [
            rank_loss(name, x.scores(row), x.agreements(row), len(x.labels[0]), **given) for row in range(len(x.query))
        ]

    return loss


def binned_ap(values: Sequence[float], hits: Sequence[bool], centres: Sequence[float], *, clip: bool) -> float:
    """AP from soft histograms over bins with these centres, best first; clip: what lies beyond is in an end bin."""
    width = abs(centres[1] - centres[0])

    def weight(value: float, centre: float) -> float:
        clipped = min(max(value, min(centres)), max(centres)) if clip else value
        return max(0.0, 1 - abs(clipped - centre) / width)

    total, hits_so_far, items_so_far = 0.0, 0.0, 0.0
    for centre in centres:
        here = sum(weight(v, centre) for v, hit in zip(values, hits, strict=True) if hit)
        hits_so_far, items_so_far = hits_so_far + here, items_so_far + sum(weight(v, centre) for v in values)
        total += here * hits_so_far / items_so_far if items_so_far else 0.0
    return total / sum(hits) if any(hits) else NAN


def fast_ap(x: Inputs, *, num_bins: int) -> list[float]:
    values = []
    for row in range(len(x.query)):
        ranked = [i for i in range(len(x.gallery)) if not x.own or i != row]
        cosines, hits = x.cosines(row), x.hits(row)
        centres = [4 * number / num_bins for number in range(num_bins + 1)]
        ap = binned_ap([2 - 2 * cosines[i] for i in ranked], [hits[i] for i in ranked], centres, clip=False)
        values.append(1 - ap)
    return values


def soft_bin_ap(x: Inputs, *, nq: int, min: float, max: float) -> list[float]:
    centres = [max - (max - min) * number / (nq - 1) for number in range(nq)]
    return [1 - binned_ap(x.scores(row), x.hits(row), centres, clip=True) for row in range(len(x.query))]


def blackbox_ap(x: Inputs) -> list[float]:
    """1 - AP with |P| + 1e-5 for |P|, as published."""
    values = []
    for row in range(len(x.query)):
        hits = x.hits(row)
        order = oracles.ranking(x.scores(row))
        values.append(1 - oracles.ap([hits[i] for i in order]) * sum(hits) / (sum(hits) + 1e-5))
    return values


def _mean_violation(violations: Sequence[Sequence[float]]) -> list[float]:
    """Each query's part of the mean over all violations above 0, times the number of queries."""
    count = max(1, sum(v > 0 for row in violations for v in row))
    return [len(violations) * math.fsum(v for v in row if v > 0) / count for row in violations]


def calibration(x: Inputs, *, pos_margin: float, neg_margin: float) -> list[float]:
    pull, push = [], []
    for row in range(len(x.query)):
        pairs = list(zip(x.cosines(row), x.hits(row), strict=True))
        pull.append([pos_margin - s for s, hit in pairs if hit])
        push.append([s - neg_margin for s, hit in pairs if not hit])
    return [a + b for a, b in zip(_mean_violation(pull), _mean_violation(push), strict=True)]


def contrastive(x: Inputs, *, pos_margin: float, neg_margin: float) -> list[float]:
    pull, push = [], []
    for row in range(len(x.query)):
        distances = [math.dist(unit(x.query[row]), unit(item)) for item in x.gallery]
        others = [
            (d, hit) for i, (d, hit) in enumerate(zip(distances, x.hits(row), strict=True)) if not x.own or i != row
        ]
        pull.append([d - pos_margin for d, hit in others if hit])
        push.append([neg_margin - d for d, hit in others if not hit])
    return [a + b for a, b in zip(_mean_violation(pull), _mean_violation(push), strict=True)]


def triplet(x: Inputs, *, margin: float, semihard: bool, itself: bool) -> list[float]:
    violations, defined = [], []
    for row in range(len(x.query)):
        cosines, hits = x.cosines(row), x.hits(row)
        positive = [s for i, s in enumerate(cosines) if hits[i] and (itself or not x.own or i != row)]
        negative = [s for i, s in enumerate(cosines) if not hits[i]]
        defined.append(bool(positive and negative))
        if semihard:
            positive = [max(positive)] if positive else []
            below = [s for s in negative if positive and s < positive[0]]
            negative = [max(below)] if below else []
        violations.append([n - p + margin for p in positive for n in negative])
    scale = sum(defined) / len(defined)
    parts = [value * scale for value in _mean_violation(violations)]
    return [value if known else NAN for value, known in zip(parts, defined, strict=True)]


def xbm_pair(x: Inputs, *, margin: float) -> list[float]:
    values = []
    for row in range(len(x.query)):
        pairs = list(zip(x.scores(row), x.hits(row), strict=True))
        pull = [1 - s for s, hit in pairs if hit and s < 1 - 1e-5]
        push = [s for s, hit in pairs if not hit and s > margin]
        values.append(math.fsum([*pull, *push]))
    return values


def _cross_entropy(logits: Sequence[float], target: int) -> float:
    top = max(logits)
    return top + math.log(math.fsum(math.exp(v - top) for v in logits)) - logits[target]


def cluster(x: Inputs, *, temperature: float) -> list[float]:
    return [
        _cross_entropy([dot(query, unit(proxy)) / temperature for proxy in x.proxies], labels[0])
        for query, labels in zip(x.query, x.labels, strict=True)
    ]


def arcface(x: Inputs, *, s: float, m: float) -> list[float]:
    values = []
    for query, labels in zip(x.query, x.labels, strict=True):
        logits = [dot(unit(query), unit(proxy)) for proxy in x.proxies]
        theta = math.acos(logits[labels[0]])
        near = theta < math.pi - m
        logits[labels[0]] = math.cos(theta + m) if near else math.cos(theta) - m * math.sin(m)
        values.append(_cross_entropy([s * value for value in logits], labels[0]))
    return values


def proxy_nca(x: Inputs, *, scale: float) -> list[float]:
    values = []
    for query, labels in zip(x.query, x.labels, strict=True):
        logits = [-((scale * math.dist(unit(query), unit(proxy))) ** 2) for proxy in x.proxies]
        values.append(_cross_entropy(logits, labels[0]))
    return values


def csl(x: Inputs, *, scale: float, margins: Sequence[float]) -> list[float]:
    values = []
    for query, labels in zip(x.query, x.labels, strict=True):
        s = [scale * dot(query, unit(proxy)) for proxy in x.proxies]
        own = -s[x.proxy_labels.index(labels)]
        total = 0.0
        for level, margin in enumerate(margins):
            levels = len(labels) - level
            other = [v for v, of in zip(s, x.proxy_labels, strict=True) if oracles.agreement(labels, of) < levels]
            if other:
                total += math.log1p(math.exp(math.log(sum(map(math.exp, other))) + own + margin * scale))
        values.append(total)
    return values


RANKED = tuple(f"{family}_{kind}" for kind in ("ap", "hap", "ndcg", "recall") for family in ("smooth", "sup"))
LOSS_ORACLES: dict[str, Callable[..., list[float]]] = {
    **{name: _rank_loss(name) for name in RANKED},
    "soft_bin_ap": soft_bin_ap,
    "fast_ap": fast_ap,
    "blackbox_ap": blackbox_ap,
    "calibration": calibration,
    "cluster": cluster,
    "csl": csl,
    "arcface": arcface,
    "proxy_nca": proxy_nca,
    "contrastive": contrastive,
    "triplet": triplet,
    "xbm_pair": xbm_pair,
}
