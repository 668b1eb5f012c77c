"""Images with their labels as WebDataset shards: tars with ID.jpg and ID.json beside each other."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.foundation.tar_images import ImageTars, UnreadableImageError
from hgld.pipeline.release.export.sources import Source

SPLITS = ("train", "index", "test")
_BLOCK = 512
_RECORD = tarfile.RECORDSIZE  # the size of a tar is a multiple of it


@dataclass
class ShardCounts:
    """Of one split: the images in its shards, those whose tar is not here, and those that cannot be read."""

    written: int = 0
    absent: int = 0
    unreadable: int = 0


def write_shards(sources: Sequence[Source], images: Path, folder: Path, shard_bytes: int) -> dict[str, ShardCounts]:
    """Write `folder`/SPLIT-000000.tar, … and SPLIT.json, the list of the shards with their numbers of images.

    The images come in the order of their ids, which is random, and keep their bytes. A shard has at most `shard_bytes`,
    or one image. Owner, time and mode are fixed, so that equal inputs give equal bytes.

    images: a folder with images.parquet and the tars, as the stage `images` writes it.

    Raises HgldError when there are no tars, when a tar is damaged, and when no image of the tables is in them.
    """
    counts = {}
    with ImageTars(images / "images.parquet", images) as tars:
        for source in sources:
            counts[source.name] = _write_split(source, tars, folder, shard_bytes)
    if not any(count.written for count in counts.values()):
        raise HgldError(f"{images}: none of the images of {', '.join(counts)} is in its tars; run: hgld images")
    return counts


def _write_split(source: Source, tars: ImageTars, folder: Path, shard_bytes: int) -> ShardCounts:
    counts = ShardCounts()
    with closing(_Shards(folder, source.name, shard_bytes)) as shards:
        for batch in source.batches():
            for labels in batch.to_pylist():
                image_id = labels["image_id"]
                if image_id not in tars:
                    counts.absent += 1
                    continue
                try:
                    picture = tars.read(image_id)
                except UnreadableImageError:
                    counts.unreadable += 1
                    continue
                text = json.dumps({**labels, "split": source.name}, ensure_ascii=False)
                shards.add(image_id, {"jpg": picture, "json": text.encode()})
                counts.written += 1
        shards.write_list()
    return counts


class _Shards:
    """Tars that are begun one after the other, as each is full."""

    def __init__(self, folder: Path, name: str, most: int) -> None:
        self._folder, self._name = folder, name
        self._room = most // _RECORD * _RECORD - 2 * _BLOCK  # two blocks end a tar
        self._tar: tarfile.TarFile | None = None
        self._size = 0
        self._shards: list[dict[str, Any]] = []

    def add(self, key: str, files: Mapping[str, bytes]) -> None:
        """Add the files KEY.SUFFIX, all to one shard."""
        needed = sum(_BLOCK - -len(data) // _BLOCK * _BLOCK for data in files.values())
        tar = self._begun() if self._tar is None or self._size + needed > self._room else self._tar
        for suffix, data in files.items():
            member = tarfile.TarInfo(f"{key}.{suffix}")
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
        self._size += needed
        self._shards[-1]["nsamples"] += 1

    def _begun(self) -> tarfile.TarFile:
        """The next shard, with nothing in it yet."""
        self.close()
        name = f"{self._name}-{len(self._shards):06d}.tar"
        self._tar = tarfile.open(self._folder / name, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        self._size = 0
        self._shards.append({"url": name, "nsamples": 0})
        return self._tar

    def close(self) -> None:
        """End the last shard."""
        if self._tar is not None:
            self._tar.close()

    def write_list(self) -> None:
        """Write SPLIT.json, if there are shards, as the package webdataset reads it (wids)."""
        if self._shards:
            kind = {"__kind__": "wids-shard-index-v1", "wids_version": 1}
            text = json.dumps({**kind, "name": self._name, "shardlist": self._shards}, indent=1)
            write_text(f"{text}\n", self._folder / f"{self._name}.json")
