"""Images per second of our loading, and its ratio to a plain torchvision loop over the same files.

    python -m tests.scale.images [--images 2000] [--threads 2] [--rounds 4]

Writes a tar of JPEGs of about 800 x 600 pixels, and loads it for `hgld benchmark` (decoding threads, batches; in place
of a network its first three numbers), for `hgld embed` (the same, and shards), and for `hgld train` (worker processes,
augmentation). The plain loop reads the same bytes, decodes them with PIL and applies the same transform, in as many
threads or worker processes. Both take turns, as other work on the machine does not slow down every moment alike. A
ratio above 1 means that ours is faster, by wall time or by CPU time.
"""

import argparse
import io
import os
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from hgld.benchmarks.evaluation.embedding import Embedder
from hgld.benchmarks.models.scored_model import ScoredModel
from hgld.benchmarks.training.setup import augmentation, make_sampler
from hgld.benchmarks.training.train import MARGIN, make_loader
from hgld.foundation.settings import load_params
from hgld.foundation.tables import write_parquet
from hgld.foundation.tar_images import ImageTars
from hgld.pipeline.acquisition.tar_index import scan_tar
from hgld.pipeline.embedding.clip import Clip, Vectors
from hgld.pipeline.embedding.image_embeddings import embed_images
from tests.paths import ROOT

SIDE = 224
BATCH = 64  # several in each turn
DISTINCT = 50  # pictures; the others are the same bytes under another name
# More images than the trainer keeps decoded in memory, as GLDv2 has: each is a row of the tar, again and again.
TRAIN_IMAGES, CLASSES = 20_000, 1_000


class Preprocess:
    """What a network needs: the shorter side scaled, a centre crop, and normalised pixels."""

    def __init__(self) -> None:
        self.steps = v2.Compose(
            [
                v2.Resize(SIDE, antialias=True),
                v2.CenterCrop(SIDE),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def __call__(self, image: Image.Image) -> Tensor:
        result: Tensor = self.steps(image)
        return result


class ThreeNumbers(nn.Module):
    """In place of a network."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Three pixels of each image."""
        return nn.functional.normalize(pixels[:, :, 0, 0], dim=1)


@dataclass(frozen=True)
class TarImages:
    """Rows of a tar as labelled images."""

    tars: ImageTars
    ids: list[str]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, n: int) -> Image.Image:
        """Image n."""
        return self.tars.image(self.ids[n])

    def caption(self, n: int) -> str:
        """The id."""
        return self.ids[n]


@dataclass(frozen=True)
class PlainFiles:
    """The same files as a plain loop reads them: position and size in the tar are known."""

    tar: Path
    places: Sequence[tuple[int, int]]
    descriptors: dict[int, int] = field(default_factory=dict)

    def image(self, n: int) -> Image.Image:
        """Image n, decoded with PIL."""
        if os.getpid() not in self.descriptors:
            self.descriptors[os.getpid()] = os.open(self.tar, os.O_RDONLY)
        offset, size = self.places[n % len(self.places)]
        return Image.open(io.BytesIO(os.pread(self.descriptors[os.getpid()], size, offset))).convert("RGB")


class PlainTrainImages(Dataset[tuple[Tensor, Tensor]]):
    """A plain torchvision dataset with the trainer's transforms."""

    def __init__(self, files: PlainFiles, labels: Tensor, size: int) -> None:
        self.files, self.labels = files, labels
        margin = round(size * MARGIN)
        self.steps = v2.Compose(
            [v2.Resize(margin, antialias=True), v2.CenterCrop(margin), v2.PILToTensor(), augmentation(size)]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, n: int) -> tuple[Tensor, Tensor]:
        return self.steps(self.files.image(n)), self.labels[n]


@dataclass
class Loop:
    """A loop over images, and what it took so far."""

    run: Callable[[], int]
    images: int = 0
    wall: float = 0.0
    cpu: float = 0.0

    def measure(self) -> None:
        """Run it once more."""
        wall, cpu = time.monotonic(), _cpu()
        self.images += self.run()
        self.wall += time.monotonic() - wall
        self.cpu += _cpu() - cpu


def main() -> None:
    """Write the tar, run the loops in turns, and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="images that each loop loads (default: 2000)")
    parser.add_argument("--threads", type=int, default=2, help="decoding threads, or worker processes (default: 2)")
    parser.add_argument("--rounds", type=int, default=4, help="turns of each loop (default: 4)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="hgld-images-") as scratch:
        folder = Path(scratch)
        files, ids = write_tar(folder, arguments.images)
        size = (folder / "train" / "images_000.tar").stat().st_size
        print(f"{len(ids):,} JPEGs of about 800 x 600, {size / len(ids) / 1e3:.0f} kB each")
        print(f"{'loading for':<12}{'ours/s':>9}{'plain/s':>9}{'wall ratio':>12}{'cpu ratio':>11}{'ms cpu each':>13}")
        with ImageTars(folder / "images.parquet", folder) as tars:
            part = max(1, arguments.images // arguments.rounds)
            for name, loops in {
                "benchmark": _benchmark_loops(tars, ids[:part], files, arguments.threads),
                "embed": _embed_loops(tars, ids[:part], files, arguments.threads, folder),
                "train": _train_loops(tars, ids, files, part, arguments.threads),
            }.items():
                report(name, *loops, rounds=arguments.rounds)
        print(f"peak memory of this process {_peak():,.0f} MB")


def report(name: str, ours: Loop, plain: Loop, rounds: int) -> None:
    """Run two loops in turns and print their speeds."""
    for number in range(rounds):
        for loop in (ours, plain) if number % 2 else (plain, ours):
            loop.measure()
    speeds = [loop.images / loop.wall for loop in (ours, plain)]
    each = [loop.cpu / loop.images for loop in (ours, plain)]
    print(
        f"{name:<12}{speeds[0]:>9.0f}{speeds[1]:>9.0f}{speeds[0] / speeds[1]:>12.2f}{each[1] / each[0]:>11.2f}"
        f"{1e3 * each[0]:>13.1f}",
        flush=True,
    )


def _benchmark_loops(tars: ImageTars, ids: list[str], files: PlainFiles, threads: int) -> tuple[Loop, Loop]:
    images = TarImages(tars, ids, torch.zeros(len(ids), 1, dtype=torch.int64))
    model = ScoredModel(
        name="none", identity="", network=ThreeNumbers(), preprocess=Preprocess(), input_pixels=SIDE**2, config={}
    )
    how = Embedder(batch=BATCH, device="cpu", threads=threads)
    return Loop(lambda: len(how.embed([model], images, "images").vectors)), _plain_threads(files, len(ids), threads)


def _embed_loops(tars: ImageTars, ids: list[str], files: PlainFiles, threads: int, folder: Path) -> tuple[Loop, Loop]:
    runs = iter(range(1_000_000))

    def load() -> int:
        clip = NoClip("none", str(next(runs)), None, Preprocess(), list, "cpu", threads)  # an identity of its own
        return len(embed_images(clip, tars, ids, BATCH, folder / "cache")[0])

    return Loop(load), _plain_threads(files, len(ids), threads)


class NoClip(Clip):
    """CLIP without a network."""

    def embed_images(self, inputs: Sequence[Tensor]) -> Vectors:
        """Three pixels of each image."""
        pixels: Vectors = torch.stack(list(inputs))[:, :, 0, 0].numpy()
        return pixels


def _plain_threads(files: PlainFiles, count: int, threads: int) -> Loop:
    """A plain loop over the first `count` files, in threads, a batch at a time."""
    preprocess = Preprocess()

    def load() -> int:
        done = 0
        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, count, BATCH):
                rows = range(start, min(start + BATCH, count))
                done += len(torch.stack(list(pool.map(lambda n: preprocess(files.image(n)), rows))))
        return done

    return Loop(load)


def _train_loops(tars: ImageTars, ids: list[str], files: PlainFiles, count: int, workers: int) -> tuple[Loop, Loop]:
    settings = load_params(ROOT / "params.yaml", "gldv2").train.model_copy(
        update={"threads": workers, "batch_size": BATCH, "image_size": SIDE}
    )
    labels = torch.arange(TRAIN_IMAGES)[:, None] % CLASSES
    images = TarImages(tars, [ids[n % len(ids)] for n in range(TRAIN_IMAGES)], labels)
    sampler = make_sampler(labels, settings)
    sampler.batches = max(1, count // BATCH)  # of an epoch
    ours = make_loader(images, labels, sampler, settings)
    assert ours.num_workers == workers, "too few images: they are decoded once, in this process"
    plain = DataLoader(PlainTrainImages(files, labels, SIDE), batch_sampler=sampler, num_workers=workers)
    return _epochs(ours), _epochs(plain)


def _epochs(loader: DataLoader[tuple[Tensor, Tensor]]) -> Loop:
    return Loop(lambda: sum(len(batch) for batch, _ in loader))


def write_tar(folder: Path, count: int) -> tuple[PlainFiles, list[str]]:
    """A tar of `count` JPEGs with its index; the files as a plain loop reads them, and the ids in the same order."""
    pictures = [_picture(number) for number in range(min(DISTINCT, count))]
    tar = folder / "train" / "images_000.tar"
    tar.parent.mkdir()
    with tarfile.open(tar, "w") as archive:
        for number in range(count):
            data = pictures[number % len(pictures)]
            member = tarfile.TarInfo(f"0/0/{number:016x}.jpg")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    index = scan_tar(tar, "train").images
    write_parquet(index, folder / "images.parquet")
    return PlainFiles(tar, list(zip(index["offset"], index["size"], strict=True))), list(index["id"])


def _picture(number: int) -> bytes:
    """A JPEG with structure of all sizes, of about 120 kB as GLDv2's."""
    rng = np.random.default_rng(number)
    width, height = int(rng.integers(760, 841)), int(rng.integers(560, 641))
    layers = [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (height // step + 1, width // step + 1, 3), dtype=np.uint8)).resize(
                (width, height), Image.Resampling.BICUBIC
            ),
            dtype=np.float32,
        )
        for step in (120, 30, 8, 2)
    ]
    pixels = sum(weight * layer for weight, layer in zip((0.5, 0.25, 0.15, 0.1), layers, strict=True))
    stream = io.BytesIO()
    Image.fromarray(np.asarray(pixels).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _cpu() -> float:
    """The CPU seconds of this process and of its workers that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
