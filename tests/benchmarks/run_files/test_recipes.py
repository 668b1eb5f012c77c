"""Every number of the recipes in runs/ is the published one, or ours with a comment that says so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.losses.csl import csl_margins
from hgld.benchmarks.models.network import Architecture, build_network
from hgld.benchmarks.run_files.run_file import read_run_file, recipes
from hgld.foundation.settings import LossTerm, Train
from hgld.foundation.train_settings import PartOptimiser

# NeurIPS 2021 (2110.01445), ECCV 2022 (2207.04873), TPAMI 2025 (2309.08250)
SOP: dict[str, Any] = {"tau": 0.01, "rho": 100, "delta": 0.05, "start": 0.5, "offset": 1.44}
CLUSTER_RATE = PartOptimiser(optimiser="adam", lr=10, schedule="cosine")
COMMON: dict[str, Any] = {
    "backbone": "resnet50",
    "pretrained": True,
    "dim": 512,
    "pooling": "gem",
    "image_size": 224,
    "batch_size": 256,
    "per_class": 4,
    "warmup_epochs": 5,
    "epochs": 55,
    "optimiser": "adam",
    "lr": 1e-4,
    "schedule": "cosine",
}
# The losses with their weights, and what differs from COMMON.
RECIPES: dict[str, tuple[list[LossTerm], dict[str, Any]]] = {
    name: ([LossTerm(name=loss, weight=weight, settings=settings) for loss, weight, settings in terms], other)
    for name, (terms, other) in {
        "roadmap": (
            [("sup_ap", 1.0, SOP), ("calibration", 1.0, {})],
            {"batch_size": 128, "schedule": "multistep", "milestones": [20, 40], "gamma": 0.3},
        ),
        "roadmap_plus": ([("sup_ap", 0.9, SOP), ("cluster", 0.1, {})], {"proxies": CLUSTER_RATE}),
        "happier": ([("sup_hap", 0.9, SOP), ("cluster", 0.1, {})], {"proxies": CLUSTER_RATE}),
        "happier_f": ([("sup_hap", 0.5, SOP), ("cluster", 0.5, {})], {"proxies": CLUSTER_RATE}),
        "road_ndcg": ([("sup_ndcg", 0.9, SOP), ("cluster", 0.1, {})], {"proxies": CLUSTER_RATE}),
        "road_recall": ([("sup_recall", 0.9, SOP), ("cluster", 0.1, {})], {"proxies": CLUSTER_RATE}),
        "smooth_ap": ([("smooth_ap", 1.0, {"tau": 0.01})], {}),
        "cluster": ([("cluster", 1.0, {})], {"proxies": CLUSTER_RATE}),
        "xbm": ([("contrastive", 1.0, {}), ("xbm_pair", 1.0, {})], {"memory": 8192, "memory_from": 2}),
        **{
            name: ([(name, 1.0, {})], {})
            for name in ("fast_ap", "soft_bin_ap", "blackbox_ap", "triplet", "csl", "arcface", "proxy_nca")
        },
    }.items()
}
# What the recipes leave at its default.
PUBLISHED_DEFAULTS: dict[str, dict[str, Any]] = {
    "smooth_ap": {"tau": 0.01},
    "sup_ap": {"tau": 0.01, "rho": 100, "delta": 0.05, "start": 0.5, "offset": None},
    "sup_hap": {"alpha": 1.0, "relevance": "pop", "beta": None, "leak": None, "gamma": None},
    "sup_recall": {"at_k": (1, 2, 4, 8, 16), "temp": 1.0},
    "calibration": {"pos_margin": 0.9, "neg_margin": 0.6},
    "cluster": {"temperature": 0.05, "temperature_centers": 0.1},
    "csl": {"scale": 32.0, "margins": (0.25, 0.45)},
}
# Numbers that are not the published ones, or that have another published value: both stand in the file.
BOTH_VALUES = {
    "roadmap": ["1 : 1; in arXiv 2309.08250 0.9 : 0.1", "Milestones and gamma are ours", "128  # iNaturalist: 384"],
    "road_ndcg": ["or 0.5 : 0.5"],
    "road_recall": ["its weights: as ROAD-NDCG"],
    "smooth_ap": ["256  # 128 in 2110.01445, with multistep"],
    "xbm": ["weights of the terms, memory and its start are ours"],
}


def test_table_has_every_recipe() -> None:
    assert RECIPES.keys() == recipes().keys()


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_numbers_of_a_recipe(name: str) -> None:
    loss, other = RECIPES[name]
    settings, stated = read_run_file(name).settings(None, ["threads=1"], None)
    expected = Train(**{**COMMON, **other, "loss": loss, "threads": 1})
    assert settings == expected
    assert {"loss", *COMMON, *other} == stated - {"threads"}, "what a paper says does not depend on params.yaml"


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_where_two_values_are_published_or_one_is_ours_the_recipe_names_both(name: str) -> None:
    text = recipes()[name].read_text(encoding="utf-8")
    expected = ["which have ResNet-101 and dim 2048", *BOTH_VALUES.get(name, [])]
    if RECIPES[name][1].get("proxies"):
        expected.append("lr: 10, schedule: cosine}  # SOP and iNaturalist in 2207.04873; params.yaml: 1e-2")
    if any(term.settings == SOP for term in RECIPES[name][0]):
        expected.append("published for SOP; for iNaturalist with start 0 and offset 1")
    assert [line for line in expected if line not in text] == []


@pytest.mark.parametrize("name", sorted(PUBLISHED_DEFAULTS))
def test_defaults_of_the_losses_are_the_published_ones(name: str) -> None:
    table = torch.tensor([[0, 0], [1, 0], [2, 1]])
    proxies: dict[str, dict[str, Any]] = {
        "cluster": {"num_classes": 3, "dim": 4},
        "csl": {"num_classes": table, "dim": 4},
    }
    loss = LOSSES[name](**proxies.get(name, {}))
    assert {key: getattr(loss, key) for key in PUBLISHED_DEFAULTS[name]} == PUBLISHED_DEFAULTS[name]


def test_margins_of_csl_are_the_published_ones() -> None:
    assert csl_margins(2) == (0.25, 0.45)
    assert csl_margins(3) == (0.25, 0.35, 0.45)
    assert csl_margins(7) == pytest.approx([0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75])


def test_embedding_is_layer_norm_without_affine_then_linear() -> None:
    network = build_network(Architecture(backbone="test_resnet", dim=16, pooling="gem", image_size=32), seed=0)
    assert isinstance(network.norm, nn.LayerNorm) and not network.norm.elementwise_affine
    assert isinstance(network.head, nn.Linear) and network.head.out_features == 16
