"""The exponential moving average of the weights (EMA), which usually scores better than the last ones."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from hgld.benchmarks.models.network import Network


class MovingAverage:
    """A copy of a network whose weights follow it: average = d · average + (1 - d) · weights after every step.

    d is `decay`, but at most (1 + n) / (10 + n) in step n, so that a short training does not end at its first weights.
    Batch statistics are averaged alike; counters are copied.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: Network, step: int) -> None:
        """Follow the network, after step number `step` from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for own, value in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if own.is_floating_point():
                own.lerp_(value, 1.0 - decay)
            else:
                own.copy_(value)

    def state_dict(self) -> Mapping[str, Tensor]:
        """The averages."""
        return self.network.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore them. Raises RuntimeError when they are those of another network."""
        self.network.load_state_dict(state)
