"""`hgld verify`: a release folder, as it was downloaded, is whole and agrees with itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.pipeline.release.changes.former import is_release, opened
from hgld.pipeline.release.verification import image_checks, label_checks
from hgld.pipeline.release.verification.change_checks import change_faults
from hgld.pipeline.release.verification.checksums import FILE, checksum_faults
from hgld.pipeline.release.verification.image_checks import SplitImages
from hgld.pipeline.release.verification.label_checks import Labels, fault
from hgld.pipeline.release.verification.release_tables import (
    COLUMNS,
    GRAPH_COLUMNS,
    GRAPH_FILE,
    LANDMARK_FILES,
    ReleaseTable,
    described_faults,
    open_table,
    read_document,
)
from hgld.pipeline.release.verification.upstream_checks import upstream_faults


@dataclass
class Verification:
    """The faults, one message each; and what was looked at, a line each."""

    faults: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def verify(folder: Path, data: Path | None = None) -> Verification:
    """Check a release by itself; with `data`, a profile's folder, also against the metadata of GLDv2 in it.

    folder: of the release; or its archive, which is unpacked for it. Raises HgldError when it is neither.
    """
    try:
        if folder.is_file() and is_release(folder):
            with opened(folder) as unpacked:
                return verify(unpacked, data)
        if not folder.is_dir():
            raise HgldError(
                f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}; give that of a release"
            )
    except OSError as error:  # a name that is too long
        raise HgldError(f"{folder}: {error.strerror}") from None
    result = Verification()
    result.faults, intact = checksum_faults(folder)
    result.lines.append(f"files      {intact:,} as {FILE} says")
    _Release(folder, result).check(data)
    return result


class _Release:
    """The parts of a release that could be read; what could not be read is a fault, and not checked further."""

    def __init__(self, folder: Path, result: Verification) -> None:
        self._folder, self._result = folder, result
        self._tables: dict[str, ReleaseTable] = {}
        self._landmarks: dict[str, pd.DataFrame] = {}
        self._images: dict[str, SplitImages] = {}

    def check(self, data: Path | None) -> None:
        self._open()
        metadata = self._get(read_document, self._folder / "metadata.json") or {}
        labels = self._labels()
        self._check_landmarks(labels)
        for split in LANDMARK_FILES:
            if f"{split}.parquet" in self._tables and split in self._landmarks:
                self._check_images(
                    split, image_checks.image_faults, self._tables[f"{split}.parquet"], self._landmarks[split]
                )
        if "test.parquet" in self._tables and labels is not None:
            index = self._images.get("index")
            self._check_images("test", image_checks.query_faults, self._tables["test.parquet"], labels, index)
        self._check_splits()
        self._add(change_faults, self._folder, metadata, self._landmarks)
        self._check_rows(metadata)
        self._check_overlap(metadata)
        if data is not None:
            self._add(upstream_faults, self._folder, data, self._tables, self._landmarks, self._images)
            self._result.lines.append(f"GLDv2      compared with {data / 'metadata'}")

    def _get(self, read: Callable[..., Any], *arguments: object) -> Any:
        """What `read` returns; None, and faults, where it raises HgldError."""
        try:
            return read(*arguments)
        except HgldError as error:
            self._result.faults += error.args
            return None

    def _add(self, faults: Callable[..., list[str]], *arguments: object) -> None:
        self._result.faults += self._get(faults, *arguments) or []

    def _open(self) -> None:
        """Every table with the columns that a release has, and further ones with those that they have."""
        further = sorted(path.name for path in self._folder.glob("*.parquet") if path.name not in COLUMNS)
        graph = {GRAPH_FILE: GRAPH_COLUMNS}
        for name, columns in {**COLUMNS, **{name: graph.get(name, {}) for name in further}}.items():
            if table := self._get(open_table, self._folder / name, columns):
                self._tables[name] = table
        self._add(described_faults, self._folder, self._tables)

    def _labels(self) -> pd.DataFrame | None:
        """labels.parquet, checked with the evidence against the taxonomy and the class graph."""
        known: Labels | None = self._get(label_checks.read_labels, self._folder)
        labels, evidence = (self._frame(name) for name in ("labels.parquet", "evidence.parquet"))
        if labels is not None:
            path = self._folder / "labels.parquet"
            self._add(label_checks.unique_faults, path, labels, ["category"])
            self._add(label_checks.category_faults, path, labels)
            self._check_claims(path, labels, known)
            if known is not None:
                graph = self._tables.get(GRAPH_FILE)
                self._add(label_checks.path_faults, path, labels, known, graph)
                what = f"in {GRAPH_FILE}" if graph else "by their ends only: the release has no class graph"
                self._result.lines.append(f"labels     {len(labels):,} categories, by {known.place}")
                self._result.lines.append(f"paths      {(labels['path'] != '').sum():,}, {what}")
        if evidence is not None:
            path = self._folder / "evidence.parquet"
            self._add(label_checks.unique_faults, path, evidence, ["category", "source"])
            self._check_claims(path, evidence, known)
            if labels is not None:
                self._add(label_checks.evidence_faults, path, evidence, labels)
        return labels

    def _frame(self, name: str) -> pd.DataFrame | None:
        if name not in self._tables:
            return None
        columns = self._get(self._tables[name].read, list(COLUMNS[name]))
        return None if columns is None else pd.DataFrame({key: value.to_pandas() for key, value in columns.items()})

    def _check_claims(self, path: Path, table: pd.DataFrame, known: Labels | None) -> None:
        self._add(label_checks.number_faults, path, table)
        if known is not None:
            self._add(label_checks.label_faults, path, table, "category", known)

    def _check_landmarks(self, labels: pd.DataFrame | None) -> None:
        """Each landmark has a category with a label, and each category a landmark."""
        for split, name in LANDMARK_FILES.items():
            table = self._get(label_checks.read_landmarks, self._folder / name)
            if table is not None:
                self._landmarks[split] = table
                if labels is not None:
                    self._add(label_checks.landmark_faults, self._folder / name, table, labels)
        if labels is not None and len(self._landmarks) == len(LANDMARK_FILES):
            named = pd.concat([table["name"] for table in self._landmarks.values()])
            alone = labels.loc[~label_checks.among(labels["category"], named), "category"].tolist()
            what = f"categories without a landmark in {' and '.join(LANDMARK_FILES.values())}"
            self._result.faults += fault(self._folder / "labels.parquet", what, alone)

    def _check_images(self, split: str, check: Callable[..., Any], *arguments: object) -> None:
        checked = self._get(check, *arguments)
        if checked is not None:
            faults, self._images[split] = checked
            self._result.faults += faults

    def _pairs(self) -> Iterator[tuple[str, str]]:
        """The pairs of splits that could be read."""
        return combinations(self._images, 2)

    def _check_splits(self) -> None:
        """Each image is in one split."""
        for one, other in self._pairs():
            ids = self._images[other].ids
            names = image_checks.hexadecimal(ids[image_checks.contained(ids, self._images[one].ids)])
            self._result.faults += fault(self._folder / f"{other}.parquet", f"images that are in {one}, too", names)
        counts = ", ".join(f"{len(images.ids):,} {split}" for split, images in self._images.items())
        self._result.lines.append(f"images     {counts or 'none could be checked'}")

    def _check_rows(self, metadata: dict[str, Any]) -> None:
        """The numbers of rows that metadata.json states."""
        found = {name: table.rows for name, table in self._tables.items()}
        found |= {LANDMARK_FILES[split]: len(table) for split, table in self._landmarks.items()}
        stated = metadata.get("rows")
        for name, rows in stated.items() if isinstance(stated, dict) else ():
            if name in found and rows != found[name]:
                self._result.faults.append(
                    f"{self._folder / name}: {found[name]:,} rows; metadata.json says {str(rows)[:40]}"
                )

    def _check_overlap(self, metadata: dict[str, Any]) -> None:
        """The categories that two splits share: a line each; a fault where metadata.json states another number."""
        stated = metadata.get("overlap")
        for one, other in self._pairs():
            ours, theirs = self._images[one].categories, self._images[other].categories
            count = len(ours & theirs)
            text = f"categories in {one} and {other}: {count:,} (of {len(ours):,} and {len(theirs):,})"
            limit = stated.get(f"{one}_{other}", count) if isinstance(stated, dict) else count
            if limit != count:
                self._result.faults.append(
                    f"{self._folder}: {text}; metadata.json states {str(limit)[:40]} (overlap, {one}_{other})"
                )
            self._result.lines.append(f"overlap    {text}")
