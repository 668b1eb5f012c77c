"""Values and gradients of the published code: every loss, rank and recipe entry, to 1e-9 in float64.

To 1e-6 only where the original itself rounds to float32: relevances named `refrel32`, the IDCG of NDCG, and the ranks
of BlackBoxAP.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor

from hgld.benchmarks.losses import LOSSES, PROXY_LOSSES, Loss
from hgld.benchmarks.ranking.levels import agreement, level_counts, pop_relevance
from hgld.benchmarks.ranking.surrogates import SUPRANK_SETTINGS, Smooth, SupHRankSettings, SupRank, Surrogate
from tests.benchmarks import published_values
from tests.benchmarks.exact_ranks import Exact, positive_ranks

pytestmark = published_values.needs_golden

NAMES = {
    "SmoothAP": "smooth_ap",
    "SupAP": "sup_ap",
    "SmoothHAP": "smooth_hap",
    "SupHAP": "sup_hap",
    "SmoothNDCG": "smooth_ndcg",
    "SupNDCG": "sup_ndcg",
    "SmoothRecall": "smooth_recall",
    "SupRecall": "sup_recall",
    "CalibrationLoss": "calibration",
    "FastAP": "fast_ap",
    "SoftBinAP": "soft_bin_ap",
    "BlackBoxAP": "blackbox_ap",
    "Triplet": "triplet",
    "TripletSH": "triplet",
    "XBMLoss": "xbm_pair",
    "ClusterLoss": "cluster",
    "CSL": "csl",
    "ArcFace": "arcface",
    "ProxyNCApp": "proxy_nca",
}
SETTINGS = (
    *("tau", "rho", "delta", "start", "offset", "beta", "leak", "gamma", "at_k", "temp", "pos_margin"),
    *("neg_margin", "margin", "margins", "scale", "num_bins", "nq", "min", "max", "lambda_val", "semihard"),
    *("s", "m", "temperature", "temperature_centers", "num_centers"),
)
SOP = asdict(SUPRANK_SETTINGS["sop"])
RANKS: dict[str, Surrogate] = {
    "Rank": Exact(),
    "SmoothRank": Smooth(),
    "SupRank": SupRank(**SOP),
    "SupHRank_hrank": SupRank(**SOP, h_plus=SupHRankSettings()),
}
# entry: weight of every loss in the sum
RECIPES = {
    "sq/recipe/HAPPIER_0.9_0.1": {"sup_hap": 0.9, "cluster": 0.1},
    "sq/recipe/HAPPIER_F_0.5_0.5": {"sup_hap": 0.5, "cluster": 0.5},
    "sq/recipe/ROADMAP_loss/0.9_0.1": {"sup_ap": 0.9, "calibration": 0.1},
    "sq/recipe/ROADMAP_1_1": {"sup_ap": 1.0, "calibration": 1.0},
}


def entries(kind: str) -> list[str]:
    """The published entries of a kind: loss, ranks, recipe."""
    if not (published_values.FOLDER / "golden.json").exists():
        return []
    return [name for name in published_values.entries() if name.split("/")[1] == kind]


def settings(name: str) -> dict[str, Any]:
    """Our settings for an entry, from its arguments and its name."""
    args = published_values.entries()[name]["args"]
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in args.items() if key in SETTINGS}
    kind = name.split("/")[2]
    if kind.split("_")[0] in ("SmoothAP", "SupAP"):
        given["level"] = published_values.level_of(kind)
    if "_a2" in kind:
        given["alpha"] = 2.0
    if kind.endswith("_map"):
        numbers = str(args["relevance"]).split("[")[1].split("]")[0]
        given |= {"relevance": "map", "weights": tuple(float(n) for n in numbers.split(","))}
    if "noise" in args:
        given["noise"] = published_values.tensor(args["noise"])
    return given


def weight_of(name: str) -> Tensor:
    """The published proxies of an entry."""
    case, _, kind = name.split("/", 2)
    return published_values.tensor(f"in/{case}/proxy_W" + ("3" if "3centers" in kind else ""))


def build(name: str, **more: Any) -> Loss:
    """Our loss of an entry, with the published proxies where it has some."""
    kind = NAMES[name.split("/")[2].split("_")[0]]
    given = {**settings(name), **more}
    if kind not in PROXY_LOSSES:
        return LOSSES[kind](**given)
    weight = weight_of(name)
    table = torch.cat(published_values.inputs(name.split("/")[0])[1::2]).unique(dim=0)
    classes = table if kind == "csl" else len(weight) // given.get("num_centers", 1)
    return with_weight(LOSSES[kind](num_classes=classes, dim=weight.shape[1], **given), weight)


def with_weight(loss: Loss, weight: Tensor) -> Loss:
    """Put the published proxies in."""
    (proxies,) = loss.double().parameters()
    with torch.no_grad():
        proxies.copy_(weight)
    return loss


def tolerance(name: str) -> float:
    """1e-9, except where the original rounds a part to float32."""
    return 1e-6 if any(part in name for part in ("refrel32", "NDCG", "BlackBox")) else 1e-9


@pytest.mark.parametrize("name", entries("loss"))
def test_values_and_gradients_are_the_published_ones(name: str) -> None:
    case = name.split("/")[0]
    tensors = published_values.inputs(case)
    loss = build(name)
    leaves = [t.requires_grad_() for t in tensors[::2]]
    sides = ["q", "g"][: len(leaves)]
    if proxies := list(loss.parameters()):
        leaves, sides = [leaves[0], *proxies], ["q", "weight"]
    value = loss(*tensors)
    gradients = torch.autograd.grad(value, leaves)
    close = {"atol": tolerance(name), "rtol": 0.0}
    torch.testing.assert_close(value, published_values.tensor(f"{name}/value").reshape(()), **close)
    fields = published_values.entries()[name]["fields"]
    checked = {"value"}
    for gradient, side in zip(gradients, sides, strict=True):
        if f"grad_{side}" in fields:
            torch.testing.assert_close(gradient, published_values.tensor(f"{name}/grad_{side}"), **close)
            checked.add(f"grad_{side}")
    if "per_query" in fields:
        per_query = build(name, reduction="none")(*tensors)
        torch.testing.assert_close(per_query, published_values.tensor(f"{name}/per_query"), **close)
        checked.add("per_query")
    assert checked == set(fields)


@pytest.mark.parametrize("name", entries("ranks"))
def test_ranks_are_the_published_ones(name: str) -> None:
    """rank, and Hrank up to the factor by which the original scales its relevances (which cancels in the loss)."""
    embeddings, labels = published_values.inputs("sq")[:2]
    depth = agreement(labels, labels)
    table = pop_relevance(level_counts(depth, 3))
    relevance = table.gather(1, depth.long())
    ranks = positive_ranks(embeddings @ embeddings.T, depth, RANKS[name.split("/")[2]], table)
    where = ranks.query, ranks.item
    norm = published_values.tensor(f"{name}/norm")[ranks.query] / relevance.sum(1)[ranks.query]
    torch.testing.assert_close(ranks.rank, published_values.tensor(f"{name}/rank")[where], atol=1e-9, rtol=0)
    plus = published_values.tensor(f"{name}/rank_plus")[where]
    torch.testing.assert_close(ranks.hrank * norm, plus, atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", entries("recipe"))
def test_recipes_are_the_published_sums(name: str) -> None:
    """Those with SupHAP to 1e-6, because the original's relevances are float32 there."""
    weight = published_values.tensor("in/sq/proxy_W")
    embeddings, labels = published_values.inputs("sq")[:2]
    embeddings.requires_grad_()
    value = torch.zeros((), dtype=torch.float64)
    for kind, factor in RECIPES[name].items():
        if kind == "cluster":
            loss = with_weight(LOSSES[kind](num_classes=len(weight), dim=weight.shape[1]), weight)
        else:
            loss = LOSSES[kind](**(SOP if kind.startswith("sup") else {}))
        value = value + factor * loss(embeddings, labels)
    close = {"atol": 1e-6 if "sup_hap" in RECIPES[name] else 1e-9, "rtol": 0.0}
    torch.testing.assert_close(value, published_values.tensor(f"{name}/value").reshape(()), **close)
    gradient = torch.autograd.grad(value, embeddings)[0]
    torch.testing.assert_close(gradient, published_values.tensor(f"{name}/grad_q"), **close)


def test_no_published_entry_is_left_out() -> None:
    kinds = {name.split("/")[1] for name in published_values.entries()}
    assert kinds == {"loss", "ranks", "recipe", "metric"}  # metrics: test_per_query.py
    assert {name.split("/")[2].split("_")[0] for name in entries("loss")} == set(NAMES)
    assert set(entries("recipe")) == set(RECIPES)
