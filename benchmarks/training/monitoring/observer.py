"""After every epoch: the scores on held-out images, best.pt, other tools that draw curves, and whether to stop.

All that is remembered from epoch to epoch stands in the curves, so that a training that resumes goes on alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hgld.benchmarks.models.network import Network, save_checkpoint
from hgld.benchmarks.training.monitoring.loggers import Logger, open_loggers
from hgld.benchmarks.training.monitoring.validation import Validation
from hgld.benchmarks.training.optimisation.schedules import Schedule
from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Train

Curves = Sequence[Mapping[str, float]]


class Best(NamedTuple):
    """The best epoch so far, from 1, and its score."""

    epoch: int
    score: float


@dataclass
class Observer:
    """What is done besides training; by default nothing.

    folder: of best.pt and the logs; config: of best.pt. detailed: the curves also hold all learning rates and images/s.
    """

    settings: Train
    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    validation: Validation | None = None
    detailed: bool = False
    _loggers: list[Logger] | None = None

    @property
    def best_path(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.folder / "best.pt"

    def is_due(self, epoch: int) -> bool:
        """Whether the network is scored after this epoch, from 1: the first, the last, and every few."""
        every = self.settings.validate_every
        return self.validation is not None and (epoch in (1, self.settings.epochs) or epoch % every == 0)

    def best(self, curves: Curves) -> Best | None:
        """The first epoch with the highest score."""
        scored = [row for row in curves if self.settings.best_metric in row]
        if self.validation is None or not scored:
            return None
        row = max(scored, key=lambda row: row[self.settings.best_metric])
        return Best(int(row["epoch"]), row[self.settings.best_metric])

    def finished(self, curves: Curves) -> bool:
        """Whether `patience` epochs have brought nothing better."""
        best = self.best(curves)
        return bool(self.settings.patience and best and len(curves) - best.epoch >= self.settings.patience)

    def is_resumable(self, state: Path) -> bool:
        """Whether a state can be used: not without the best.pt that was written beside it."""
        if not state.exists() or not self.validation or self.best_path.exists():
            return True
        echo(f"{self.best_path}, which belongs to {state}, is missing; starting from the first epoch")
        return False

    def scores(
        self,
        network: Network,
        epoch: int,
        device: str,
        share: tuple[int, int],
        exchanged: Callable[[Any], list[Any]],
    ) -> dict[str, float] | None:
        """The scores after an epoch, from 1; None where no validation is due (see Validation.scores)."""
        if self.validation is None or not self.is_due(epoch):
            return None
        scores = self.validation.scores(network, device, self.settings.threads, share, exchanged)
        if self.settings.best_metric not in scores:
            raise HgldError(
                f"train.best_metric {self.settings.best_metric!r} is undefined on the validation images (no query has "
                "a positive); validate on classes of two or more images (train.validation_split, "
                "train.validation_classes), or choose another metric"
            )
        return scores

    def rates(self, schedules: Sequence[Schedule]) -> dict[str, float]:
        """The learning rates for the curves: that of the network, or all of them."""
        shown = schedules if self.detailed else schedules[:1]
        return {schedule.name: schedule.lr for schedule in shown}

    def speed(self, images: int, seconds: float) -> dict[str, float]:
        """The images per second of an epoch, for the curves."""
        return {"images_per_s": images / max(seconds, 1e-9)} if self.detailed else {}

    def carried(self, curves: Curves, scores: Mapping[str, float] | None) -> dict[str, float]:
        """The scores of the newest validation, to stand in the curves until the next one."""
        if self.validation is None:
            return {}
        if scores is None:
            return {name: curves[-1][name] for name in self.validation.metrics if name in curves[-1]}
        return {name: round(score, 6) for name, score in scores.items()}  # as in the file: equal ones stay equal

    def keep(self, curves: Curves, network: Network) -> None:
        """Write best.pt if the last epoch is the best one, and the numbers of the epoch to the loggers."""
        best, row = self.best(curves), curves[-1]
        if best and best.epoch == len(curves):
            scores = {name: row[name] for name in (self.validation.metrics if self.validation else ()) if name in row}
            save_checkpoint(network, {**self.config, "validation": {"epoch": best.epoch, **scores}}, self.best_path)
        if self._loggers is None:
            self._loggers = open_loggers(self.settings.loggers, self.folder, len(curves))
        for logger in self._loggers:
            logger.log(int(row["epoch"]), {name: value for name, value in row.items() if name != "epoch"})

    def close(self) -> None:
        """End the logs."""
        for logger in self._loggers or []:
            logger.close()
