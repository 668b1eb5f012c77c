"""Scores at GLDv2's own size: 1,129 queries against 761,757 index images, with three levels.

    python -m tests.scale.retrieval [--fraction 1.0] [--dim 128] [--threads 2]

Measures what `hgld benchmark` does after embedding: the model's scores, the nearest ten, chance, and the untrained
network's scores. Prints seconds, CPU seconds, and the peak of memory above that of the embeddings.
"""

import argparse
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from hgld.benchmarks.datasets.labelled_images import RetrievalDataset
from hgld.benchmarks.evaluation.embedding import Embedder
from hgld.benchmarks.evaluation.scoring import score
from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.models.scored_model import Precomputed
from hgld.benchmarks.ranking.allocator import keep_freed_memory
from hgld.foundation.settings import load_params
from tests.paths import ROOT

QUERIES, GALLERY, LANDMARKS, LABELS, NATURAL = 1_129, 761_757, 101_302, 78, 18


@dataclass(frozen=True)
class Labels:
    """Images that are never looked at."""

    ids: Sequence[str]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, n: int) -> Image.Image:
        """No image is needed for embeddings that exist."""
        raise NotImplementedError

    def caption(self, n: int) -> str:
        """The id."""
        return self.ids[n]


def labelled(role: str, count: int, generator: torch.Generator) -> Labels:
    """Landmarks of unequal size, each with its label, natural or human-made."""
    landmark = (torch.rand(count, generator=generator) ** 2 * LANDMARKS).long()
    label = landmark * 7919 % LABELS
    return Labels(
        [f"{role}{n:012x}" for n in range(count)], torch.stack([landmark, label, (label < NATURAL).long()], 1)
    )


def main() -> None:
    """Generate embeddings, score them, and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fraction", type=float, default=1.0, help="fraction of GLDv2's size (default: 1)")
    parser.add_argument("--dim", type=int, default=128, help="numbers per embedding (default: 128)")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    settings = load_params(ROOT / "params.yaml", "gldv2").benchmark
    generator = torch.Generator().manual_seed(0)
    sizes = [max(1, int(count * arguments.fraction)) for count in (QUERIES, GALLERY)]
    query, gallery = (labelled(role, size, generator) for role, size in zip("qg", sizes, strict=True))
    dataset = RetrievalDataset(
        train=labelled("t", 1, generator), query=query, gallery=gallery,
        levels=("landmark", "label", "natural"), class_names=((), (), ()),
    )  # fmt: skip
    vectors = torch.randn(sum(sizes), arguments.dim, generator=generator)
    vectors = torch.nn.functional.normalize(vectors, dim=1, out=vectors)
    model = Precomputed(name="random", identity="", ids=(*query.ids, *gallery.ids), vectors=vectors, config={})
    base = _peak()
    print(f"{sizes[0]:,} queries, {sizes[1]:,} index images, {vectors.nbytes / 1e6:,.0f} MB of embeddings")
    print(f"{'part':<28}{'wall s':>9}{'cpu s':>9}{'MB more':>10}")
    with Measured("model, nearest, chance", base):
        result, _ = score(model, dataset, settings, Embedder(batch=1, device="cpu", threads=1))
    with Measured("untrained", base):
        evaluate(
            *(vectors[: sizes[0]], query.labels, vectors[sizes[0] :], gallery.labels),
            query_ids=query.ids, gallery_ids=gallery.ids, metrics=list(settings.metrics),
        )  # fmt: skip
    assert result.nearest.shape == (sizes[0], 10)


class Measured:
    """Prints the seconds of a block, and the memory up to its end."""

    def __init__(self, name: str, base: float) -> None:
        self.name, self.base = name, base

    def __enter__(self) -> None:
        self.wall, self.cpu = time.monotonic(), time.process_time()

    def __exit__(self, *_: object) -> None:
        wall, cpu = time.monotonic() - self.wall, time.process_time() - self.cpu
        print(f"{self.name:<28}{wall:>9.1f}{cpu:>9.1f}{_peak() - self.base:>10,.0f}", flush=True)


def _peak() -> float:
    """The largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
