"""Stage `train`: a small, readable trainer. One loop, top to bottom; every setting is in params.yaml.

Reads data/P/release and the images, writes data/P/train: model.pt (see hgld.benchmarks.model), curves.csv (epoch, loss,
one column a term, lr) and metrics.json. On a CPU, equal inputs and settings give equal bytes.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import timm
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2
from tqdm import tqdm

from hgld.benchmarks.data import Pictures, Split, read_release, renumbered
from hgld.benchmarks.losses import LOSSES, PROXY_LOSSES, Loss, make_loss
from hgld.benchmarks.model import Network, Shape, build, save
from hgld.benchmarks.sampler import PerClass
from hgld.hierarchy.errors import HgldError, suggest
from hgld.hierarchy.files import write_text
from hgld.hierarchy.images import ImageTars
from hgld.hierarchy.params import Params, Train
from hgld.hierarchy.tables import write_csv

# Images are kept a little larger than the network sees them, so that the random crop has room.
MARGIN = 1.125


def run(params: Params) -> None:
    """Train the network of `params.train` on the release and write the outputs of the stage."""
    check_terms(params.train)
    with reproducible(params.train.seed, params.train.threads) as device:
        split = read_release(
            params.data / "release", params.train.levels, clean_only=params.train.clean_only
        ).train
        with ImageTars(params.data / "images" / "images.parquet", params.data / "images") as tars:
            network, curves = train(split, tars, params.train, device)
    config = {"profile": params.profile, "train": params.train.model_dump(mode="json")}
    folder = params.data / "train"
    write_csv(curves, folder / "curves.csv")
    write_text(summary(split, curves), folder / "metrics.json")
    save(network, config, folder / "model.pt")
    print(f"{len(split.ids):,} images, loss {curves['loss'].iloc[0]:.3f} → {curves['loss'].iloc[-1]:.3f}")


def train(split: Split, tars: ImageTars, settings: Train, device: str) -> tuple[Network, pd.DataFrame]:
    """Optimise the weighted sum of the losses; -> the network and one row an epoch of means.

    Raises HgldError when the loss stops being finite, and for what the data, the losses and the network refuse.
    """
    network = build(shape_of(settings), seed=settings.seed, pretrained=settings.pretrained).to(device)
    labels = renumbered(split.labels)
    terms = loss_terms(settings, labels, device)
    sampler = PerClass(
        labels, batch_size=settings.batch_size, per_class=settings.per_class, seed=settings.seed
    )
    pictures = Pictures(
        tars, split.ids, round(settings.image_size * MARGIN), augmentation(settings.image_size)
    )
    loader = DataLoader(
        _Labelled(pictures, labels), batch_sampler=sampler, num_workers=workers(pictures, settings)
    )
    schedules = [
        _Cosine(
            torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay),
            settings.lr,
        ),
        *(
            _Cosine(torch.optim.Adam(proxies, lr=settings.proxy_lr), settings.proxy_lr)
            for proxies in _proxies(terms)
        ),
    ]
    curves: list[dict[str, float]] = []
    progress = tqdm(range(settings.epochs), desc="train", unit="epoch", disable=None)
    for epoch in progress:
        sampler.at_epoch(epoch)
        network.train()
        # While the head warms up, the backbone keeps its weights and its batch statistics.
        warm = epoch >= settings.warmup_epochs
        network.backbone.requires_grad_(warm).train(warm)
        sums: dict[str, float] = {}
        for step, (images, targets) in enumerate(loader):
            at = (epoch + step / len(sampler)) / settings.epochs
            for schedule in schedules:
                schedule.set(at)
            embeddings = network(images.to(device))
            values = {term.name: term.loss(embeddings, targets.to(device)) for term in terms}
            loss = torch.stack([term.weight * values[term.name] for term in terms]).sum()
            if not bool(loss.detach().isfinite()):
                raise HgldError(
                    f"the loss is not finite in epoch {epoch + 1}, step {step + 1}; lower lr ({settings.lr})"
                )
            for schedule in schedules:
                schedule.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            for schedule in schedules:
                schedule.optimiser.step()
            for name, value in {"loss": loss, **values}.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
        means = {name: total / len(sampler) for name, total in sums.items()}
        curves.append({"epoch": epoch + 1, **means, "lr": schedules[0].lr})
        progress.set_postfix(loss=f"{means['loss']:.4f}")
    return network.cpu(), pd.DataFrame(curves).round(6)


@contextlib.contextmanager
def reproducible(seed: int, threads: int) -> Iterator[str]:
    """Fix seed, thread count and algorithms; -> the device. All is put back at the end."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it CUDA refuses to be deterministic
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            yield "cuda" if torch.cuda.is_available() else "cpu"
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1])


def shape_of(settings: Train) -> Shape:
    """The network's shape; a pretrained backbone brings the mean and deviation of its pixels."""
    stated: dict[str, Any] = {}
    if settings.pretrained and timm.is_model(settings.backbone):
        defaults = timm.get_pretrained_cfg(settings.backbone)
        stated = {"mean": tuple(defaults.mean), "std": tuple(defaults.std)} if defaults else {}
    return Shape(
        backbone=settings.backbone,
        dim=settings.dim,
        pooling=settings.pooling,
        image_size=settings.image_size,
        **stated,
    )


@dataclass(frozen=True)
class Term:
    """One weighted loss of the sum."""

    name: str
    weight: float
    loss: Loss


def check_terms(settings: Train) -> None:
    """Raise HgldError for a loss that does not exist or works on a level that is not there, before anything is read."""
    for term in settings.loss:
        if term.name not in LOSSES:
            hint = suggest(term.name, LOSSES) or f"; known: {', '.join(LOSSES)}"
            raise HgldError(f"train.loss: unknown loss {term.name!r}{hint}")
        level = term.settings.get("level", 0)
        if not isinstance(level, int) or not 0 <= level < len(settings.levels):
            last = len(settings.levels) - 1
            raise HgldError(
                f"train.loss: {term.name}: level must be a number from 0 (finest) to {last}; found {level!r}"
            )


def loss_terms(settings: Train, labels: Tensor, device: str) -> list[Term]:
    """The losses of the settings; those with proxies get the number of classes and the width of the embedding."""
    terms = []
    for term in settings.loss:
        stated: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in term.settings.items()
        }
        if term.name in PROXY_LOSSES:
            level = term.settings.get("level", 0)
            column = labels[:, level if isinstance(level, int) else 0]
            classes = labels if term.name == "csl" else int(column.max()) + 1
            stated = {"num_classes": classes, "dim": settings.dim, "seed": settings.seed, **stated}
        loss = make_loss(term.name, **stated)
        terms.append(Term(term.name, term.weight, loss.to(device) if isinstance(loss, nn.Module) else loss))
    if len({term.name for term in terms}) < len(terms):
        raise HgldError("train.loss names a loss twice; the terms of the sum must differ")
    return terms


def augmentation(size: int) -> v2.Transform:
    """Light: a crop of most of the image, a mirror, some light. On uint8 tensors (3, H, W)."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.6, 1.0), ratio=(0.85, 1.18), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.2, contrast=0.2),
        ]
    )


def workers(pictures: Pictures, settings: Train) -> int:
    """Decoding processes: none where the images stay in memory."""
    return 0 if pictures.in_memory else settings.threads


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


def _proxies(terms: list[Term]) -> list[list[nn.Parameter]]:
    """The learned parameters of each loss that has some."""
    return [list(term.loss.parameters()) for term in terms if isinstance(term.loss, nn.Module)]


class _Cosine:
    """An optimiser whose rate falls from `peak` to 0 along half a cosine."""

    def __init__(self, optimiser: torch.optim.Optimizer, peak: float) -> None:
        self.optimiser, self.peak, self.lr = optimiser, peak, peak

    def set(self, at: float) -> None:
        """Set the rate for the share `at` of the training, 0..1."""
        self.lr = self.peak * 0.5 * (1.0 + math.cos(math.pi * at))
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr


class _Labelled(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Pictures with their labels."""

    def __init__(self, pictures: Pictures, labels: Tensor) -> None:
        self.pictures, self.labels = pictures, labels

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        return self.pictures[at], self.labels[at]
