"""Images to embeddings: decoded in threads ahead of the network, kept in shards, shared by the processes of torchrun.

A shard is used again when the model's identity, the images' fingerprint and all else that changes the numbers are
equal. JPEGs are decoded at full size: Pillow's `draft` mode would be faster, but gives other pixels, and other scores.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Never

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from hgld.benchmarks.datasets.labelled_images import LabelledImages
from hgld.benchmarks.datasets.survey_cache import DECODER, Fingerprinted
from hgld.benchmarks.models.scored_model import ScoredModel
from hgld.benchmarks.ranking.threads import Map, single_core_threads
from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError, lacks_memory, reason
from hgld.foundation.tar_images import UnreadableImageError
from hgld.foundation.vector_shards import NO_VECTORS, Rank, Shard, collect, read_shard, write_shard

# Inputs of a batch: a few gigabytes at most in the network. 256 images of 224 px are fewer.
MAX_BATCH_PIXELS = 2**24
SHARD = 512  # images at least; always whole batches, so that shards do not change what is computed together
AHEAD = 2  # batches that are decoded before the network needs them


@dataclass(frozen=True, kw_only=True)
class Embedder:
    """How images are embedded.

    batch: images at a time, fewer if they are large. threads: that decode. cache: the folder of the shards; None: none
    are kept. half: the network computes in half precision (float16 on a GPU, bfloat16 on a CPU). rank: whose shards are
    computed.
    """

    batch: int
    device: str
    threads: int
    cache: Path | None = None
    half: bool = False
    rank: Rank = field(default_factory=Rank)

    def embed(self, models: Sequence[ScoredModel], images: LabelledImages, what: str) -> Embedded:
        """The embeddings of the first model. Those of the others, which take the same inputs, only become shards.

        what: the name of the images for the progress bar. A rank other than 0 returns no other shards than its own.
        """
        run = _Run.of(self, models, images)
        order = self.rank.order(len(run.parts))
        total = sum(len(run.parts[number]) for number in order)
        with tqdm(total=total, unit="image", desc=f"embed {what}", disable=None) as bar:
            sizes = [len(part) for part in run.parts]
            vectors, broken = collect(sizes, run.shards(order, bar))
        return Embedded(torch.from_numpy(vectors), {int(row): text for row, text in sorted(broken.items())})


class Embedded(NamedTuple):
    """Embeddings (n, d) of the images that can be read, in order; and the reason for each of the others, by row."""

    vectors: Tensor
    broken: dict[int, str]


def embed(
    model: ScoredModel, images: LabelledImages, *, batch: int, device: str, threads: int, cache: Path | None = None
) -> Tensor:
    """The embeddings of all images in order, (n, d) float32. Raises HgldError for an image that cannot be read."""
    vectors, broken = Embedder(batch=batch, device=device, threads=threads, cache=cache).embed(
        [model], images, "images"
    )
    if broken:
        raise HgldError(f"{len(broken)} of {len(images)} images cannot be read; the first: {broken[min(broken)]}")
    return vectors


class _Decoded(NamedTuple):
    """The inputs (b, …) of the images of a batch that can be read, None without any; reasons for the others, by row."""

    inputs: Tensor | None
    broken: dict[str, str]


@dataclass(frozen=True)
class _Run:
    """One set of images and the models that embed it; parts: the rows of each shard; keys: of each model's shards."""

    how: Embedder
    models: Sequence[ScoredModel]
    images: LabelledImages
    batch: int
    parts: list[range]
    keys: list[str | None]

    @classmethod
    def of(cls, how: Embedder, models: Sequence[ScoredModel], images: LabelledImages) -> _Run:
        batch = max(1, min(how.batch, MAX_BATCH_PIXELS // models[0].input_pixels))
        step = batch * max(1, SHARD // batch)
        parts = [range(start, min(start + step, len(images))) for start in range(0, len(images), step)]
        state = images.fingerprint() if how.cache and isinstance(images, Fingerprinted) else None
        keys = [None if state is None else _key(model, how, batch, state) for model in models]
        return cls(how, models, images, batch, parts, keys)

    def path(self, model: int, number: int) -> Path | None:
        """The file of a shard."""
        key, part = self.keys[model], self.parts[number]
        if self.how.cache is None or key is None:
            return None
        name = hashlib.sha256(f"{key} {part.start} {part.stop}".encode()).hexdigest()
        return self.how.cache / f"{name}.npz"

    def shards(self, order: Iterable[int], bar: tqdm[Never]) -> Iterator[tuple[int, Shard]]:
        """The shards (number, shard) of the first model, from the cache or computed and then kept."""
        # Two producers: the threads decode the next batch while one is stacked. Without threads a producer decodes.
        producers = 2 if self.how.threads > 1 else 1
        with single_core_threads(self.how.threads) as parallel_map, ThreadPoolExecutor(producers) as producer:
            networks = [model.network.to(self.how.device).eval() for model in self.models]
            done: list[list[Tensor]] = [[] for _ in networks]
            broken: dict[str, str] = {}
            for number, work, last in _ahead(self._work(order, producer, parallel_map)):
                if isinstance(work, Shard):
                    bar.update(len(self.parts[number]))
                    yield number, work
                    continue
                inputs, reasons = work.result()
                broken |= reasons
                if inputs is not None:
                    for model, network, outputs in zip(self.models, networks, done, strict=True):
                        outputs.append(_forward(model.name, network, inputs, self.how))
                bar.update(len(reasons) + (0 if inputs is None else len(inputs)))
                if last:
                    yield number, self._keep(number, done, broken)
                    done, broken = [[] for _ in networks], {}

    def _work(
        self, order: Iterable[int], producer: ThreadPoolExecutor, parallel_map: Map
    ) -> Iterator[tuple[int, Shard | Future[_Decoded], bool]]:
        """For each shard its contents, or one after another its batches being decoded; and whether it is the last."""
        for number in order:
            part, path = self.parts[number], self.path(0, number)
            if path is not None and (shard := read_shard(path, len(part))) is not None:
                yield number, shard, True
                continue
            for start in range(0, len(part), self.batch):
                rows = part[start : start + self.batch]
                yield number, producer.submit(self._decode, rows, parallel_map), rows.stop == part.stop

    def _decode(self, rows: range, parallel_map: Map) -> _Decoded:
        def look(row: int) -> Tensor | str:
            try:
                return self.models[0].preprocess(self.images.image(row))
            except UnreadableImageError as error:
                return str(error)

        results = parallel_map(look, rows)
        inputs = [result for result in results if isinstance(result, Tensor)]
        broken = {str(row): result for row, result in zip(rows, results, strict=True) if isinstance(result, str)}
        return _Decoded(torch.stack(inputs) if inputs else None, broken)

    def _keep(self, number: int, done: list[list[Tensor]], broken: dict[str, str]) -> Shard:
        shards = [Shard(torch.cat(out).numpy() if out else NO_VECTORS, broken) for out in done]
        for model, shard in enumerate(shards):
            if not np.isfinite(shard.vectors).all():
                remedy = " in half precision; leave out --half" if self.how.half else ""
                raise HgldError(f"{self.models[model].name}: embeddings that are not finite numbers{remedy}")
            if (path := self.path(model, number)) is not None:
                try:
                    write_shard(shard, path)
                except HgldError:
                    if self.how.rank.world > 1:  # the ranks communicate through the shards
                        raise
                    echo_once(f"{path.parent}: embeddings cannot be kept there, and are computed again the next time")
        return shards[0]


def _ahead(
    work: Iterator[tuple[int, Shard | Future[_Decoded], bool]],
) -> Iterator[tuple[int, Shard | Future[_Decoded], bool]]:
    """The same items, each begun AHEAD items before it is needed."""
    begun: deque[tuple[int, Shard | Future[_Decoded], bool]] = deque()
    for item in work:
        begun.append(item)
        if len(begun) > AHEAD:
            yield begun.popleft()
    yield from begun


@torch.inference_mode()
def _forward(name: str, network: torch.nn.Module, inputs: Tensor, how: Embedder) -> Tensor:
    kind = torch.device(how.device).type
    try:
        with torch.autocast(kind, dtype=torch.float16 if kind == "cuda" else torch.bfloat16, enabled=how.half):
            outputs: Tensor = network(inputs.to(how.device))
    except Exception as error:  # programs that came with their code raise anything
        if not how.half or isinstance(error, HgldError) or lacks_memory(error):
            raise
        raise HgldError(
            f"{name}: cannot be computed in half precision ({reason(error)[:200]}); leave out --half"
        ) from None
    return torch.nn.functional.normalize(outputs.float(), dim=1).cpu() if how.half else outputs.float().cpu()


def _key(model: ScoredModel, how: Embedder, batch: int, state: str) -> str:
    """A hash of all that the embeddings depend on; device, batch and version of torch change the last bits."""
    kind = torch.device(how.device).type
    settings = [model.identity, kind, how.half, batch, str(torch.__version__), DECODER, state]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()


_ECHOED: set[str] = set()


def echo_once(line: str) -> None:
    """Print a line, the first time that it occurs."""
    if line not in _ECHOED:
        _ECHOED.add(line)
        echo(line)
