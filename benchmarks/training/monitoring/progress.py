"""The progress bar of a training: steps with the time that is left, and the newest value of each loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Never

from tqdm import tqdm


class StepBar:
    """A bar that moves with every step."""

    def __init__(self, bar: tqdm[Never]) -> None:
        self._bar = bar

    def show(self, epoch: int, epochs: int, values: Mapping[str, float]) -> None:
        """One more step, of an epoch counted from 0, with its losses by name."""
        losses = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
        self._bar.set_postfix_str(f"epoch {epoch + 1} of {epochs}, {losses}", refresh=False)
        self._bar.update()


@contextmanager
def step_bar(steps: int, *, shown: bool) -> Iterator[StepBar]:
    """A bar of so many steps on a terminal; not where its process shows none."""
    with tqdm(total=steps, desc="train", unit="step", disable=None if shown else True) as bar:
        yield StepBar(bar)
