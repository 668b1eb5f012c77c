"""Stage `embed`: CLIP vectors of the labels' prompts, and of some images of every category that needs a proposal.

Which categories: those that Wikidata leaves without a label; and, to measure how far CLIP can be trusted, a sample of
those that it labels. Which labels: those that at least one category has from Wikidata. That is a prior: a label that
no landmark of the dataset has is not offered, at full scale it leaves out none that matters, and in a small world it
keeps out what cannot be there.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing, write_text
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet, write_csv, write_parquet
from hgld.foundation.tar_images import ImageTars
from hgld.pipeline.dataset.landmarks import SPLITS, images, to_judge
from hgld.pipeline.evidence.clip import Clip, Vectors, load
from hgld.pipeline.evidence.image_embeddings import embed_images, this_rank


def run(params: Params) -> None:
    """Write `data/P/embed`: images.npy (N, D) float32 with images.parquet, and the same for the prompts.

    What could not be read is in broken.csv. Vectors of earlier runs are taken from `data/P/cache/embed`. Under torchrun
    (`torchrun --nproc-per-node N -m hgld.cli embed`) the ranks share the images, and rank 0 writes.

    Without any image (no tar was asked for) there is nothing to embed and no CLIP is loaded: vectors have no numbers.

    Raises HgldError when there are images, but none of these categories, or none that can be read.
    """
    settings, rank = params.embed, this_rank()
    labels = read_parquet(params.data / "build" / "labels.parquet", ["category", "hierarchical_label"])
    wanted = to_judge(labels)
    prompts = prompt_table(labels["hierarchical_label"], settings.prompts)
    folder = params.data / "images"
    with ImageTars(folder / "images.parquet", folder) as tars:
        if not len(tars):
            if not rank.number:
                print("no images: nothing to embed")
                _write(params.data / "embed", _nothing(prompts), {"model": "no images", "images": 0})
            return
        chosen = choose_images(_there(params, tars, wanted), settings.images_per_landmark)
        if chosen.empty:
            raise HgldError(f"no image of the {len(wanted)} categories to embed is in the tars of {folder}")
        clip, cache = load(settings), params.data / "cache" / "embed"
        vectors, broken = embed_images(clip, tars, chosen["id"], settings.batch, cache, rank)
    if rank.number:
        print(f"rank {rank.number} of {rank.world}: its shards are in {cache}")
        return
    _report(broken, len(chosen))
    chosen = chosen[~chosen["id"].isin(broken).to_numpy()]
    texts = _embed_texts(clip, prompts["prompt"], settings.batch)
    summary = {
        "model": clip.name,
        "images": len(chosen),
        "broken_images": len(broken),
        "categories": chosen["category"].nunique(),
        "categories_without_image": len(wanted - set(chosen["category"])),
    }
    tables = {"images": (vectors, chosen), "prompts": (texts, prompts)}
    _write(params.data / "embed", tables, summary, broken)


def _there(params: Params, tars: ImageTars, wanted: set[str]) -> pd.DataFrame:
    """The images (id, category) of the wanted categories that the tars have."""
    pool = pd.concat([images(params, split)[["id", "category"]] for split in SPLITS])
    pool = pool[pool["category"].isin(wanted)]
    return pool[[image in tars for image in pool["id"]]]


def _nothing(prompts: pd.DataFrame) -> dict[str, tuple[Vectors, pd.DataFrame]]:
    """The tables of a world without images: vectors of no numbers."""
    none = pd.DataFrame({"id": [], "category": []}, dtype="str")
    return {name: (np.zeros((len(rows), 0), dtype=np.float32), rows)
            for name, rows in (("images", none), ("prompts", prompts))}  # fmt: skip


def _write(
    target: Path,
    tables: Mapping[str, tuple[Vectors, pd.DataFrame]],
    summary: Mapping[str, object],
    broken: Mapping[str, str] | None = None,
) -> None:
    """Write the stage's folder: vectors beside their rows, what could not be read (id → reason), and a summary."""
    with replacing(target, directory=True) as folder:
        for name, (vectors, rows) in tables.items():
            _write_vectors(folder, name, vectors, rows)
        reasons = pd.DataFrame(sorted((broken or {}).items()), columns=["id", "reason"])
        write_csv(reasons, folder / "broken.csv")
        write_text(json.dumps(summary, indent=2) + "\n", folder / "summary.json")


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


def _report(broken: dict[str, str], total: int) -> None:
    if len(broken) == total:
        raise HgldError(f"none of {total} images can be read: " + next(iter(broken.values())))
    if broken:
        print(
            f"{len(broken)} of {total} images cannot be read and are left out (embed/broken.csv lists them):"
        )
        for reason in sorted(broken.values())[:10]:
            print(f"  {reason}")
