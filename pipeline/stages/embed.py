"""Stage `embed`: CLIP vectors of the labels' prompts and of images of every category that needs a proposal.

Categories: those that Wikidata leaves without a label, and, to measure the accuracy of CLIP, a sample of those that it
labels. Labels: those that at least one category has from Wikidata. This is a prior: at full scale it excludes no label
that matters, and in a small world it excludes what cannot occur there.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing, write_array, write_text
from hgld.foundation.settings import Params
from hgld.foundation.tables import write_csv, write_parquet
from hgld.foundation.tar_images import ImageTars
from hgld.pipeline.dataset.landmarks import SPLITS, build_labels, evidence_categories, image_table
from hgld.pipeline.dataset.schemas import read_stage_table
from hgld.pipeline.embedding.clip import Clip, Vectors, load_clip
from hgld.pipeline.embedding.image_embeddings import embed_images, this_rank


def run(params: Params) -> None:
    """Write `data/P/embed`: images.npy (N, D) float32 with images.parquet, and the same for the prompts.

    Unreadable images are listed in broken.csv. Vectors of earlier runs are reused from `data/P/cache/embed`. Under
    torchrun (`torchrun --nproc-per-node N -m hgld.cli embed`) the ranks share the images, and rank 0 writes.

    If there are no images at all (no tar was selected), CLIP is not loaded and the arrays have no columns.

    Raises HgldError when there are images, but none of these categories, or none that can be read.
    """
    settings, rank = params.embed, this_rank()
    labels = build_labels(params)
    categories = evidence_categories(labels)
    prompts = prompt_table(labels["hierarchical_label"], settings.prompts)
    folder = params.data / "images"
    read_stage_table(folder / "images.parquet")
    with ImageTars(folder / "images.parquet", folder) as tars:
        if not len(tars):
            if not rank.number:
                echo("no images: nothing to embed")
                _write(params.data / "embed", _empty_tables(prompts), {"model": "no images", "images": 0})
            return
        chosen = choose_images(_available(params, tars, categories), settings.images_per_landmark)
        if chosen.empty:
            raise HgldError(f"{folder}: no tar contains an image of the {len(categories)} categories to embed")
        clip, cache = load_clip(settings), params.data / "cache" / "embed"
        vectors, broken = embed_images(clip, tars, chosen["id"], settings.batch, cache, rank)
    if rank.number:
        echo(f"rank {rank.number} of {rank.world}: its shards are in {cache}")
        return
    _report_broken(broken, len(chosen), settings.max_broken)
    chosen = chosen[~chosen["id"].isin(broken).to_numpy()]
    texts = _embed_texts(clip, prompts["prompt"], settings.batch)
    summary = {
        "model": clip.name,
        "images": len(chosen),
        "broken_images": len(broken),
        "categories": chosen["category"].nunique(),
        "categories_without_image": len(categories - set(chosen["category"])),
    }
    tables = {"images": (vectors, chosen), "prompts": (texts, prompts)}
    _write(params.data / "embed", tables, summary, broken)


def _available(params: Params, tars: ImageTars, categories: set[str]) -> pd.DataFrame:
    """The images (id, category) of these categories that are in the tars."""
    pool = pd.concat([image_table(params, split)[["id", "category"]] for split in SPLITS])
    pool = pool[pool["category"].isin(categories)]
    return pool[[image in tars for image in pool["id"]]]


def _empty_tables(prompts: pd.DataFrame) -> dict[str, tuple[Vectors, pd.DataFrame]]:
    """The tables of a dataset without images: vectors of length zero."""
    images = pd.DataFrame({"id": [], "category": []}, dtype="str")
    tables = {"images": images, "prompts": prompts}
    return {name: (np.zeros((len(rows), 0), dtype=np.float32), rows) for name, rows in tables.items()}


def _write(
    target: Path,
    tables: Mapping[str, tuple[Vectors, pd.DataFrame]],
    summary: Mapping[str, object],
    broken: Mapping[str, str] | None = None,
) -> None:
    """Write the output folder: vectors with their rows, the unreadable images (id → reason), and a summary."""
    with replacing(target, directory=True) as folder:
        for name, (vectors, rows) in tables.items():
            _write_vectors(folder, name, vectors, rows)
        reasons = pd.DataFrame(sorted((broken or {}).items()), columns=["id", "reason"])
        write_csv(reasons, folder / "broken.csv")
        write_text(json.dumps(summary, indent=2) + "\n", folder / "summary.json")


def choose_images(pool: pd.DataFrame, limit: int) -> pd.DataFrame:
    """At most `limit` images (id, category) of each category, the first by id; ids are hashes, so this is random."""
    ordered = pool.drop_duplicates("id").sort_values("id", ignore_index=True)
    return ordered[ordered.groupby("category").cumcount() < limit].reset_index(drop=True)


def prompt_table(labels: Iterable[str], templates: Iterable[str]) -> pd.DataFrame:
    """One row per non-empty label and template (hierarchical_label, prompt), sorted.

    Raises HgldError for a template without {}.
    """
    rows = []
    for template in templates:
        if "{}" not in template:
            raise HgldError(f"embed.prompts: {template!r} has no {{}} where the label goes")
        # GLDv2's `ocean area ` ends in a space
        rows += [(label, template.replace("{}", label.strip())) for label in sorted(set(labels) - {""})]
    if not rows:
        raise HgldError("Wikidata labels no category, so there is no label to choose from; see data/*/build")
    frame = pd.DataFrame(rows, columns=["hierarchical_label", "prompt"], dtype="str")
    return frame.sort_values(["hierarchical_label", "prompt"], ignore_index=True)


def _embed_texts(clip: Clip, texts: Iterable[str], batch: int) -> Vectors:
    all_texts = list(texts)
    starts = range(0, len(all_texts), batch)
    return np.concatenate([clip.embed_texts(all_texts[start : start + batch]) for start in starts])


def _write_vectors(folder: Path, name: str, vectors: Vectors, rows: pd.DataFrame) -> None:
    if len(vectors) != len(rows) or not np.isfinite(vectors).all():
        raise HgldError(f"CLIP gave {len(vectors)} vectors for {len(rows)} {name}, or vectors that are not finite")
    write_array(vectors, folder / f"{name}.npy")
    write_parquet(rows, folder / f"{name}.parquet")


def _report_broken(broken: dict[str, str], total: int, limit: float) -> None:
    """Print what is left out. Raises HgldError when all are broken, or a larger fraction than `limit`."""
    if len(broken) == total:
        raise HgldError(f"none of {total} images can be read: " + next(iter(broken.values())))
    if len(broken) > limit * total:
        raise HgldError(
            f"{len(broken)} of {total} images cannot be read, more than embed.max_broken ({limit:g}) allows; "
            f"the first: {broken[min(broken)]}; run `hgld images` again, or allow more in params.yaml"
        )
    if broken:
        echo(f"{len(broken)} of {total} images cannot be read and are left out (see embed/broken.csv):")
        for reason in sorted(broken.values())[:10]:
            echo(f"  {reason}")
