"""The losses by name.

    loss = SupHAP(tau=0.01, offset=None, alpha=1.0)                 keyword-only; a typo raises HgldError
    loss = LOSSES["sup_hap"](tau=0.01, offset=None, alpha=1.0)      the same, by name
    value = loss(embeddings, labels)                                the batch against itself
    value = loss(embeddings, labels, ref_embeddings, ref_labels)    the batch against a gallery

embeddings (B, d) L2-normalised, labels (B, L) integers with column 0 the finest, gallery (N, d), (N, L) -> scalar.
Rows that are not of length 1 are normalised (hgld.benchmarks.ranking.similarity says how), so that the value is always
that of cosines; a zero row raises HgldError (NaN on a GPU). Labels with the coarsest level first raise HgldError.

Single-level losses take level=0; losses with proxies take num_classes (csl: the label table of the classes) and dim;
every loss takes reduction="mean" | "none" ("none": per query, NaN where undefined; the mean leaves those out). A query
without positives is undefined for every loss that ranks or compares with a positive; the losses whose unit is the pair
(calibration, contrastive, xbm_pair) count its negatives, and those with proxies need no positive. The mean is never NaN
because of such a query. Formula, source and settings are in the docstring of each class.

A loss is a torch.nn.Module: `.to`, `state_dict` (empty without proxies; with them `weight`, and `table` of CSL),
ModuleDict, pickle and, with proxies, DistributedDataParallel as for any other. The settings are attributes
(`loss.tau`), shown by `repr`, and fixed: assigning one raises HgldError. A compiled model that calls a loss leaves its
graph for the call. Under torch.func.grad or vmap the losses that look at values, nearly all, raise HgldError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hgld.benchmarks.losses.base import Loss
from hgld.benchmarks.losses.binned_losses import FastAP, SoftBinAP
from hgld.benchmarks.losses.blackbox import BlackBoxAP
from hgld.benchmarks.losses.csl import CSL
from hgld.benchmarks.losses.pair_losses import Calibration, Contrastive, Triplet, XBMPair
from hgld.benchmarks.losses.proxy_losses import ArcFace, Cluster, ProxyNCA
from hgld.benchmarks.losses.rank_losses import RANK_LOSSES
from hgld.foundation.errors import HgldError, suggest


class UnknownLossError(HgldError, KeyError):
    """The error of a dictionary, with a message for people."""

    __str__ = HgldError.__str__


class Losses(dict[str, Callable[..., Loss]]):
    """Losses by name; an unknown name is an error with a suggestion."""

    def __getitem__(self, name: str) -> Callable[..., Loss]:
        return super().__getitem__(name) if isinstance(name, str) else self.__missing__(name)

    def __missing__(self, name: object) -> Callable[..., Loss]:
        hint = suggest(str(name), self) or f"; known: {', '.join(self)}"
        raise UnknownLossError(f"unknown loss {name!r}{hint}")


PROXY_LOSSES = Losses(cluster=Cluster, csl=CSL, arcface=ArcFace, proxy_nca=ProxyNCA)
LOSSES = Losses(
    **RANK_LOSSES,
    soft_bin_ap=SoftBinAP,
    fast_ap=FastAP,
    blackbox_ap=BlackBoxAP,
    calibration=Calibration,
    **PROXY_LOSSES,
    contrastive=Contrastive,
    triplet=Triplet,
    xbm_pair=XBMPair,
)


def make_loss(name: str, **settings: Any) -> Loss:
    """The loss of that name; an unknown name is an error with a suggestion.

    >>> make_loss("sup_hpa")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
        ...
    hgld.benchmarks.losses.registry.UnknownLossError: unknown loss 'sup_hpa'; did you mean 'sup_hap'?
    """
    return LOSSES[name](**settings)
