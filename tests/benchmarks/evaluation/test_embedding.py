"""Embedding: equal to a plain loop, resumed from shards, recomputed when anything changes, shared by processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor

from hgld.benchmarks.evaluation import embedding
from hgld.benchmarks.evaluation.embedding import Embedded, Embedder, embed
from hgld.benchmarks.models.scored_model import ScoredModel
from hgld.foundation.errors import HgldError
from hgld.foundation.tar_images import UnreadableImageError
from hgld.foundation.vector_shards import Rank
from tests.paths import ROOT


@dataclass
class NoisyImages:
    """Images of noise; `state` stands for the state of their files, `bad` are unreadable."""

    count: int
    state: str = "as first"
    bad: tuple[int, ...] = ()
    wait: float = 0.0
    read: int = 0

    def __len__(self) -> int:
        return self.count

    @property
    def ids(self) -> list[str]:
        return [f"i{n}" for n in range(self.count)]

    @property
    def labels(self) -> Tensor:
        return torch.arange(self.count)[:, None] % 3

    def image(self, n: int) -> Image.Image:
        self.read += 1
        time.sleep(self.wait)
        if n in self.bad:
            raise UnreadableImageError(f"image i{n}: not a picture")
        return Image.fromarray(np.random.default_rng(n).integers(0, 256, (16, 16, 3), dtype=np.uint8))

    def caption(self, n: int) -> str:
        return f"noise {n}"

    def fingerprint(self) -> str:
        return self.state


class Mean(nn.Module):
    """Counts the images that it sees."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(16 * 16 * 3, 8, generator=generator))
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return nn.functional.normalize(images.float().flatten(1) @ self.weight, dim=1)


def preprocess(image: Image.Image) -> Tensor:
    tensor: Tensor = pil_to_tensor(image)
    return tensor


def model(identity: str = "a", seed: int = 0) -> ScoredModel:
    return ScoredModel(
        name="mean", identity=identity, network=Mean(seed), preprocess=preprocess, input_pixels=256, config={}
    )


def plain_loop(network: nn.Module, images: NoisyImages, batch: int) -> Tensor:
    rows = [row for row in range(len(images)) if row not in images.bad]
    parts = []
    for start in range(0, len(images), batch):
        chosen = [row for row in rows if start <= row < start + batch]
        if chosen:
            parts.append(network(torch.stack([preprocess(images.image(row)) for row in chosen])))
    return torch.cat(parts).detach()


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "SHARD", 8)


def seen(scored: ScoredModel) -> int:
    assert isinstance(scored.network, Mean)
    return scored.network.seen


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("cached", [False, True])
def test_embeddings_are_those_of_a_plain_loop_bit_for_bit(tmp_path: Path, threads: int, cached: bool) -> None:
    images = NoisyImages(29, bad=(3, 4, 5, 11, 28))
    how = Embedder(batch=3, device="cpu", threads=threads, cache=tmp_path if cached else None)
    expected = plain_loop(Mean(), images, batch=3)
    for _ in range(2):
        found = how.embed([model()], images, "test")
        assert torch.equal(found.vectors, expected)
        assert found.broken == {row: f"image i{row}: not a picture" for row in images.bad}


def test_a_second_run_neither_decodes_nor_computes(tmp_path: Path) -> None:
    how = Embedder(batch=4, device="cpu", threads=2, cache=tmp_path)
    first, images, again = model(), NoisyImages(20), model()
    expected = how.embed([first], images, "test").vectors
    images.read = 0
    assert torch.equal(how.embed([again], images, "test").vectors, expected)
    assert (seen(first), seen(again), images.read) == (20, 0, 0)


CHANGES: dict[str, Callable[[Embedder, ScoredModel, NoisyImages], tuple[Embedder, ScoredModel, NoisyImages]]] = {
    "weights": lambda how, scored, images: (how, replace(scored, identity="b"), images),
    "images": lambda how, scored, images: (how, scored, replace(images, state="replaced")),
    "number of images": lambda how, scored, images: (how, scored, replace(images, count=19, state="others")),
    "batch": lambda how, scored, images: (replace(how, batch=5), scored, images),
    "precision": lambda how, scored, images: (replace(how, half=True), scored, images),
}


@pytest.mark.parametrize("change", CHANGES)
def test_shards_are_not_used_after_a_change_of(tmp_path: Path, change: str) -> None:
    how, images = Embedder(batch=4, device="cpu", threads=1, cache=tmp_path), NoisyImages(20)
    how.embed([model()], images, "test")
    how, scored, images = CHANGES[change](how, model(), replace(images, read=0))
    how.embed([scored], images, "test")
    assert seen(scored) == len(images)


def test_images_without_a_fingerprint_are_never_cached(tmp_path: Path) -> None:
    class Plain:
        def __init__(self, images: NoisyImages) -> None:
            self.ids, self.labels, self.image, self.caption = images.ids, images.labels, images.image, images.caption

        def __len__(self) -> int:
            return len(self.ids)

    Embedder(batch=4, device="cpu", threads=1, cache=tmp_path).embed([model()], Plain(NoisyImages(9)), "test")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_shard_is_computed_again_with_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    how, images = Embedder(batch=4, device="cpu", threads=1, cache=tmp_path), NoisyImages(20)
    expected = how.embed([model()], images, "test").vectors
    damaged = sorted(tmp_path.iterdir())[1]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    scored = model()
    assert torch.equal(how.embed([scored], images, "test").vectors, expected)
    assert 0 < seen(scored) <= 8
    assert f"{damaged}: a damaged shard" in capsys.readouterr().out
    assert damaged.read_bytes() == whole


def test_a_second_network_finds_what_was_computed_along_with_the_first(tmp_path: Path) -> None:
    how, images = Embedder(batch=4, device="cpu", threads=1, cache=tmp_path), NoisyImages(20, bad=(7,))
    how.embed([model(), model("untrained", seed=1)], images, "test")
    second = model("untrained", seed=1)
    images.read = 0
    assert torch.equal(how.embed([second], images, "test").vectors, plain_loop(Mean(1), images, 4))
    assert seen(second) == 0


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    how, images = Embedder(batch=4, device="cpu", threads=1, cache=tmp_path / "file" / "cache"), NoisyImages(20)
    assert torch.equal(how.embed([model()], images, "test").vectors, plain_loop(Mean(), images, 4))
    assert capsys.readouterr().out.count("embeddings cannot be kept there") == 1
    with pytest.raises(HgldError, match="cannot write"):
        replace(how, rank=Rank(0, 2)).embed([model()], images, "test")


def test_embed_raises_for_an_image_that_cannot_be_read() -> None:
    with pytest.raises(HgldError, match="1 of 5 images cannot be read; the first: image i2"):
        embed(model(), NoisyImages(5, bad=(2,)), batch=2, device="cpu", threads=1)
    assert embed(model(), NoisyImages(5), batch=2, device="cpu", threads=1).shape == (5, 8)


def test_embeddings_that_are_not_finite_are_refused() -> None:
    scored = model()
    assert isinstance(scored.network, Mean)
    scored.network.weight.data[0] = torch.nan
    with pytest.raises(HgldError, match="mean: embeddings that are not finite"):
        embed(scored, NoisyImages(5), batch=2, device="cpu", threads=1)


def test_half_precision_is_close(tmp_path: Path) -> None:
    images = NoisyImages(12)
    how = Embedder(batch=4, device="cpu", threads=1, half=True)
    half, full = how.embed([model()], images, "test").vectors, plain_loop(Mean(), images, 4)
    assert half.dtype == torch.float32
    assert not torch.equal(half, full)
    assert torch.allclose(half, full, atol=0.02)


_PROCESS = """
import sys
from pathlib import Path
from hgld.benchmarks.evaluation import embedding
from hgld.foundation.vector_shards import this_rank
from tests.benchmarks.evaluation.test_embedding import NoisyImages, model
embedding.SHARD = 8
how = embedding.Embedder(batch=4, device="cpu", threads=1, cache=Path(sys.argv[1]), rank=this_rank())
found = how.embed([model()], NoisyImages(61, bad=(20,), wait=float(sys.argv[2])), "test")
print(found.vectors.numpy().tobytes().hex() if not how.rank.number else "")
"""


def start(cache: Path, wait: float, rank: int = 0, world: int = 1) -> subprocess.Popen[str]:
    env = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / '.typing'}{os.pathsep}{ROOT}",
        "RANK": str(rank),
        "WORLD_SIZE": str(world),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", _PROCESS, str(cache), str(wait)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def found_by(process: subprocess.Popen[str]) -> str:
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0
    return output.strip()


def test_a_killed_run_resumed_by_two_at_once_and_two_ranks_give_what_one_process_gives(tmp_path: Path) -> None:
    single: Embedded = Embedder(batch=4, device="cpu", threads=1, cache=tmp_path / "one").embed(
        [model()], NoisyImages(61, bad=(20,)), "test"
    )
    expected = single.vectors.numpy().tobytes().hex()
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}

    killed = start(tmp_path / "killed", wait=0.05)
    while not (tmp_path / "killed").is_dir() or len(list((tmp_path / "killed").glob("*.npz"))) < 2:
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    processes = [
        start(tmp_path / "killed", wait=0.0),
        start(tmp_path / "killed", wait=0.0),
        start(tmp_path / "ranks", wait=0.0, rank=1, world=2),
        start(tmp_path / "ranks", wait=0.0, rank=0, world=2),
    ]
    outputs = [found_by(process) for process in processes]
    assert [output == expected for output in outputs] == [True, True, False, True]
    for folder in ("killed", "ranks"):
        assert {path.name: path.read_bytes() for path in (tmp_path / folder).glob("*.npz")} == files
