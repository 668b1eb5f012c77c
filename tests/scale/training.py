"""The start and the state of a training at GLDv2's size: a million images, 46,593 classes, three levels.

    python -m tests.scale.training [--images 1000000] [--classes 46593]

Measures what `hgld train` does before the first step, without decoding an image, in seconds and in peak memory above
that of the imports: reading the release and the index of the tars, numbering the labels, fingerprints of images,
labels and weights, sampler, network and losses, and the rows of the first batch; and the dealing of an epoch. Then the
size of the state file divided by that of all that is trained (the network of the profile gldv2 and the proxies of its
losses), by optimiser, and with EMA.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch

from hgld.benchmarks.datasets.release import COLUMNS, DEFAULT_LEVELS, ReleaseImages, encode
from hgld.benchmarks.models.network import Network
from hgld.benchmarks.training.checkpoint import TrainingState
from hgld.benchmarks.training.sampler import ProcessShard
from hgld.benchmarks.training.setup import contiguous_labels, make_sampler
from hgld.benchmarks.training.train import make_loader, prepared
from hgld.foundation.settings import Train, load_params
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.foundation.tar_images import ImageTars
from tests.paths import ROOT

LABELS, NATURAL, TARS = 78, 18, 20
STATES: dict[str, dict[str, Any]] = {
    "adamw (default)": {},
    "adamw, ema": {"ema": 0.999},
    "sgd": {"optimiser": "sgd"},
    "sgd, ema": {"optimiser": "sgd", "ema": 0.999},
}

T = TypeVar("T")


def main() -> None:
    """Write an index, start a training, and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=46_593)
    arguments = parser.parse_args()
    settings = load_params(ROOT / "params.yaml", "gldv2").train.model_copy(update={"pretrained": False, "threads": 2})
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory(prefix="hgld-training-") as scratch:
        folder = Path(scratch)
        writer = get_context("spawn").Process(
            target=write_release, args=(folder, arguments.images, arguments.classes)
        )  # another process, whose memory does not count
        writer.start()
        writer.join()
        print(f"{arguments.images:,} images, {arguments.classes:,} classes, {len(DEFAULT_LEVELS)} levels")
        measure_start(folder, settings)
        measure_states(settings, arguments.classes, folder)


def measure_start(folder: Path, settings: Train) -> None:
    """The parts of the start of a training, and the dealing of an epoch."""
    measured = Measured()
    tars = measured("index of the tars", lambda: ImageTars(folder / "images.parquet", folder))
    table = measured("table of the release", lambda: read_parquet(folder / "train.parquet"))
    (labels,), _ = measured("labels", lambda: encode([table], DEFAULT_LEVELS))
    images = ReleaseImages(list(table["image_id"]), list(table["category"]), labels, tars)
    measured("fingerprint of the images", images.fingerprint)
    numbers = measured("labels without gaps", lambda: contiguous_labels(labels))
    sampler = measured("sampler", lambda: make_sampler(numbers, settings))
    measured("loader", lambda: make_loader(images, numbers, sampler, settings))
    measured("network, losses, fingerprints", lambda: prepared(images, numbers, settings, "cpu", 0))
    measured("rows of the first batch", lambda: next(iter(ProcessShard(sampler, 0, 1))))
    measured.total("start")
    measured("dealing an epoch", lambda: sum(1 for _ in ProcessShard(sampler, 0, 1)))
    tars.close()


def measure_states(settings: Train, classes: int, folder: Path) -> None:
    """The size of the state file by optimiser, after a step."""
    labels = torch.stack([torch.arange(classes), torch.arange(classes) % LABELS, torch.arange(classes) % 2], 1)
    images = ReleaseImages([""] * classes, [], labels, None)  # type: ignore[arg-type]  # none is read
    print(f"\n{'state file':<32}{'MB':>9}{'x weights':>11}{'wall s':>9}")
    for name, changes in STATES.items():
        state, inputs = prepared(images, labels, settings.model_copy(update=changes), "cpu", 0)
        step(state)
        started = time.monotonic()
        state.save_epoch(folder / "state.pt", inputs)
        size, seconds = (folder / "state.pt").stat().st_size, time.monotonic() - started
        print(f"{name:<32}{size / 1e6:>9,.0f}{size / weight_bytes(state):>11.2f}{seconds:>9.1f}", flush=True)


def step(state: TrainingState) -> None:
    """A step of all optimisers, after which they hold their averages."""
    for schedule in state.schedules:
        for group in schedule.optimiser.param_groups:
            for weight in group["params"]:
                weight.grad = torch.ones_like(weight)
        schedule.optimiser.step()
        schedule.optimiser.zero_grad(set_to_none=True)


def weight_bytes(state: TrainingState) -> int:
    """The bytes of all that is trained: the network with its batch statistics, and the proxies."""
    modules: list[Network | torch.nn.Module] = [state.network, *state.proxy_losses()]
    return sum(value.nbytes for module in modules for value in module.state_dict().values())


class Measured:
    """Prints what each part takes, and what all took together."""

    def __init__(self) -> None:
        self.wall, self.cpu, self.base = time.monotonic(), time.process_time(), _peak()
        print(f"{'part':<32}{'wall s':>9}{'cpu s':>9}{'MB more':>10}")

    def __call__(self, name: str, part: Callable[[], T]) -> T:
        """The result of a part."""
        wall, cpu = time.monotonic(), time.process_time()
        result = part()
        self._print(name, wall, cpu)
        return result

    def total(self, name: str) -> None:
        """Print the sum of all parts so far."""
        self._print(name, self.wall, self.cpu)

    def _print(self, name: str, wall: float, cpu: float) -> None:
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        print(f"{name:<32}{wall:>9.1f}{cpu:>9.1f}{_peak() - self.base:>10,.0f}", flush=True)


def write_release(folder: Path, images: int, classes: int) -> None:
    """Write an index of images in (empty) tars, and their rows of the release, with a long tail of classes."""
    rng = np.random.default_rng(0)
    weight = 1.0 / np.arange(1, classes + 1) ** 0.75
    rest = rng.choice(classes, size=max(0, images - classes), p=weight / weight.sum())
    landmark = rng.permutation(np.concatenate([np.arange(classes), rest])[:images])
    mixed = np.arange(images, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # odd, so a bijection
    ids = [f"{number:016x}" for number in np.sort(mixed).tolist()]
    names = [f"train/images_{number:03d}.tar" for number in range(TARS)]
    (folder / "train").mkdir()
    for name in names:
        (folder / name).touch()
    size = rng.integers(60_000, 180_000, images)
    index = {"id": ids, "split": "train", "tar": [names[n % TARS] for n in range(images)], "offset": size.cumsum()}
    write_parquet(pd.DataFrame({**index, "size": size}), folder / "images.parquet")
    label = landmark * 7919 % LABELS
    columns = ([f"Église Saint-Rémy {n}" for n in landmark], [f"group {n // 3}" for n in label],
               [f"label {n}" for n in label], np.where(label < NATURAL, "natural", "human-made"))  # fmt: skip
    release = pd.DataFrame({"image_id": ids, **dict(zip(COLUMNS, columns, strict=True))})
    write_parquet(release, folder / "train.parquet")


def _peak() -> float:
    """The largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
