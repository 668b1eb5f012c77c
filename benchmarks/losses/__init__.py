"""The losses by name, `LOSSES["sup_hap"](alpha=1.0)`; but not the ranks (`ranking`) nor the XBM (`training`)."""

from hgld.benchmarks.losses.registry import LOSSES, PROXY_LOSSES, Loss, make_loss

__all__ = ["LOSSES", "PROXY_LOSSES", "Loss", "make_loss"]
