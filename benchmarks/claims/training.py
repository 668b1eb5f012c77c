"""One training and its scores: a linear head on frozen features, a whole network, or a small one from scratch.

Sampler, losses, proxies and memory are the trainer's own. Rates fall by a cosine. Equal settings give equal numbers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from hgld.benchmarks.claims.features import (
    SMALL_SIDE,
    frozen_features,
    pretrained_features,
    pretrained_network,
    small_images,
    whole_images,
)
from hgld.benchmarks.claims.image_sets import SOURCES, ImageSet, mislabelled, read_image_set, training_rows
from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.models.network import Architecture, build_network
from hgld.benchmarks.models.reproducible import reproducible
from hgld.benchmarks.training.memory import CrossBatchMemory
from hgld.benchmarks.training.optimisation.schedules import Schedule, make_optimiser
from hgld.benchmarks.training.setup import WeightedLoss, contiguous_labels, loss_terms, make_sampler
from hgld.foundation.train_settings import LossTerm, Train

METRICS = ("H-AP", "NDCG", "ASI", "AP_l0", "AP_l1", "R@1_l0", "recall@10_l0")
TRAIN_METRICS = ("H-AP", "AP_l0", "AP_l1")
TRAIN_QUERIES = 400  # of the scores on the training classes
GAP_BATCHES = 20
SCRATCH = "test_resnet"  # timm's smallest, 385,105 weights with the head
PART = 64  # images that are embedded at once


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is trained and how; everything but the seed.

    data: a set of images. scratch: a small network on 32-px images instead of a head on frozen features. head_lr: above
    0, first a head is trained on the frozen features with this rate, as without it, then `steps` of the whole
    pretrained network with `lr`, in which the statistics of batch normalisation stay. gallery: "batch"; "memory", the
    last `memory` embeddings beside the batch; or "all", the embeddings of all training images, computed anew in every
    step, with a gradient through those of the batch only. wrong: fraction of the training classes with a wrong label at
    level 1; confused: it is one of those that look most alike. same_time: train as long as the setting with gallery
    "all" takes. gaps: batch sizes at which the loss on batches is compared with that on the whole training set.
    """

    data: str
    loss: tuple[LossTerm, ...]
    lr: float
    scratch: bool = False
    head_lr: float = 0.0
    steps: int = 200
    batch: int = 64
    per_class: int = 4
    super_classes: int = 0
    gallery: str = "batch"
    memory: int = 0
    wrong: float = 0.0
    confused: bool = False
    same_time: bool = False
    gaps: tuple[int, ...] = ()

    def key(self) -> str:
        """The settings as text, without those that have their default."""
        terms = [term.model_dump(exclude_defaults=True) for term in self.loss]
        changed = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}
        return json.dumps(changed | {"loss": terms}, sort_keys=True)

    def train_settings(self, seed: int) -> Train:
        """The settings in the trainer's terms."""
        values = {
            "loss": list(self.loss),
            "levels": list(SOURCES[self.data].levels),
            "batch_size": self.batch,
            "per_class": self.per_class,
            "super_classes": self.super_classes,
            "memory": self.memory,
            "lr": self.lr,
            "seed": seed,
        }
        return Train.model_validate(values)


class Head(nn.Module):
    """A linear layer on features that are normalised already, (n, d) -> unit rows (n, dim)."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, dim)

    def forward(self, features: Tensor) -> Tensor:
        """Unit embeddings."""
        return normalize(self.linear(features), dim=1)


class Whole(nn.Module):
    """The pretrained network with a head, (n, 3, 112, 112) uint8 -> unit rows (n, dim)."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.backbone, self.head = pretrained_network(), head

    def forward(self, pixels: Tensor) -> Tensor:
        """Unit embeddings."""
        embeddings: Tensor = self.head(pretrained_features(self.backbone, pixels))
        return embeddings

    def train(self, mode: bool = True) -> Whole:
        """Only the head has modes: batch normalisation keeps the statistics of its pretraining."""
        self.head.train(mode)
        return self


class Data:
    """The sets of images, each read once, as the input of a network and labels."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        self._sets: dict[str, ImageSet] = {}
        self._inputs: dict[tuple[str, str], Tensor] = {}

    def images(self, name: str) -> ImageSet:
        """The set of that name."""
        if name not in self._sets:
            self._sets[name] = read_image_set(name, self.folder)
        return self._sets[name]

    def labels(self, name: str) -> Tensor:
        """Labels (n, L)."""
        return self.images(name).labels

    def features(self, name: str) -> Tensor:
        """Features of the pretrained network, (n, d)."""
        return self._once(name, "features", lambda images: frozen_features(images, self.cache))

    def inputs(self, setting: Setting) -> Tensor:
        """What the network of the setting sees, (n, …)."""
        if setting.head_lr:
            return self._once(setting.data, "whole", whole_images)
        if setting.scratch:
            return self._once(setting.data, "small", lambda images: small_images(images, self.cache))
        return self.features(setting.data)

    def _once(self, name: str, kind: str, read: Callable[[ImageSet], Tensor]) -> Tensor:
        if (name, kind) not in self._inputs:
            self._inputs[name, kind] = read(self.images(name))
        return self._inputs[name, kind]


def run(setting: Setting, seed: int, data: Data, seconds: float | None = None) -> dict[str, float]:
    """Train and score: the metrics of the test classes by name, `train …` those of the training classes, CPU seconds.

    seed: of the split of the classes, the initial weights, the batches and the wrong labels. seconds: CPU time to train
    for, instead of a number of steps.
    """
    inputs, labels = data.inputs(setting), data.labels(setting.data)
    rows = training_rows(labels, seed)
    clean = contiguous_labels(labels[rows])
    looks = data.features(setting.data) if setting.confused else None
    with reproducible(seed, 1):
        given = mislabelled(clean, setting.wrong, seed, None if looks is None else looks[rows])
        before = None
        if setting.head_lr:
            head = replace(setting, head_lr=0.0, lr=setting.head_lr, steps=Setting.steps, batch=Setting.batch)
            before = Training(head, seed, data.inputs(head)[rows], given)
            before.run(None)
        training = Training(setting, seed, inputs[rows], given, before)
        training.run(seconds)
        scores = training.scores(inputs[~rows], labels[~rows], clean)
    if setting.wrong:
        noisy = mislabelled(labels[~rows], setting.wrong, seed + 1, None if looks is None else looks[~rows])
        found = _means(evaluate(training.embed(inputs[~rows]), noisy, metrics=METRICS))
        scores |= {f"noisy {name}": value for name, value in found.items()}
    return scores


class Training:
    """The state of one training: network, loss terms and their optimisers.

    before: the training of the head that this one goes on with, and of the proxies.
    """

    def __init__(
        self, setting: Setting, seed: int, inputs: Tensor, labels: Tensor, before: Training | None = None
    ) -> None:
        self.setting, self.inputs, self.labels = setting, inputs, labels
        self.settings = setting.train_settings(seed)
        self.network = self._network(seed, before)
        self.terms: list[WeightedLoss] = before.terms if before else loss_terms(self.settings, labels, "cpu")
        self.schedules = [self._schedule(self.network, self.settings.lr, self.settings.weight_decay)]
        self.schedules += [self._schedule(t.loss, self.settings.proxy_lr, 0.0) for t in self.terms if _weights(t.loss)]
        size = setting.memory if setting.gallery == "memory" else 0
        self.memory = CrossBatchMemory(size, self.settings.dim, labels.shape[1]) if size else None
        self.steps, self.cpu_seconds = 0, 0.0

    def _network(self, seed: int, before: Training | None) -> nn.Module:
        if before is not None:
            assert isinstance(before.network, Head)
            return Whole(before.network)
        if not self.setting.scratch:
            return Head(self.inputs.shape[1], self.settings.dim)
        architecture = Architecture(backbone=SCRATCH, dim=self.settings.dim, pooling="gem", image_size=SMALL_SIDE)
        return build_network(architecture, seed=seed)

    def _schedule(self, module: nn.Module, peak: float, decay: float) -> Schedule:
        optimiser = make_optimiser("adam", _weights(module), peak, decay, 0.0)
        return Schedule(optimiser, peak, "cosine", self.settings)

    def run(self, seconds: float | None) -> None:
        """All steps, or as many as fit into the seconds of CPU time."""
        sampler = make_sampler(self.labels, self.settings)
        self.network.train()
        start = time.process_time()
        for epoch in count():
            sampler.set_epoch(epoch)
            for rows in sampler:
                self.cpu_seconds = time.process_time() - start
                progress = self.cpu_seconds / seconds if seconds else self.steps / self.setting.steps
                if progress >= 1:
                    self.network.eval()
                    return
                self._step(torch.tensor(rows), progress)
                self.steps += 1

    def _step(self, rows: Tensor, progress: float) -> None:
        for schedule in self.schedules:
            schedule.set_progress(progress)
            schedule.optimiser.zero_grad()
        embeddings, labels = self.network(self.inputs[rows]), self.labels[rows]
        gallery = self._gallery(embeddings, labels, rows)
        values = [term.weight * term.loss(embeddings, labels, *gallery) for term in self.terms]
        torch.stack(values).sum().backward()  # type: ignore[no-untyped-call]
        for schedule in self.schedules:
            schedule.optimiser.step()
        if self.memory is not None:
            self.memory.add(embeddings, labels)

    def _gallery(self, embeddings: Tensor, labels: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
        """What the batch is ranked against; empty for itself."""
        if self.setting.gallery == "all":
            with torch.no_grad():
                everything = self.network(self.inputs)
            return everything.index_copy(0, rows, embeddings), self.labels
        if self.memory is not None and len(self.memory):
            return self.memory.appended_to(embeddings, labels)
        return ()

    @torch.no_grad()
    def embed(self, inputs: Tensor) -> Tensor:
        """Embeddings (n, dim)."""
        return torch.cat([self.network(part) for part in torch.split(inputs, PART)])

    @torch.no_grad()
    def scores(self, inputs: Tensor, labels: Tensor, train_labels: Tensor) -> dict[str, float]:
        """The scores on the test classes and on the training classes (a part of the queries), steps, seconds, gaps."""
        scores = _means(evaluate(self.embed(inputs), labels, metrics=METRICS))
        own = self.embed(self.inputs)
        some = torch.randperm(len(own))[:TRAIN_QUERIES]
        sides = own[some], train_labels[some], own, train_labels
        ids: Any = {"query_ids": some.tolist(), "gallery_ids": range(len(own))}
        trained = _means(evaluate(*sides, metrics=TRAIN_METRICS, **ids))
        scores |= {f"train {name}": value for name, value in trained.items()}
        if self.setting.gaps:
            scores |= self._gaps(own)
        return scores | {"steps": float(self.steps), "cpu_seconds": self.cpu_seconds}

    def _gaps(self, own: Tensor) -> dict[str, float]:
        """The loss on the whole training set, and the mean loss on batches of each size; of the first term."""
        loss = self.terms[0].loss
        found = {"whole": float(loss(own, self.labels))}
        for size in self.setting.gaps:
            batches = list(make_sampler(self.labels, self.settings.model_copy(update={"batch_size": size})))
            values = [float(loss(own[rows], self.labels[rows])) for rows in batches[:GAP_BATCHES]]
            found[f"batch {size}"] = sum(values) / len(values)
        return found


def _means(frame: pd.DataFrame) -> dict[str, float]:
    """The mean over the queries, by metric."""
    return {str(name): float(value) for name, value in frame.mean().items()}


def _weights(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters())
