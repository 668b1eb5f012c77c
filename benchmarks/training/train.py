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
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from hgld.benchmarks.datasets.labelled_images import LabelledImages
from hgld.benchmarks.datasets.readable import readable, report_broken, survey
from hgld.benchmarks.datasets.release import open_release
from hgld.benchmarks.datasets.survey_cache import Survey, SurveyCache
from hgld.benchmarks.datasets.tensor_images import AugmentedImages, TensorImages
from hgld.benchmarks.models.network import Network, build_network, save_checkpoint
from hgld.benchmarks.models.reproducible import reproducible
from hgld.benchmarks.ranking.allocator import keep_freed_memory
from hgld.benchmarks.training.checkpoint import TrainingState, code_and_libraries, weights_digest
from hgld.benchmarks.training.distributed import (
    distributed_model,
    gather,
    of_all_processes,
    process_group,
    rank,
    world_size,
)
from hgld.benchmarks.training.gradient_caching import cached_backward
from hgld.benchmarks.training.health import Health, check_finite
from hgld.benchmarks.training.memory import CrossBatchMemory
from hgld.benchmarks.training.pos_mixup import mixed_gallery
from hgld.benchmarks.training.sampler import MPerClassSampler, ProcessShard
from hgld.benchmarks.training.setup import (
    architecture_of,
    augmentation,
    check_train_settings,
    contiguous_labels,
    loss_terms,
    make_schedules,
)
from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.foundation.lock import exclusive
from hgld.foundation.settings import Params, Train
from hgld.foundation.tables import write_csv

# Images are cached a little larger than the network's input, to leave room for the random crop.
MARGIN = 1.125


def run(params: Params) -> None:
    """Train the network of `params.train` on the release and write the outputs of the stage."""
    keep_freed_memory()
    settings = params.train
    check_train_settings(settings)
    folder, state_path = params.data / "train", params.data / "training" / "state.pt"
    with (
        process_group(),
        one_at_a_time(folder, state_path.parent),
        reproducible(settings.seed, settings.threads) as device,
    ):
        with open_release(params.data, settings.levels, clean_only=settings.clean_only) as dataset:
            cache = params.data / "cache" / "readable" / "train.json"
            images, found = readable_images(dataset.train, settings, cache)
            network, curves = train(images, settings, device, state_path, found.digest)
        if rank() == 0:
            # A limit that left nothing out has no part in the result.
            unused = set() if found.broken else {"max_broken"}
            config = {"profile": params.profile, "train": settings.model_dump(mode="json", exclude=unused)}
            write_csv(curves, folder / "curves.csv")
            write_text(summary(images, curves, len(found.broken)), folder / "metrics.json")
            save_checkpoint(network, config, folder / "model.pt")
            state_path.unlink(missing_ok=True)
            first, last = curves["loss"].iloc[0], curves["loss"].iloc[-1]
            echo(f"{len(images):,} images, loss {first:.3f} → {last:.3f}")


@contextmanager
def one_at_a_time(*folders: Path) -> Iterator[None]:
    """Lock the folders against other trainings; of the processes of one training, the first holds the lock."""
    with exclusive(*folders) if rank() == 0 else nullcontext():
        yield


def readable_images(images: LabelledImages, settings: Train, cache: Path) -> tuple[LabelledImages, Survey]:
    """The images that can be decoded, and what decoding all of them gave; the processes share the work.

    cache: the file in which that is kept for the next training on the same images.
    """
    kept = SurveyCache.of(images, cache)
    (found, *_) = of_all_processes(kept.read() if rank() == 0 else None)
    if found is None:
        own = survey(images, range(rank(), len(images), world_size()), settings.threads)
        found = sum(of_all_processes(own), Survey())
        if rank() == 0:
            kept.write(found)
    left = readable(images, found.broken, what="train", section="train", limit=settings.max_broken)
    if rank() == 0:
        report_broken(found.broken, len(images), "train")
    return left, found


def train(
    images: LabelledImages, settings: Train, device: str, state_path: Path, digest: int = 0
) -> tuple[Network, pd.DataFrame]:
    """Minimise the weighted sum of the losses; -> the network, and one row of means per epoch.

    The state is written to `state_path` after every epoch, and read from it when it was saved for the same inputs;
    digest: of the pixels of the images (datasets/readable.py). Signs that nothing is learned are reported (health.py).
    Raises HgldError when the loss or a weight is not finite, and where the data, a loss or the network does not fit the
    settings.
    """
    network = build_network(architecture_of(settings), seed=settings.seed, pretrained=settings.pretrained).to(device)
    labels = contiguous_labels(images.labels)
    terms = loss_terms(settings, labels, device)
    sampler = MPerClassSampler(
        labels,
        batch_size=settings.batch_size,
        per_class=settings.per_class,
        seed=settings.seed,
        together=settings.together,
    )
    loader = make_loader(images, labels, sampler, settings)
    state = TrainingState(network=network, schedules=make_schedules(network, terms, settings), terms=terms)
    if settings.memory:
        state.memory = CrossBatchMemory(settings.memory, settings.dim, labels.shape[1]).to(device)
    inputs = {
        "settings": settings.model_dump(mode="json"),
        "images": [list(images.ids), digest],
        "labels": labels.tolist(),
        "initial weights": weights_digest(network),
        "number of processes": world_size(),
        **code_and_libraries(device),
    }
    state.resume(state_path, inputs)
    model = distributed_model(network, settings)
    epochs, health = range(len(state.curves), settings.epochs), Health()
    for epoch in tqdm(epochs, desc="train", unit="epoch", disable=None if rank() == 0 else True):
        sampler.set_epoch(epoch)
        network.train()
        # During warm-up the backbone is frozen, with its batch statistics.
        trainable = epoch >= settings.warmup_epochs
        network.backbone.requires_grad_(trainable).train(trainable)
        sums: dict[str, float] = {}
        health.start_epoch(term.name for term in terms)
        for step, (batch, targets) in enumerate(loader):
            total_steps = epoch * len(sampler) + step
            torch.manual_seed(settings.seed + total_steps * world_size() + rank())
            for schedule in state.schedules:
                schedule.set_progress(total_steps / len(sampler) / settings.epochs)
                schedule.optimiser.zero_grad(set_to_none=True)
            training_step = TrainingStep(state, settings, targets.to(device), epoch, step, health)
            training_step.backward(model, batch.to(device))
            for schedule in state.schedules:
                schedule.optimiser.step()
            for name, value in training_step.values.items():
                sums[name] = sums.get(name, 0.0) + value
        means = {name: total / len(sampler) for name, total in sums.items()}
        state.curves.append({"epoch": epoch + 1, **means, "lr": state.schedules[0].lr})
        check_finite([network, *state.proxy_losses()], epoch, settings.lr)
        if rank() == 0:
            health.report(epoch)
            state.save_epoch(state_path, inputs)
    return network.cpu(), pd.DataFrame(state.curves).round(6)


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


class TrainingStep:
    """One batch: the embeddings of all processes, ranked against the batch, its mixtures and the memory."""

    def __init__(
        self, state: TrainingState, settings: Train, targets: Tensor, epoch: int, step: int, health: Health
    ) -> None:
        self.terms, self.memory, self.settings = state.terms, state.memory, settings
        self.targets, self.epoch, self.step = targets, epoch, step
        self.values: dict[str, float] = {}
        self.health = health

    def backward(self, model: nn.Module, images: Tensor) -> None:
        """Compute the gradients of the weighted sum; `values` then holds the sum and its terms."""
        half = self.settings.precision == "bfloat16"
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=half):
            if self.settings.chunk:
                cached_backward(model, torch.split(images, self.settings.chunk), self.loss)
            else:
                loss = self.loss(model(images))
                with torch.autocast(images.device.type, enabled=False):
                    loss.backward()  # type: ignore[no-untyped-call]

    def loss(self, embeddings: Tensor) -> Tensor:
        """The weighted sum of the losses, a scalar. Raises HgldError when it is not finite."""
        rows, labels = gather(embeddings, self.targets)
        gallery = self.gallery(rows, labels)
        values = {term.name: term.loss(rows, labels, *gallery) for term in self.terms}
        loss = torch.stack([term.weight * values[term.name] for term in self.terms]).sum()
        self.health.observe(values, rows, labels, gallery[1] if gallery else labels)
        self.values = {name: float(value.detach()) for name, value in {"loss": loss, **values}.items()}
        if not bool(loss.detach().isfinite()):
            raise HgldError(
                f"the loss is not finite in epoch {self.epoch + 1}, step {self.step + 1}; "
                f"lower train.lr ({self.settings.lr})"
            )
        if self.memory is not None:
            self.memory.add(rows, labels)
        return loss

    def gallery(self, rows: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """The gallery of the losses: batch, mixtures and memory, in this order; empty for the batch alone."""
        use_memory = self.memory is not None and self.epoch + 1 >= self.settings.memory_from
        if not use_memory and not self.settings.pos_mixup:
            return ()
        gallery, gallery_labels = rows, labels
        if self.settings.pos_mixup:
            # seeded alike on every process
            generator = torch.Generator(rows.device).manual_seed(self.settings.seed + self.step)
            gallery, gallery_labels = mixed_gallery(rows, labels, generator)
        if use_memory and self.memory is not None and len(self.memory):
            gallery, gallery_labels = self.memory.appended_to(gallery, gallery_labels)
        return gallery, gallery_labels


def summary(images: LabelledImages, curves: pd.DataFrame, broken: int = 0) -> str:
    """metrics.json of the stage: the size of the training set, unreadable images if any, and the final losses."""
    final = curves.iloc[-1].drop(["epoch", "lr"])
    metrics = {
        "images": len(images),
        **({"broken_images": broken} if broken else {}),
        "landmarks": len(torch.unique(images.labels[:, 0])),
        "epochs": len(curves),
        **{f"final_{name}": float(value) for name, value in final.items()},
    }
    return json.dumps(metrics, indent=2) + "\n"
