"""Stage `embed`: CLIP vectors of the labels' prompts, and of some images of every category that needs a proposal.

Which categories: those that Wikidata leaves without a label; and, to measure how far CLIP can be trusted, a sample of
those that it labels. Which labels: those that at least one category has from Wikidata. That is a prior: a label that
no landmark of the dataset has is not offered, at full scale it leaves out none that matters, and in a small world it
keeps out what cannot be there.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from hgld.hierarchy.errors import HgldError
from hgld.hierarchy.files import replacing, write_text
from hgld.hierarchy.images import ImageTars
from hgld.hierarchy.params import Params
from hgld.hierarchy.tables import read_parquet, write_csv, write_parquet
from hgld.pipeline.clip import Clip, Vectors, load
from hgld.pipeline.landmarks import SPLITS, images
from hgld.pipeline.vectors import embed_images, this_rank

# Enough for a 95 % interval of about 2 points around a measured accuracy.
CALIBRATION = 2000


def run(params: Params) -> None:
    """Write `data/P/embed`: images.npy (N, D) float32 with images.parquet, and the same for the prompts.

    What could not be read is in broken.csv. Vectors of earlier runs are taken from `data/P/cache/embed`. Under torchrun
    (`torchrun --nproc-per-node N -m hgld.cli embed`) the ranks share the images, and rank 0 writes.

    Raises HgldError when there is no image at all, or none that can be read.
    """
    settings, rank = params.embed, this_rank()
    labels = read_parquet(params.data / "build" / "labels.parquet", ["category", "hierarchical_label"])
    wanted = wanted_categories(labels, CALIBRATION)
    pool = pd.concat([images(params, split)[["id", "category"]] for split in SPLITS])
    clip = load(settings)
    prompts = prompt_table(labels["hierarchical_label"], settings.prompts)
    with ImageTars(params.data / "images" / "images.parquet", params.data / "images") as tars:
        there = pool[pool["category"].isin(wanted)]
        there = there[[image in tars for image in there["id"]]]
        chosen = choose_images(there, settings.images_per_landmark)
        if chosen.empty:
            where = params.data / "images"
            raise HgldError(f"no image of the {len(wanted)} categories to embed is in the tars of {where}")
        cache = params.data / "cache" / "embed"
        vectors, broken = embed_images(clip, tars, chosen["id"], settings.batch, cache, rank)
    if rank.number:
        print(f"rank {rank.number} of {rank.world}: its shards are in {cache}")
        return
    _report(broken, len(chosen))
    good = ~chosen["id"].isin(broken).to_numpy()
    with replacing(params.data / "embed", directory=True) as folder:
        _write_vectors(folder, "images", vectors, chosen[good])
        _write_vectors(folder, "prompts", _embed_texts(clip, prompts["prompt"], settings.batch), prompts)
        rows = [(image, reason) for image, reason in sorted(broken.items())]
        write_csv(pd.DataFrame(rows, columns=["id", "reason"]), folder / "broken.csv")
        _write_summary(folder / "summary.json", clip, chosen[good], wanted, len(broken))


def wanted_categories(labels: pd.DataFrame, calibration: int) -> set[str]:
    """The unlabelled categories, and up to `calibration` labelled ones: those whose hashes come first.

    A hash is as good as a die and needs no seed: the sample stays the same when other categories come and go.
    """
    unlabelled = labels["hierarchical_label"] == ""
    known = sorted(
        labels.loc[~unlabelled, "category"], key=lambda name: hashlib.sha256(name.encode()).digest()
    )
    return {*labels.loc[unlabelled, "category"], *known[:calibration]}


def choose_images(pool: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most `most` images (id, category) of each category: the first by id, so random ones: the ids are hashes."""
    ordered = pool.drop_duplicates("id").sort_values("id", ignore_index=True)
    return ordered[ordered.groupby("category").cumcount() < most].reset_index(drop=True)


def prompt_table(labels: Iterable[str], templates: Iterable[str]) -> pd.DataFrame:
    """One row a label and template (hierarchical_label, prompt), sorted; the empty label is none.

    Raises HgldError for a template without {}.
    """
    rows = []
    for template in templates:
        if "{}" not in template:
            raise HgldError(f"embed.prompts: {template!r} has no {{}} where the label goes")
        # one label ends in a space upstream; a text should not
        rows += [(label, template.replace("{}", label.strip())) for label in sorted(set(labels) - {""})]
    if not rows:
        raise HgldError(
            "Wikidata labels no category at all: there is no label to choose from; look at data/*/build"
        )
    frame = pd.DataFrame(rows, columns=["hierarchical_label", "prompt"], dtype="str")
    return frame.sort_values(["hierarchical_label", "prompt"], ignore_index=True)


def _embed_texts(clip: Clip, texts: Iterable[str], batch: int) -> Vectors:
    every = list(texts)
    return np.concatenate([clip.texts(every[at : at + batch]) for at in range(0, len(every), batch)])


def _write_vectors(folder: Path, name: str, vectors: Vectors, rows: pd.DataFrame) -> None:
    if len(vectors) != len(rows) or not np.isfinite(vectors).all():
        raise HgldError(
            f"CLIP gave {len(vectors)} vectors for {len(rows)} {name}, or vectors that are no numbers"
        )
    np.save(folder / f"{name}.npy", vectors)
    write_parquet(rows, folder / f"{name}.parquet")


def _write_summary(path: Path, clip: Clip, chosen: pd.DataFrame, wanted: set[str], broken: int) -> None:
    summary = {
        "model": clip.name,
        "images": len(chosen),
        "broken_images": broken,
        "categories": chosen["category"].nunique(),
        "categories_without_image": len(wanted - set(chosen["category"])),
    }
    write_text(json.dumps(summary, indent=2) + "\n", path)


def _report(broken: dict[str, str], total: int) -> None:
    if len(broken) == total:
        raise HgldError(f"none of {total} images can be read: " + next(iter(broken.values())))
    if broken:
        print(
            f"{len(broken)} of {total} images cannot be read and are left out (embed/broken.csv lists them):"
        )
        for reason in sorted(broken.values())[:10]:
            print(f"  {reason}")
