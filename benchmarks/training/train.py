"""Stage `train`: a small, readable trainer. One loop, top to bottom; every setting is in params.yaml.

Reads data/P/release and the images, writes data/P/train: model.pt (models/network.py), curves.csv (epoch, loss,
one column per term, lr) and metrics.json. On a CPU, equal inputs and settings give equal bytes.

An interrupted training resumes after its last completed epoch and ends with the same bytes (checkpoint.py): no random
draw depends on earlier ones, as every augmented image and every step has its own seed. Several processes share each
batch and get the result of one process, up to rounding, dropout and batch statistics:

    torchrun --standalone --nproc-per-node 2 --no-python hgld train
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from hgld.benchmarks.datasets.labelled_images import LabelledImages
from hgld.benchmarks.datasets.readable import readable, report_broken, survey
from hgld.benchmarks.datasets.release import open_release
from hgld.benchmarks.datasets.survey_cache import Survey, SurveyCache
from hgld.benchmarks.datasets.tensor_images import AugmentedImages, TensorImages
from hgld.benchmarks.models.network import Network, save_checkpoint
from hgld.benchmarks.models.reproducible import reproducible
from hgld.benchmarks.ranking.allocator import keep_freed_memory
from hgld.benchmarks.training.checkpoint import TrainingState, code_and_libraries, data_digest, weights_digest
from hgld.benchmarks.training.distributed import (
    distributed_model,
    of_all_processes,
    process_group,
    rank,
    world_size,
)
from hgld.benchmarks.training.health import Health, check_finite
from hgld.benchmarks.training.memory import CrossBatchMemory
from hgld.benchmarks.training.monitoring.observer import Best, Observer
from hgld.benchmarks.training.monitoring.progress import step_bar
from hgld.benchmarks.training.monitoring.validation import Validation, hold_out
from hgld.benchmarks.training.optimisation.moving_average import MovingAverage
from hgld.benchmarks.training.optimisation.update import Update, compile_backbone, freeze_batchnorm, set_training_mode
from hgld.benchmarks.training.sampler import MPerClassSampler, ProcessShard
from hgld.benchmarks.training.setup import (
    augmentation,
    check_train_settings,
    contiguous_labels,
    initial_network,
    loss_terms,
    make_sampler,
    make_schedules,
)
from hgld.benchmarks.training.step import TrainingStep
from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.foundation.lock import exclusive
from hgld.foundation.settings import Params, Train
from hgld.foundation.tables import write_csv

# Images are cached a little larger than the network's input, to leave room for the random crop.
MARGIN = 1.125
RELEASE_HAS_NO_SPLIT = (
    "train.validation_split names a split of the data of --data; on the release leave it out: classes are held out"
)


def run(params: Params) -> None:
    """Train the network of `params.train` on the release and write the outputs of the stage."""
    settings = params.train
    place = Place(
        folder=params.data / "train",
        state=params.data / "training" / "state.pt",
        survey=params.data / "cache" / "readable" / "train.json",
    )
    check_train_settings(settings)
    if settings.validation_split:
        raise HgldError(RELEASE_HAS_NO_SPLIT)
    with (
        training_process(place, settings) as device,
        open_release(params.data, settings.levels, clean_only=settings.clean_only) as dataset,
    ):
        images, found = readable_images(dataset.train, settings, place.survey)
        # A limit that left nothing out has no part in the result.
        unused = settings.at_default() | (set() if found.broken else {"max_broken"})
        config = {"profile": params.profile, "train": settings.model_dump(mode="json", exclude=unused)}
        train_and_write(images, found, settings, place, device, config)


@dataclass(frozen=True, kw_only=True)
class Place:
    """The folder of the outputs, the file from which an interrupted training resumes, and the cache of the survey.

    detailed: curves.csv also holds all learning rates and images/s. validation: the images to validate on; None: some
    classes of the train images are held out.
    """

    folder: Path
    state: Path
    survey: Path
    detailed: bool = False
    validation: LabelledImages | None = None


@contextmanager
def training_process(place: Place, settings: Train) -> Iterator[str]:
    """One training at a time in a folder, with all processes of torchrun; yields the device."""
    keep_freed_memory()
    with (
        process_group(),
        one_at_a_time(place.folder, place.state.parent),
        reproducible(settings.seed, settings.threads) as device,
    ):
        yield device


def train_and_write(
    images: LabelledImages, found: Survey, settings: Train, place: Place, device: str, config: dict[str, Any]
) -> None:
    """Train on images that can be read, some held out for validation if so set, and write the outputs."""
    observer = Observer(settings, place.folder, config, detailed=place.detailed)
    used, held_out = images, place.validation
    if settings.validate_every and held_out is None:
        used, held_out = hold_out(images, settings.validation_classes, settings.seed)
        observer.validation = Validation.of(held_out, settings)
    elif settings.validate_every and held_out is not None:
        path = place.survey.with_name(f"{place.survey.stem}_val.json")
        held_out, seen = readable_images(held_out, settings, path, what="val")
        observer.validation = Validation.of(held_out, settings, digest=seen.digest, broken=len(seen.broken))
    network, curves = train(used, settings, device, place.state, found.digest, observer)
    if rank() != 0:
        return
    best = observer.best([{str(name): value for name, value in row.items()} for row in curves.to_dict("records")])
    write_csv(curves, place.folder / "curves.csv")
    broken = {"broken_images": len(found.broken)}
    if observer.validation:
        broken["broken_validation_images"] = observer.validation.broken
    write_text(summary(used, curves, settings, broken, best), place.folder / "metrics.json")
    save_checkpoint(network, config, place.folder / "model.pt")
    if best is None:
        observer.best_path.unlink(missing_ok=True)  # of an earlier training
    place.state.unlink(missing_ok=True)
    first, last = curves["loss"].iloc[0], curves["loss"].iloc[-1]
    echo(f"{len(used):,} images, loss {first:.3f} → {last:.3f}")
    if best:
        stopped = f"; stopped early after epoch {len(curves)}" if len(curves) < settings.epochs else ""
        echo(f"best.pt: {settings.best_metric} {best.score:.3f} after epoch {best.epoch}{stopped}")


@contextmanager
def one_at_a_time(*folders: Path) -> Iterator[None]:
    """Lock the folders against other trainings; of the processes of one training, the first holds the lock."""
    with exclusive(*dict.fromkeys(folders)) if rank() == 0 else nullcontext():
        yield


def readable_images(
    images: LabelledImages, settings: Train, cache: Path, what: str = "train"
) -> tuple[LabelledImages, Survey]:
    """The images that can be decoded, and what decoding all of them gave; the processes share the work.

    cache: the file in which that is kept for the next training on the same images. what: their role, for messages.
    Raises HgldError when more than the fraction `max_broken` cannot be decoded.
    """
    kept = SurveyCache.of(images, cache)
    (found, *_) = of_all_processes(kept.read() if rank() == 0 else None)
    if found is None:
        own = survey(images, range(rank(), len(images), world_size()), settings.threads)
        found = sum(of_all_processes(own), Survey())
        if rank() == 0:
            kept.write(found)
    left = readable(images, found.broken, what=what, section="train", limit=settings.max_broken)
    if rank() == 0:
        report_broken(found.broken, len(images), what)
    return left, found


def train(
    images: LabelledImages,
    settings: Train,
    device: str,
    state_path: Path,
    digest: int = 0,
    observer: Observer | None = None,
) -> tuple[Network, pd.DataFrame]:
    """Minimise the weighted sum of the losses; -> the network (its average, with `ema`), and one row per epoch.

    The state is written to `state_path` after every epoch, and read from it when it was saved for the same inputs;
    digest: of the pixels of the images (datasets/readable.py). Signs that nothing is learned are reported (health.py).
    Raises HgldError when the loss or a weight is not finite, and where the data, a loss or the network does not fit the
    settings.
    """
    observer = observer or Observer(settings, state_path.parent)
    labels = contiguous_labels(images.labels)
    sampler = make_sampler(labels, settings)
    loader = make_loader(images, labels, sampler, settings)
    state, inputs = prepared(images, labels, settings, device, digest)
    if (validation := observer.validation) is not None:
        own = validation.images
        inputs["validation images"] = data_digest(own.ids, own.labels, validation.digest)
    if observer.is_resumable(state_path):
        state.resume(state_path, inputs)
    network, health = state.network, Health()
    update = Update(network, state.schedules, settings, state.scaler)
    model = trainable_model(network, settings)
    with step_bar((settings.epochs - len(state.curves)) * len(sampler), shown=rank() == 0) as bar:
        for epoch in range(len(state.curves), settings.epochs):
            if observer.finished(state.curves):
                break
            sampler.set_epoch(epoch)
            set_training_mode(network, settings, epoch)
            sums: dict[str, float] = {}
            health.start_epoch(term.name for term in state.terms)
            started = time.perf_counter()
            for step, (batch, targets) in enumerate(loader):
                total_steps = epoch * len(sampler) + step
                torch.manual_seed(settings.seed + total_steps * world_size() + rank())
                for schedule in state.schedules:
                    schedule.set_progress(total_steps / len(sampler) / settings.epochs)
                    schedule.optimiser.zero_grad(set_to_none=True)
                training_step = TrainingStep(state, update, settings, targets.to(device), (epoch, step), health)
                training_step.backward(model, batch.to(device))
                update.step()
                if state.average:
                    state.average.update(network, total_steps)
                for name, value in training_step.values.items():
                    sums[name] = sums.get(name, 0.0) + value
                bar.show(epoch, settings.epochs, training_step.values)
            seconds = time.perf_counter() - started
            means = {name: total / len(sampler) for name, total in sums.items()}
            check_finite([network, *state.proxy_losses()], epoch, settings.lr)
            final = state.average.network if state.average else network
            scores = observer.scores(final, epoch + 1, device, (rank(), world_size()), of_all_processes)
            row = {"epoch": epoch + 1, **means, **observer.rates(state.schedules)}
            row |= observer.carried(state.curves, scores)
            row |= observer.speed(len(sampler) * sampler.images_per_batch, seconds)
            state.curves.append(row)
            if rank() == 0:
                health.report(epoch)
                observer.keep(state.curves, final)
                state.save_epoch(state_path, inputs)
    observer.close()
    return (state.average.network if state.average else network).cpu(), pd.DataFrame(state.curves).round(6)


def prepared(
    images: LabelledImages, labels: Tensor, settings: Train, device: str, digest: int
) -> tuple[TrainingState, dict[str, Any]]:
    """The state before the first epoch, and what a saved one must have been made for (JSON values by name)."""
    network = initial_network(settings).to(device)
    terms = loss_terms(settings, labels, device)
    if settings.freeze_batchnorm:
        freeze_batchnorm(network)
    state = TrainingState(
        network=network,
        schedules=make_schedules(network, terms, settings),
        terms=terms,
        memory=CrossBatchMemory(settings.memory, settings.dim, labels.shape[1]).to(device) if settings.memory else None,
        average=MovingAverage(network, settings.ema) if settings.ema else None,
        scaler=torch.amp.GradScaler(device) if settings.precision == "float16" else None,
    )
    inputs = {
        "settings": settings.model_dump(mode="json"),
        "images": data_digest(images.ids, images.labels[:, :0], digest),
        "labels": data_digest([], labels),
        "initial weights": weights_digest(network),
        "number of processes": world_size(),
        **code_and_libraries(device),
    }
    return state, inputs


def trainable_model(network: Network, settings: Train) -> nn.Module:
    """The network as the processes train it together, its backbone compiled if so set."""
    model = distributed_model(network, settings)
    if settings.compile:
        compile_backbone(network)
    return model


def make_loader(
    images: LabelledImages, labels: Tensor, sampler: MPerClassSampler, settings: Train
) -> DataLoader[tuple[Tensor, Tensor]]:
    """This process's part of every batch, augmented; workers decode where the images do not fit into memory."""
    tensors = TensorImages(images, round(settings.image_size * MARGIN))
    return DataLoader(
        AugmentedImages(tensors, labels, augmentation(settings.image_size), settings.seed),
        batch_sampler=ProcessShard(sampler, rank(), world_size()),
        num_workers=0 if tensors.in_memory else settings.threads,
    )


def summary(
    images: LabelledImages,
    curves: pd.DataFrame,
    settings: Train,
    broken: Mapping[str, int] | None = None,
    best: Best | None = None,
) -> str:
    """metrics.json: the size of the training set, unreadable images if any, the final losses, and the best epoch.

    broken: how many images were left out as unreadable, by the name of the count.
    """
    losses = ["loss", *(term.name for term in settings.loss)]
    metrics = {
        "images": len(images),
        **{name: count for name, count in (broken or {}).items() if count},
        "landmarks": len(torch.unique(images.labels[:, 0])),
        "epochs": len(curves),
        **{f"final_{name}": float(curves[name].iloc[-1]) for name in losses},
        **({"best_epoch": best.epoch, f"best_{settings.best_metric}": best.score} if best else {}),
    }
    return json.dumps(metrics, indent=2) + "\n"
