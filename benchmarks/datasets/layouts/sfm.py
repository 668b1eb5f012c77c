"""retrieval-SfM-120k (Radenović et al., TPAMI 2019): photographs in clusters, each a reconstructed place.

retrieval-SfM-120k.pkl with `train` and `val` (`cids` and `cluster` of each image), and ims/, where image
...abcdef is ims/ef/cd/ab/...abcdef. It has no test images; val is for validation while training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hgld.benchmarks.datasets.files.image_list import ImageList
from hgld.benchmarks.datasets.files.splits import protocol_of
from hgld.benchmarks.datasets.layouts.list_files import chosen_levels, only_split, required
from hgld.benchmarks.protocols.plain_pickle import Array, load_plain
from hgld.foundation.errors import HgldError

TITLE = "retrieval-SfM-120k"
_MOST_BYTES, _MOST_VALUES = 1 << 26, 100_000_000


def read(folder: Path, levels: Sequence[str] | None, split: str | None) -> ImageList:
    """The images of `train` and `val`. A cluster is one of its part: the parts number theirs independently."""
    only_split(split, TITLE)
    chosen = chosen_levels(levels, ("cluster",), TITLE)
    path = required(folder / "retrieval-SfM-120k.pkl", TITLE)
    content = load_plain(path, most_bytes=_MOST_BYTES, most_values=_MOST_VALUES)
    tables = []
    for role in ("train", "val"):
        part = content.get(role) if isinstance(content, dict) else None
        ids, clusters = (_values(part.get(key)) if isinstance(part, dict) else None for key in ("cids", "cluster"))
        if ids is None or clusters is None or len(ids) != len(clusters):
            raise HgldError(f"{TITLE}: {path}: expected {role} with lists cids and cluster of one length")
        cids = [str(cid) for cid in ids]
        for cid in cids:
            if len(cid) < 6 or not cid.isalnum():
                raise HgldError(f"{TITLE}: {path}: {cid[:60]!r} is not the id of an image")
        paths = [f"ims/{cid[-2:]}/{cid[-4:-2]}/{cid[-6:-4]}/{cid}" for cid in cids]
        table = {"path": paths, "id": cids, "cluster": [f"{role} {cluster}" for cluster in clusters], "split": role}
        tables.append(pd.DataFrame(table))
    rows = pd.concat(tables, ignore_index=True)
    return ImageList(
        name=TITLE,
        folder=folder,
        rows=rows[["path", "split", "id", "cluster"]].astype("str"),
        levels=chosen,
        protocol=protocol_of(set(rows["split"]), str(path)),
        facts={"data": f"{TITLE}, {path.name}", "split": "the official one, train and val"},
    )


def _values(value: object) -> list[object] | None:
    if isinstance(value, Array):
        return list(value.tolist())
    return list(value) if isinstance(value, list | tuple) else None
