"""What training and evaluation require of a dataset: image number n, its labels from fine to coarse, its role.

A new source of images implements `LabelledImages` and groups its roles in a `RetrievalDataset`; nothing else has to
change. The trainer takes the `train` images alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd
from PIL import Image
from torch import Tensor

from hgld.benchmarks.ranking.levels import check_hierarchy
from hgld.foundation.errors import HgldError


class LabelledImages(Protocol):
    """The images of one role. With `num_workers` > 0 a DataLoader pickles it."""

    @property
    def ids(self) -> Sequence[str]:
        """One id per image. A gallery image with the query's own id is not ranked."""

    @property
    def labels(self) -> Tensor:
        """(n, L) int64 class numbers, column 0 the finest level."""

    def __len__(self) -> int:
        """Number of images n."""

    def image(self, n: int) -> Image.Image:
        """Image n as RGB. Raises UnreadableImageError that names the image when it cannot be decoded."""

    def caption(self, n: int) -> str:
        """What image n shows, for people."""


@dataclass(frozen=True, kw_only=True)
class RetrievalDataset:
    """Three sets of images whose labels are numbered alike, and what is reported about the queries.

    levels: their names, finest first. class_names[l][c]: the name of class c at level l, "" for images without a label
    there. The other fields are optional.
    query_columns: one row per query, copied into the per-query results; query_group: the column of it by which the
    report groups the queries ("": no group). subsets: by name, a bool per query; each subset is also scored on its own.
    left_out: queries that the benchmark excludes. lists_differ: queries whose published list of relevant images is not
    the set of gallery images of their class. label_sources: per query, what its labels rest on, such as "wikidata", or
    "" for nothing; () where that is unknown. continents: per query, where its landmark is, several separated by `|`, ""
    where that is not known; () for data without places. broken_queries, broken_gallery: images left out as unreadable.
    name: what reports call the data; facts: what they say about it, such as where it is from. val: images that the data
    set aside for validation while training. official: measures that the data define by other rules than classes, by
    name, of the embeddings (Q, d) and (N, d) of all queries and gallery images.

    A role may be empty: see `require`. Where queries and gallery are the same images, they may be the same object.

    Raises HgldError for labels whose levels are in the wrong order.
    """

    train: LabelledImages
    query: LabelledImages
    gallery: LabelledImages
    levels: tuple[str, ...]
    class_names: tuple[tuple[str, ...], ...]
    query_columns: pd.DataFrame = field(default_factory=pd.DataFrame)
    query_group: str | None = None
    subsets: Mapping[str, Sequence[bool]] = field(default_factory=dict)
    label_sources: Sequence[str] = ()
    continents: Sequence[str] = ()
    left_out: int = 0
    lists_differ: int = 0
    broken_queries: int = 0
    broken_gallery: int = 0
    name: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    val: LabelledImages | None = None
    official: Callable[[Tensor, Tensor], Mapping[str, float]] | None = None

    def __post_init__(self) -> None:
        for role in ("train", "query", "gallery"):
            if len(getattr(self, role)):
                check_hierarchy(getattr(self, role).labels, f"labels of the {role} images")

    def require(self, *roles: str) -> None:
        """Raise HgldError if there are no images of one of the roles, such as train."""
        for role in roles:
            if not len(getattr(self, role)):
                protocol = self.facts.get("protocol", "")
                raise HgldError(f"{self.name or 'the data'}: no {role} images" + (f"; {protocol}" if protocol else ""))
