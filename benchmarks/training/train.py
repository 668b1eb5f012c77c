"""Stage `train`: a small, readable trainer. One loop, top to bottom; every setting is in params.yaml.

Reads data/P/release and the images, writes data/P/train: model.pt (models/network.py), curves.csv (epoch, loss,
one column a term, lr) and metrics.json. On a CPU, equal inputs and settings give equal bytes.

A training that was killed goes on after its last whole epoch, to the bytes that it would have come to undisturbed
(checkpoint.py). Nothing random hangs on what ran before: each augmented picture has a seed of its own, and
each step. Several processes share every batch, and come to what one process comes to, give or take rounding, dropout
and batch statistics:

    torchrun --standalone --nproc-per-node 2 --no-python hgld train
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from hgld.benchmarks.datasets.release import Pictures, Seeded, Split, read_release, renumbered
from hgld.benchmarks.models.network import Network, build, save
from hgld.benchmarks.models.reproducible import reproducible
from hgld.benchmarks.training.checkpoint import Training
from hgld.benchmarks.training.distributed import gather, joined, rank, world_size
from hgld.benchmarks.training.gradient_caching import cached_backward
from hgld.benchmarks.training.memory import Memory
from hgld.benchmarks.training.pos_mixup import mixed_gallery
from hgld.benchmarks.training.sampler import PerClass, Share
from hgld.benchmarks.training.setup import augmentation, check_recipe, loss_terms, schedules, shape_of
from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.foundation.settings import Params, Train
from hgld.foundation.tables import write_csv
from hgld.foundation.tar_images import ImageTars

# Images are kept a little larger than the network sees them, so that the random crop has room.
MARGIN = 1.125


def run(params: Params) -> None:
    """Train the network of `params.train` on the release and write the outputs of the stage."""
    check_recipe(params.train)
    with joined(), reproducible(params.train.seed, params.train.threads) as device:
        split = read_release(
            params.data / "release", params.train.levels, clean_only=params.train.clean_only
        ).train
        unfinished = params.data / "training" / "state.pt"
        with ImageTars(params.data / "images" / "images.parquet", params.data / "images") as tars:
            network, curves = train(split, tars, params.train, device, unfinished)
        if rank() == 0:
            config = {"profile": params.profile, "train": params.train.model_dump(mode="json")}
            folder = params.data / "train"
            write_csv(curves, folder / "curves.csv")
            write_text(summary(split, curves), folder / "metrics.json")
            save(network, config, folder / "model.pt")
            unfinished.unlink(missing_ok=True)
            first, last = curves["loss"].iloc[0], curves["loss"].iloc[-1]
            print(f"{len(split.ids):,} images, loss {first:.3f} → {last:.3f}")


def train(
    split: Split, tars: ImageTars, settings: Train, device: str, unfinished: Path
) -> tuple[Network, pd.DataFrame]:
    """Optimise the weighted sum of the losses; -> the network and one row an epoch of means.

    unfinished: where every whole epoch is kept, and taken up from. Raises HgldError when the loss stops being finite,
    and for what the data, the losses and the network refuse.
    """
    network = build(shape_of(settings), seed=settings.seed, pretrained=settings.pretrained).to(device)
    labels = renumbered(split.labels)
    terms = loss_terms(settings, labels, device)
    sampler = PerClass(
        labels,
        batch_size=settings.batch_size,
        per_class=settings.per_class,
        seed=settings.seed,
        together=settings.together,
    )
    share = Share(sampler, rank(), world_size())
    pictures = Pictures(
        tars, split.ids, round(settings.image_size * MARGIN), augmentation(settings.image_size)
    )
    loader = DataLoader(
        Seeded(pictures, labels, settings.seed),
        batch_sampler=share,
        num_workers=0 if pictures.in_memory else settings.threads,
    )
    training = Training(
        network=network,
        schedules=schedules(network, terms, settings),
        terms=terms,
        memory=Memory(settings.memory, settings.dim, labels.shape[1]).to(device) if settings.memory else None,
    )
    made_for = {"settings": settings.model_dump(mode="json"), "ids": split.ids, "labels": labels.tolist()}
    training.take_up(unfinished, made_for, device)
    model = shared(network, settings)
    steps = range(len(training.curves), settings.epochs)
    for epoch in tqdm(steps, desc="train", unit="epoch", disable=None if rank() == 0 else True):
        sampler.at_epoch(epoch)
        network.train()
        # While the head warms up, the backbone keeps its weights and its batch statistics.
        warm = epoch >= settings.warmup_epochs
        network.backbone.requires_grad_(warm).train(warm)
        sums: dict[str, float] = {}
        for step, (images, targets) in enumerate(loader):
            number = epoch * len(sampler) + step
            torch.manual_seed(settings.seed + number * world_size() + rank())
            for schedule in training.schedules:
                schedule.set(number / len(sampler) / settings.epochs)
                schedule.optimiser.zero_grad(set_to_none=True)
            batch = Batch(training, settings, targets.to(device), epoch, step)
            batch.descend(model, images.to(device))
            for schedule in training.schedules:
                schedule.optimiser.step()
            for name, value in batch.values.items():
                sums[name] = sums.get(name, 0.0) + value
        means = {name: total / len(sampler) for name, total in sums.items()}
        training.curves.append({"epoch": epoch + 1, **means, "lr": training.schedules[0].lr})
        if rank() == 0:
            training.keep(unfinished, made_for)
    return network.cpu(), pd.DataFrame(training.curves).round(6)


def shared(network: Network, settings: Train) -> nn.Module:
    """The network as all processes train it together; alone, the network itself."""
    if world_size() == 1:
        return network
    on_gpu = next(network.parameters()).is_cuda
    if on_gpu and not settings.chunk:  # statistics of a chunk are its own
        network.backbone = nn.SyncBatchNorm.convert_sync_batchnorm(network.backbone)  # type: ignore[no-untyped-call]
    # While the backbone is frozen it gets no gradient, for which nobody may wait.
    return DistributedDataParallel(network, find_unused_parameters=settings.warmup_epochs > 0)


class Batch:
    """One step: the embeddings of all processes, ranked against the batch, its mixtures and the memory."""

    def __init__(self, training: Training, settings: Train, targets: Tensor, epoch: int, step: int) -> None:
        self.terms, self.memory, self.settings = training.terms, training.memory, settings
        self.targets, self.epoch, self.step = targets, epoch, step
        self.values: dict[str, float] = {}

    def descend(self, model: nn.Module, images: Tensor) -> None:
        """Leave the gradients of the weighted sum in the parameters, and its value and terms in `values`."""
        half = self.settings.precision == "bfloat16"
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=half):
            if self.settings.chunk:
                cached_backward(model, torch.split(images, self.settings.chunk), self.loss)
            else:
                loss = self.loss(model(images))
                with torch.autocast(images.device.type, enabled=False):
                    loss.backward()  # type: ignore[no-untyped-call]

    def loss(self, embeddings: Tensor) -> Tensor:
        """The weighted sum; raises HgldError when it is not finite."""
        rows, labels = gather(embeddings, self.targets)
        gallery = self.gallery(rows, labels)
        values = {term.name: term.loss(rows, labels, *gallery) for term in self.terms}
        loss = torch.stack([term.weight * values[term.name] for term in self.terms]).sum()
        self.values = {name: float(value.detach()) for name, value in {"loss": loss, **values}.items()}
        if not bool(loss.detach().isfinite()):
            raise HgldError(
                f"the loss is not finite in epoch {self.epoch + 1}, step {self.step + 1}; "
                f"lower lr ({self.settings.lr})"
            )
        if self.memory is not None:
            self.memory.add(rows, labels)
        return loss

    def gallery(self, rows: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """What the losses rank: nothing stated (the batch itself), or batch, mixtures and memory, in this order."""
        remember = self.memory is not None and self.epoch + 1 >= self.settings.memory_from
        if not remember and not self.settings.pos_mixup:
            return ()
        gallery, gallery_labels = rows, labels
        if self.settings.pos_mixup:
            same_everywhere = torch.Generator(rows.device).manual_seed(self.settings.seed + self.step)
            gallery, gallery_labels = mixed_gallery(rows, labels, same_everywhere)
        if remember and self.memory is not None and len(self.memory):
            gallery, gallery_labels = self.memory.after(gallery, gallery_labels)
        return gallery, gallery_labels


def summary(split: Split, curves: pd.DataFrame) -> str:
    """The stage's metrics: what was trained on and where the losses ended."""
    last = curves.iloc[-1].drop(["epoch", "lr"])
    facts = {
        "images": len(split.ids),
        "landmarks": len(torch.unique(split.labels[:, 0])),
        "epochs": len(curves),
    }
    return (
        json.dumps({**facts, **{f"final_{name}": float(value) for name, value in last.items()}}, indent=2)
        + "\n"
    )
