"""The output of the stage `embed`: vectors of images and of label prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hgld.foundation.errors import HgldError, reason
from hgld.foundation.files import read_json, remedy
from hgld.hierarchy.fusion.calibration import Floats
from hgld.hierarchy.fusion.proposals import Floats as Vectors
from hgld.hierarchy.fusion.proposals import label_vectors
from hgld.pipeline.dataset.schemas import read_stage_table

# Vectors that are checked at once, and how far their length may be from 1: the network may compute with 16 bits.
_PART = 1 << 16
_TOLERANCE = 0.01


@dataclass(frozen=True)
class EmbeddedImages:
    """Image vectors (N, D) with their categories (N,), sorted by image id; labels (L,) with their vectors (L, D)."""

    vectors: Vectors
    categories: list[str]
    labels: list[str]
    label_vectors: Floats
    model: str

    def limited(self, count: int) -> "EmbeddedImages":
        """At most `count` images of each category, the first by id."""
        rows = np.flatnonzero(pd.Series(self.categories).groupby(self.categories).cumcount() < count)
        categories = [self.categories[row] for row in rows]
        return EmbeddedImages(self.vectors[rows], categories, self.labels, self.label_vectors, self.model)


def read_embedded_images(folder: Path) -> EmbeddedImages:
    """Read the output folder of `embed`; the vectors are memory-mapped.

    Raises HgldError when an array does not match its table, or the summary names no model.
    """
    vectors, images = _read_vectors(folder, "images")
    prompt_vectors, prompts = _read_vectors(folder, "prompts")
    model = read_json(folder / "summary.json").get("model")
    if not isinstance(model, str):
        raise HgldError(f"{folder / 'summary.json'}: names no model; {remedy(folder / 'summary.json')}")
    if vectors.shape[1] != prompt_vectors.shape[1] and len(vectors):
        raise HgldError(
            f"{folder}: images.npy has {vectors.shape[1]} columns and prompts.npy {prompt_vectors.shape[1]}: not from "
            f"the same run; {remedy(folder / 'images.npy')}"
        )
    labels, of_labels = label_vectors(prompt_vectors, list(prompts["hierarchical_label"]))
    return EmbeddedImages(vectors, list(map(str, images["category"])), labels, of_labels, model)


def _read_vectors(folder: Path, name: str) -> tuple["np.ndarray[tuple[int, int], np.dtype[np.float32]]", pd.DataFrame]:
    rows = read_stage_table(folder / f"{name}.parquet")
    path = folder / f"{name}.npy"
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise HgldError(f"{path}: not an array of vectors ({reason(error)}); {remedy(path)}") from None
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or len(vectors) != len(rows):
        shape = getattr(vectors, "shape", "no")
        raise HgldError(f"{path}: {shape} vectors for {len(rows)} rows; {remedy(path)}")
    if vectors.dtype != np.float32:
        raise HgldError(f"{path}: expected float32, found {vectors.dtype}; {remedy(path)}")
    _check_norms(vectors, path)
    return vectors, rows


def _check_norms(vectors: "np.ndarray[tuple[int, int], np.dtype[np.float32]]", path: Path) -> None:
    """Raise HgldError unless every vector, if it has any component, has the length 1; in parts, for memory."""
    for start in range(0, len(vectors) if vectors.shape[1] else 0, _PART):
        norms = np.linalg.norm(vectors[start : start + _PART], axis=1)
        wrong = np.flatnonzero(~(np.abs(norms - 1) < _TOLERANCE))  # true of nan
        if len(wrong):
            raise HgldError(
                f"{path}: row {start + wrong[0]} has the length {norms[wrong[0]]:g}, and not 1; {remedy(path)}"
            )


def aligned(probabilities: Floats, names: Sequence[str], categories: Sequence[str]) -> Floats:
    """Rows (N, L) of the categories `names` (N,) in the order of `categories` → (C, L); uniform where there is none."""
    frame = pd.DataFrame(probabilities, index=list(names))
    filled = frame.reindex(list(categories), fill_value=1 / probabilities.shape[1])
    # C order, because sums over a row differ in the last bits otherwise
    return np.ascontiguousarray(filled.to_numpy(), dtype=np.float64)
