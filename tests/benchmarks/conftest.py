"""A small world of coloured shapes: five landmarks under three labels, drawn into a release and image tars."""

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
# category → country and continent: a border, one of its two countries, another continent, and no known place
PLACES = {
    "Blue Lake": ("CH|FR", "Europe"),
    "Green Lake": ("CH|FR", "Europe"),
    "Grey Peak": ("FR", "Europe"),
    "Red Church": ("", ""),
    "White Church": ("JP", "Asia"),
}
PER_SPLIT = {"train": 16, "index": 8, "test": 6}  # images per landmark


def draw(category: str, generator: np.random.Generator) -> bytes:
    """One 48 px JPEG: the landmark's shape and colour, at a random position, size and brightness."""
    _, _, colour, kind = WORLD[category]
    ground = int(generator.integers(60, 120))
    image = Image.new("RGB", (48, 48), (ground, ground, ground))
    x, y = (int(v) for v in generator.integers(4, 14, size=2))
    side = int(generator.integers(22, 32))
    brightness = float(generator.uniform(0.8, 1.15))
    fill = tuple(min(255, int(c * brightness)) for c in colour)
    pen = ImageDraw.Draw(image)
    if kind == "ellipse":
        pen.ellipse((x, y, x + side, y + side // 2), fill=fill)
    elif kind == "triangle":
        pen.polygon([(x, y + side), (x + side // 2, y), (x + side, y + side)], fill=fill)
    else:
        pen.rectangle((x, y, x + side // 2, y + side), fill=fill)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=90)
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


def make_world(data: Path, *, per_split: dict[str, int] = PER_SPLIT, broken: str = "") -> None:
    """Write images and release below `data`; the bytes of the image with the id `broken` are not a JPEG."""
    generator = np.random.default_rng(5)
    rows: dict[str, list[dict[str, object]]] = {"train": [], "index": [], "test": []}
    parts = []
    for n, (split, count) in enumerate(per_split.items()):
        tar = data / "images" / split / "images_000.tar"
        tar.parent.mkdir(parents=True)
        with tarfile.open(tar, "w") as archive:
            for number in range(count * len(WORLD)):
                category = list(WORLD)[number % len(WORLD)]
                image_id = f"{n:x}{number:015x}"
                jpeg = draw(category, generator)
                add(archive, image_id, b"not a JPEG" if image_id == broken else jpeg)
                rows[split].append(
                    {"image_id": image_id, "landmark_id": str(number % len(WORLD)), **labels_of(category)}
                )
        parts.append(scan_tar(tar, split).images)
    index = pd.concat(parts).sort_values("id", ignore_index=True)
    write_parquet(index, data / "images" / "images.parquet")
    train = pd.DataFrame(rows["train"]).assign(clean=True)
    gallery = pd.DataFrame(rows["index"])
    test = pd.DataFrame(rows["test"]).drop(columns="landmark_id")
    relevant = gallery.groupby("category")["image_id"].agg(" ".join)
    test["relevant"] = test["category"].map(relevant)
    test["usage"] = ["Public" if n % 3 else "Private" for n in range(len(test))]
    test.loc[test.index[-1], ["usage", "relevant"]] = ["Ignored", ""]
    for name, table in {"train": train, "index": gallery, "test": test}.items():
        write_parquet(table, data / "release" / f"{name}.parquet")


def add_places(data: Path) -> None:
    """Add the columns of the place to the tables of the release."""
    for split in PER_SPLIT:
        path = data / "release" / f"{split}.parquet"
        table = pd.read_parquet(path)
        for n, name in enumerate(("country", "continent")):
            table[name] = [PLACES[category][n] for category in table["category"]]
        write_parquet(table, path)


def tiny(params: Params, **train: object) -> Params:
    """The settings, changed to train in seconds."""
    settings: dict[str, object] = {
        "backbone": "test_resnet",
        "dim": 16,
        "image_size": 32,
        "epochs": 12,
        "batch_size": 20,
        "per_class": 4,
        "lr": 3e-3,
        "warmup_epochs": 0,
        "threads": 1,  # on a busy machine two threads wait for each other
        **train,
    }
    return params.model_copy(
        update={
            "train": params.train.model_copy(update=settings),
            "benchmark": params.benchmark.model_copy(update={"gallery_queries": 3, "threads": 1}),
        }
    )


@pytest.fixture(scope="session")
def settings() -> Params:
    """The sample profile of the repository, made tiny."""
    return tiny(load_params(ROOT / "params.yaml", "sample"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Params) -> Params:
    """Tiny settings; the working folder is temporary, and the data folder below it holds the small world."""
    monkeypatch.chdir(tmp_path)
    make_world(settings.data)
    return settings
