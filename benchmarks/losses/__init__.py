"""The losses as modules, `SupHAP(alpha=1.0)`, and by name, `LOSSES["sup_hap"]`; but neither the ranks nor the XBM."""

from hgld.benchmarks.losses.base import Loss
from hgld.benchmarks.losses.binned_losses import FastAP, SoftBinAP
from hgld.benchmarks.losses.blackbox import BlackBoxAP
from hgld.benchmarks.losses.csl import CSL
from hgld.benchmarks.losses.pair_losses import Calibration, Contrastive, Triplet, XBMPair
from hgld.benchmarks.losses.proxy_losses import ArcFace, Cluster, ProxyNCA
from hgld.benchmarks.losses.rank_losses import (
    SmoothAP,
    SmoothHAP,
    SmoothNDCG,
    SmoothRecall,
    SupAP,
    SupHAP,
    SupNDCG,
    SupRecall,
)
from hgld.benchmarks.losses.registry import LOSSES, PROXY_LOSSES, make_loss

__all__ = [
    "CSL",
    "LOSSES",
    "PROXY_LOSSES",
    "ArcFace",
    "BlackBoxAP",
    "Calibration",
    "Cluster",
    "Contrastive",
    "FastAP",
    "Loss",
    "ProxyNCA",
    "SmoothAP",
    "SmoothHAP",
    "SmoothNDCG",
    "SmoothRecall",
    "SoftBinAP",
    "SupAP",
    "SupHAP",
    "SupNDCG",
    "SupRecall",
    "Triplet",
    "XBMPair",
    "make_loss",
]
