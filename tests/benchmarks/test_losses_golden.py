"""Values and gradients of the published code, to 1e-9 in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hgld.benchmarks.levels import agreement, level_counts, pop_relevance
from hgld.benchmarks.losses import LOSSES, Loss
from hgld.benchmarks.proxy_losses import Cluster
from hgld.benchmarks.ranks import Exact, Smooth, SupRank, Surrogate, positive_ranks
from tests.benchmarks import golden

pytestmark = golden.needs_golden

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
}
SETTINGS = (
    "tau",
    "rho",
    "delta",
    "start",
    "offset",
    "beta",
    "leak",
    "gamma",
    "at_k",
    "temp",
    "pos_margin",
    "neg_margin",
)


def entries() -> list[str]:
    """The implemented losses of both cases."""
    if not (golden.FOLDER / "golden.json").exists():
        return []
    return [n for n in golden.entries() if "/loss/" in n and n.split("/")[2].split("_")[0] in NAMES]


def settings(name: str) -> dict[str, Any]:
    """Our settings for an entry, from its arguments and its name."""
    args = golden.entries()[name]["args"]
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in args.items() if key in SETTINGS}
    kind = name.split("/")[2]
    if kind.split("_")[0] in ("SmoothAP", "SupAP"):
        given["level"] = golden.level_of(kind)
    if "_a2" in kind:
        given["alpha"] = 2.0
    if kind.endswith("_map"):
        numbers = str(args["relevance"]).split("[")[1].split("]")[0]
        given |= {"relevance": "map", "weights": tuple(float(n) for n in numbers.split(","))}
    return given


def tolerance(name: str) -> float:
    """1e-9, except where the original rounds a part to float32."""
    return 1e-6 if "refrel32" in name or "NDCG" in name else 1e-9


def run(loss: Loss, case: str) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Value and gradients with respect to queries and, where there is one, gallery."""
    tensors = golden.inputs(case)
    leaves = [t.requires_grad_() for t in tensors[::2]]
    value = loss(*tensors)
    return value.detach(), list(torch.autograd.grad(value, leaves))


@pytest.mark.parametrize("name", entries())
def test_loss(name: str) -> None:
    case, _, kind = name.split("/", 2)
    make = LOSSES[NAMES[kind.split("_")[0]]]
    published = golden.values()
    value, gradients = run(make(**settings(name)), case)
    close = {"atol": tolerance(name), "rtol": 0.0}
    torch.testing.assert_close(value, golden.tensor(f"{name}/value").reshape(()), **close)
    for gradient, side in zip(gradients, "qg", strict=False):
        torch.testing.assert_close(gradient, golden.tensor(f"{name}/grad_{side}"), **close)
    if f"{name}/per_query" in published:
        per_query = make(**settings(name), reduction="none")(*golden.inputs(case))
        torch.testing.assert_close(per_query, golden.tensor(f"{name}/per_query"), **close)


@pytest.mark.parametrize("case", ["sq", "rect"])
@pytest.mark.parametrize("centers", [1, 3])
def test_cluster(case: str, centers: int) -> None:
    name = f"{case}/loss/ClusterLoss" + ("_3centers" if centers == 3 else "")
    weight = golden.tensor(f"in/{case}/proxy_W" + ("3" if centers == 3 else ""))
    loss = Cluster(num_classes=len(weight) // centers, dim=weight.shape[1], num_centers=centers).double()
    loss.weight.data = weight
    embeddings, labels = golden.inputs(case)[:2]
    value = loss(embeddings.requires_grad_(), labels)
    gradients = torch.autograd.grad(value, [embeddings, loss.weight])
    close = {"atol": 1e-9, "rtol": 0.0}
    torch.testing.assert_close(value, golden.tensor(f"{name}/value").reshape(()), **close)
    torch.testing.assert_close(gradients[0], golden.tensor(f"{name}/grad_q"), **close)
    torch.testing.assert_close(gradients[1], golden.tensor(f"{name}/grad_weight"), **close)


@pytest.mark.parametrize(
    ("kind", "surrogate"),
    [
        ("Rank", Exact()),
        ("SmoothRank", Smooth()),
        ("SupRank", SupRank(offset=1.44)),
        ("SupHRank_hrank", SupRank(offset=1.44, beta=25.0, leak=10.0, gamma=0.5)),
    ],
)
def test_ranks(kind: str, surrogate: Surrogate) -> None:
    """rank, and Hrank up to the factor by which the original scales its relevances (the loss divides it out)."""
    embeddings, labels = golden.inputs("sq")[:2]
    depth = agreement(labels, labels)
    table = pop_relevance(level_counts(depth, 3))
    relevance = table.gather(1, depth.long())
    ranks = positive_ranks(embeddings @ embeddings.T, depth, surrogate, table)
    where = ranks.query, ranks.item
    norm = golden.tensor(f"sq/ranks/{kind}/norm")[ranks.query] / relevance.sum(1)[ranks.query]
    torch.testing.assert_close(ranks.rank, golden.tensor(f"sq/ranks/{kind}/rank")[where], atol=1e-9, rtol=0)
    torch.testing.assert_close(
        ranks.hrank * norm, golden.tensor(f"sq/ranks/{kind}/rank_plus")[where], atol=1e-9, rtol=0
    )


@pytest.mark.parametrize("first", [0.9, 0.5])
def test_happier_recipe(first: float) -> None:
    name = "sq/recipe/HAPPIER_0.9_0.1" if first == 0.9 else "sq/recipe/HAPPIER_F_0.5_0.5"
    weight = golden.tensor("in/sq/proxy_W")
    cluster = Cluster(num_classes=len(weight), dim=weight.shape[1]).double()
    cluster.weight.data = weight
    embeddings, labels = golden.inputs("sq")[:2]
    value = first * LOSSES["sup_hap"](offset=1.44)(embeddings, labels) + (1 - first) * cluster(
        embeddings, labels
    )
    torch.testing.assert_close(value, golden.tensor(f"{name}/value").reshape(()), atol=1e-6, rtol=0)
