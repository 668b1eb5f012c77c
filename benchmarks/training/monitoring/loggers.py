"""The curves in DVCLive (for `dvc exp show` and the plots of VS Code) and TensorBoard, where these are installed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hgld.foundation.errors import HgldError


class Logger(Protocol):
    """A place that takes the numbers of each epoch."""

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Add the numbers of an epoch, counted from 1."""

    def close(self) -> None:
        """End the log."""


class DVCLiveLogger:
    """DVCLive in FOLDER/dvclive; it makes no experiment and no commit of its own."""

    def __init__(self, folder: Path, first: int) -> None:
        dvclive = _installed("dvclive")
        self._live: Any = dvclive.Live(
            str(folder / "dvclive"),
            resume=first > 1,
            save_dvc_exp=False,
            dvcyaml=str(folder / "dvclive" / "dvc.yaml"),
            monitor_system=False,
        )

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Add the numbers of an epoch."""
        self._live.step = epoch
        for name, value in values.items():
            self._live.log_metric(name, value)
        self._live.make_summary()

    def close(self) -> None:
        """End the log."""
        self._live.end()


class TensorBoardLogger:
    """TensorBoard in FOLDER/tensorboard."""

    def __init__(self, folder: Path, first: int) -> None:
        _installed("tensorboard")
        writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        # what a killed training logged after its last saved epoch is dropped
        self._writer: Any = writer(str(folder / "tensorboard"), purge_step=first if first > 1 else None)

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Add the numbers of an epoch."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def close(self) -> None:
        """End the log."""
        self._writer.close()


LOGGERS: dict[str, type[DVCLiveLogger] | type[TensorBoardLogger]] = {
    "dvclive": DVCLiveLogger,
    "tensorboard": TensorBoardLogger,
}


def open_loggers(names: Sequence[str], folder: Path, first: int) -> list[Logger]:
    """The loggers by name; first: the epoch they begin with. Raises HgldError for one that is not installed."""
    return [LOGGERS[name](folder, first) for name in dict.fromkeys(names)]


def check_loggers(names: Sequence[str]) -> None:
    """Raise HgldError for a logger that is not installed."""
    for name in names:
        _installed(name)


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise HgldError(
            f"train.loggers: {name} is not installed; run: pip install 'hgld[loggers]', or leave it out"
        ) from None
