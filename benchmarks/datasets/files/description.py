"""What `hgld data` prints: what was found in the data, how it will be used, and what looks wrong."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hgld.benchmarks.datasets.labelled_images import LabelledImages, RetrievalDataset
from hgld.benchmarks.datasets.readable import SHOWN, survey
from hgld.foundation.display.text_table import TextTable
from hgld.foundation.display.visible import visible


def describe(dataset: RetrievalDataset, *, check_images: bool, threads: int) -> str:
    """Images and classes per role and level, the protocol, and what looks wrong.

    check_images: also decode all images, and list those that cannot be.
    """
    parts = _parts(dataset)
    facts = [f"{name}: {text}" for name, text in dataset.facts.items()]
    notes = [*_alike(dataset), *_single(dataset, parts), *_overlap(dataset)]
    if check_images:
        for name, images in parts.items():
            notes += _broken(name, images, threads)
    lines = [dataset.name or "release", *facts, "", str(_table(dataset, parts))]
    if notes:
        lines += ["", *(f"- {note}" for note in notes)]
    return "\n".join(visible(line) if "\n" not in line else line for line in lines)


def _parts(dataset: RetrievalDataset) -> dict[str, LabelledImages]:
    """The sets of images by the name that the user knows; those that are queries and gallery at once are named test."""
    named: dict[str, LabelledImages] = {"train": dataset.train}
    if dataset.val is not None:
        named["val"] = dataset.val
    if dataset.query is dataset.gallery:
        if dataset.query is not dataset.val:
            named["test"] = dataset.query
    else:
        named |= {"query": dataset.query, "gallery": dataset.gallery}
    return {name: images for name, images in named.items() if len(images)}


def _table(dataset: RetrievalDataset, parts: dict[str, LabelledImages]) -> TextTable:
    rows: list[list[object]] = [["images", *(f"{len(images):,}" for images in parts.values())]]
    for level, name in enumerate(dataset.levels):
        named = [_classes(dataset, images, level) for images in parts.values()]
        rows.append([f"classes of {name}", *(f"{len(torch.unique(labels)):,}" for labels, _ in named)])
        if any(missing for _, missing in named):
            rows.append([f"  images without {name}", *(f"{missing:,}" for _, missing in named)])
    return TextTable(["", *parts], rows, text=[""])


def _classes(dataset: RetrievalDataset, images: LabelledImages, level: int) -> tuple[Tensor, int]:
    """The labels of the images that have a known one at a level, and how many have none."""
    labels = images.labels[:, level]
    unknown = torch.tensor([name == "" for name in dataset.class_names[level]], dtype=torch.bool)[labels]
    return labels[~unknown], int(unknown.sum())


def _alike(dataset: RetrievalDataset) -> list[str]:
    """Class names that differ only in case or in spaces: often one class written in two ways."""
    notes = []
    for level, names in zip(dataset.levels, dataset.class_names, strict=True):
        first: dict[str, str] = {}
        pairs = []
        for name in names:
            other = first.setdefault(" ".join(name.casefold().split()), name)
            if name != other:
                pairs.append(f"{other!r} and {name!r}")
        if pairs:
            notes.append(f"{level}: classes that differ only in case or spaces: {_some(pairs)}")
    return notes


def _single(dataset: RetrievalDataset, parts: dict[str, LabelledImages]) -> list[str]:
    """Queries without another image of their class: metrics of the finest level are undefined for them."""
    if not len(dataset.query):
        return []
    labels, gallery = dataset.query.labels[:, 0], dataset.gallery.labels[:, 0]
    size = int(max(labels.max(), gallery.max() if len(gallery) else 0)) + 1
    positives = torch.bincount(gallery, minlength=size)
    own = torch.zeros(len(labels), dtype=torch.long)
    place = {identity: row for row, identity in enumerate(dataset.gallery.ids)}
    for row, identity in enumerate(dataset.query.ids):
        own[row] = int(identity in place)
    alone = int((positives[labels] - own <= 0).sum())
    if not alone:
        return []
    return [f"{alone:,} of {len(labels):,} queries have no other image of their {dataset.levels[0]} to find"]


def _overlap(dataset: RetrievalDataset) -> list[str]:
    """How many of the classes that are tested on are trained on."""
    if not len(dataset.train) or not len(dataset.query):
        return []
    notes = []
    for level, name in enumerate(dataset.levels):
        train, test = (torch.unique(_classes(dataset, images, level)[0]) for images in (dataset.train, dataset.query))
        common = int(torch.isin(test, train).sum())
        notes.append(f"{name}: {common:,} of {len(test):,}")
    return [f"classes of the queries that are also trained on: {', '.join(notes)}"]


def _broken(name: str, images: LabelledImages, threads: int) -> list[str]:
    found = survey(images, range(len(images)), threads).broken
    if not found:
        return [f"all {len(images):,} {name} images can be decoded"]
    reasons = [found[row] for row in sorted(found)[:SHOWN]]
    return [f"{len(found):,} of {len(images):,} {name} images cannot be decoded:", *(f"  {text}" for text in reasons)]


def _some(texts: Sequence[str], limit: int = 3) -> str:
    more = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {more} more" if more > 0 else "")
