"""Photographs of plain colours on disk, with the table that lists them: six shades of two hues."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SHADES = {
    "scarlet": ("red", (230, 40, 40)),
    "brown": ("red", (150, 60, 40)),
    "pink": ("red", (240, 140, 150)),
    "navy": ("blue", (30, 30, 120)),
    "azure": ("blue", (40, 90, 230)),
    "teal": ("blue", (30, 130, 150)),
}


def write_table(folder: Path, per_class: int = 8) -> Path:
    """FOLDER/images.csv with the columns path, split, shade, hue; -> its path."""
    rows = ["path,split,shade,hue"]
    for number, (shade, (hue, colour)) in enumerate(SHADES.items()):
        for n in range(per_class + 3):
            noise = np.random.default_rng([number, n]).normal(0, 25, size=(36, 36, 3))
            path = folder / shade / f"{n}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((np.array(colour) + noise).clip(0, 255).astype("uint8")).save(path)
            rows.append(f"{shade}/{n}.jpg,{'train' if n < per_class else 'test'},{shade},{hue}")
    (folder / "images.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "images.csv"


TINY = """
backbone: test_resnet
dim: 16
image_size: 32
epochs: 2
batch_size: 16
lr: 3e-3
threads: 1
"""
