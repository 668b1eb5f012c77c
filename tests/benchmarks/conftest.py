"""A world of coloured shapes: five landmarks under three labels, drawn on the spot into a release and a tar."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from hgld.foundation.settings import Params, load_params
from hgld.foundation.tables import write_parquet
from hgld.pipeline.acquisition.tar_index import scan_tar
from tests.paths import ROOT

# category: hierarchical label, natural or human-made, colour, shape
WORLD = {
    "Blue Lake": ("lake", "natural", (40, 90, 200), "ellipse"),
    "Green Lake": ("lake", "natural", (40, 160, 90), "ellipse"),
    "Grey Peak": ("mountain", "natural", (120, 120, 130), "triangle"),
    "Red Church": ("church", "human-made", (190, 50, 40), "box"),
    "White Church": ("church", "human-made", (225, 220, 200), "box"),
}


def draw(category: str, generator: np.random.Generator) -> bytes:
    """One 48 px JPEG: the landmark's shape and colour, at a place, size and light of its own."""
    _, _, colour, kind = WORLD[category]
    ground = int(generator.integers(60, 120))
    picture = Image.new("RGB", (48, 48), (ground, ground, ground))
    x, y = (int(v) for v in generator.integers(4, 14, size=2))
    side = int(generator.integers(22, 32))
    light = float(generator.uniform(0.8, 1.15))
    fill = tuple(min(255, int(c * light)) for c in colour)
    pen = ImageDraw.Draw(picture)
    if kind == "ellipse":
        pen.ellipse((x, y, x + side, y + side // 2), fill=fill)
    elif kind == "triangle":
        pen.polygon([(x, y + side), (x + side // 2, y), (x + side, y + side)], fill=fill)
    else:
        pen.rectangle((x, y, x + side // 2, y + side), fill=fill)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def add(archive: tarfile.TarFile, image_id: str, data: bytes) -> None:
    member = tarfile.TarInfo(f"{'/'.join(image_id[:3])}/{image_id}.jpg")
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def labels_of(category: str) -> dict[str, str]:
    label, made, *_ = WORLD[category]
    return {
        "category": category,
        "supercategory": label,
        "hierarchical_label": label,
        "natural_or_human_made": made,
    }


def make_world(data: Path, *, per_split: dict[str, int], broken: str = "") -> None:
    """Write images and release below `data`; `broken` names an image whose bytes are no picture."""
    generator = np.random.default_rng(5)
    rows: dict[str, list[dict[str, object]]] = {"train": [], "index": [], "test": []}
    parts = []
    for at, (split, count) in enumerate(per_split.items()):
        tar = data / "images" / split / "images_000.tar"
        tar.parent.mkdir(parents=True)
        with tarfile.open(tar, "w") as archive:
            for number in range(count * len(WORLD)):
                category = list(WORLD)[number % len(WORLD)]
                image_id = f"{at:x}{number:015x}"
                picture = draw(category, generator)
                add(archive, image_id, b"no picture at all" if image_id == broken else picture)
                rows[split].append(
                    {"image_id": image_id, "landmark_id": str(number % len(WORLD)), **labels_of(category)}
                )
        parts.append(scan_tar(tar, split).images)
    index = pd.concat(parts).sort_values("id", ignore_index=True)
    write_parquet(index, data / "images" / "images.parquet")
    train = pd.DataFrame(rows["train"]).assign(clean=True)
    gallery = pd.DataFrame(rows["index"])
    test = pd.DataFrame(rows["test"]).drop(columns="landmark_id")
    listed = gallery.groupby("category")["image_id"].agg(" ".join)
    test["relevant"] = test["category"].map(listed)
    test["usage"] = ["Public" if n % 3 else "Private" for n in range(len(test))]
    test.loc[test.index[-1], ["usage", "relevant"]] = ["Ignored", ""]
    for name, table in {"train": train, "index": gallery, "test": test}.items():
        write_parquet(table, data / "release" / f"{name}.parquet")


def tiny(params: Params, **train: object) -> Params:
    """Settings that train in seconds."""
    settings: dict[str, object] = {
        "backbone": "test_resnet",
        "dim": 16,
        "image_size": 32,
        "epochs": 12,
        "batch_size": 20,
        "per_class": 4,
        "lr": 3e-3,
        "warmup_epochs": 0,
        "threads": 1,  # two threads on a busy machine wait for each other
        **train,
    }
    return params.model_copy(
        update={
            "train": params.train.model_copy(update=settings),
            "benchmark": params.benchmark.model_copy(update={"gallery_queries": 3, "threads": 1}),
        }
    )


@pytest.fixture
def settings() -> Params:
    """The sample profile of the repository, made tiny."""
    return tiny(load_params(ROOT / "params.yaml", "sample"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Params) -> Params:
    """Tiny settings whose data folder holds the drawn world; the working folder is the test's own."""
    monkeypatch.chdir(tmp_path)
    make_world(settings.data, per_split={"train": 16, "index": 8, "test": 6})
    return settings
