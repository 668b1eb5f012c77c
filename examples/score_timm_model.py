"""Score a network of timm on a folder of pictures, which are made on the spot: photos/COARSE/FINE/NUMBER.png.

    python examples/score_timm_model.py

The network has random weights, so that nothing is downloaded. From the command line, with the weights that timm
publishes: hgld benchmark timm:resnet18 --data photos --split none
"""

import tempfile
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image

from hgld.benchmarks.datasets.registry import open_data
from hgld.benchmarks.metrics import evaluate

COLOURS = {
    "red/scarlet": (230, 40, 40),
    "red/brown": (150, 60, 40),
    "blue/navy": (30, 30, 120),
    "blue/teal": (30, 130, 150),
}


def draw(folder: Path) -> None:
    """Write six noisy pictures of each colour, in the light of different hours."""
    for name, colour in COLOURS.items():
        for number in range(6):
            random = np.random.default_rng([number, *colour])
            pixels = random.uniform(0.4, 1.3) * np.array(colour) + random.normal(0, 40, (64, 64, 3))
            path = folder / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


torch.manual_seed(0)
network = timm.create_model("resnet18", pretrained=False, num_classes=0).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
with tempfile.TemporaryDirectory() as scratch:
    draw(Path(scratch, "photos"))
    with open_data(f"{scratch}/photos", None, split="none") as data, torch.no_grad():
        images = torch.stack([transform(data.query.image(n)) for n in range(len(data.query))])
        frame = evaluate(network(images), data.query.labels, query_ids=data.query.ids, metrics=["H-AP", "R@1_l0"])
print(f"{len(frame)} queries, levels {' and '.join(data.levels)}")
print(frame.mean().round(3).to_string())
