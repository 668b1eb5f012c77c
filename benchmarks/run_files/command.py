"""`hgld train RUN --data DATA`: a training outside the pipeline; docs/train.md says what to type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hgld.benchmarks.datasets.labelled_images import RetrievalDataset
from hgld.benchmarks.datasets.registry import open_data
from hgld.benchmarks.run_files.run_file import RunFile, read_run_file
from hgld.benchmarks.training.checkpoint import data_digest
from hgld.benchmarks.training.distributed import rank
from hgld.benchmarks.training.setup import check_train_settings
from hgld.benchmarks.training.train import (
    RELEASE_HAS_NO_SPLIT,
    Place,
    readable_images,
    train_and_write,
    training_process,
)
from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError
from hgld.foundation.files import check_output
from hgld.foundation.settings import Params, Train
from hgld.foundation.train_settings import LossTerm

OUTPUTS = ("model.pt", "best.pt", "curves.csv", "metrics.json")


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is trained, on what, where to: the arguments of the command.

    run: a path or the name of a recipe. data: as for `open_data`; None: the release. out: by default trained/NAME.
    """

    run: str | None = None
    data: str | None = None
    out: Path | None = None
    seed: int | None = None
    overrides: Sequence[str] = ()
    levels: tuple[str, ...] | None = None
    split: str | None = None


def train_run(order: Order, params: Params | None) -> Path:
    """Train, and write model.pt, curves.csv and metrics.json (with a validation also best.pt); -> their folder.

    params: the settings that the run file differs from, None where there is no params.yaml. Raises HgldError for
    unknown settings, data without train images, and a folder that another training writes to.
    """
    run = read_run_file(order.run)
    settings, stated = run.settings(params, order.overrides, order.seed)
    out = order.out or default_folder(run, order)
    for path in (out, *(out / name for name in OUTPUTS)):
        check_output(path, run.path, Path(order.data) if order.data else None)
    if order.data is None and params is None:
        raise HgldError(
            "no params.yaml here, so no release: give the data, such as --data images.csv, or run hgld in the root of "
            "the repository"
        )
    if order.data is None and settings.validation_split:
        raise HgldError(RELEASE_HAS_NO_SPLIT)
    levels = order.levels or (tuple(settings.levels) if order.data is None or "levels" in stated else None)
    released = params and params.model_copy(update={"train": settings})
    validation = settings.validation_split or None
    with open_data(order.data, released, levels=levels, split=order.split, validation=validation) as dataset:
        dataset.require("train")
        settings = settings.model_copy(update={"levels": list(dataset.levels)})
        check_train_settings(settings)
        place = Place(
            folder=out, state=out / "state.pt", survey=out / "readable.json", detailed=True, validation=dataset.val
        )
        with training_process(place, settings) as device:
            if rank() == 0:
                echo(_headline(run, settings, dataset, params))
            images, found = readable_images(dataset.train, settings, place.survey)
            digest = data_digest(images.ids, images.labels, found.digest)
            config = {
                "run": run.name,
                "train": settings.model_dump(mode="json"),
                "levels": list(dataset.levels),
                "data": _about(dataset, order, digest, len(images)),
                "hgld": version("hgld"),
                "seed": settings.seed,
            }
            train_and_write(images, found, settings, place, device, config)
    return out


def default_folder(run: RunFile, order: Order) -> Path:
    """trained/RUN-DATA, by which equal commands find each other's state.

    >>> default_folder(RunFile("happier"), Order(data="/data/my photos.csv"))
    PosixPath('trained/happier-my-photos')
    """
    data = Path(order.data.rpartition(":")[2]) if order.data else None
    parts = [run.name or "default", data.name.split(".")[0] if data else "release"]
    return Path("trained") / "-".join(re.sub(r"[^\w]+", "-", part).strip("-") or "data" for part in parts)


def _headline(run: RunFile, settings: Train, dataset: RetrievalDataset, params: Params | None) -> str:
    base = "the defaults" if params is None else f"params.yaml, profile {params.profile}"
    losses = " + ".join(f"{term.weight:g} {term.name}{_settings(term)}" for term in settings.loss)
    weights = "pretrained" if settings.pretrained else "from scratch"
    return (
        f"{run.path or 'settings'} over {base}: {settings.backbone} ({weights}), {losses}, {settings.epochs} epochs "
        f"on {len(dataset.train):,} images of {dataset.name or 'the release'}"
    )


def _settings(term: LossTerm) -> str:
    """The settings of a loss that are stated.

    >>> _settings(LossTerm(name="sup_hap", weight=1, settings={"alpha": 5.0, "tau": 0.01})), _settings(LossTerm(
    ...     name="sup_hap", weight=1))
    (' (alpha 5.0, tau 0.01)', '')
    """
    stated = ", ".join(f"{name} {value}" for name, value in term.settings.items())
    return f" ({stated})" if stated else ""


def _about(dataset: RetrievalDataset, order: Order, digest: str, images: int) -> dict[str, Any]:
    """The data, as the checkpoint states them."""
    source = Path(order.data).name if order.data else "release"
    return {"name": dataset.name, "source": source, "split": order.split, "fingerprint": digest, "images": images}
