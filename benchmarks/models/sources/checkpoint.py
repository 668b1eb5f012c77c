"""`model.pt`: a checkpoint of hgld, which holds its architecture and its settings (docs/checkpoint.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.functional import pil_to_tensor

from hgld.benchmarks.models.embedding_network import scored_model
from hgld.benchmarks.models.network import Network, build_network, load_checkpoint
from hgld.benchmarks.models.scored_model import ModelOptions, ScoredModel


class ShorterSideCrop:
    """An image as (3, size, size) uint8: the shorter side scaled to `size`, then a centre crop."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._fit = v2.Compose([v2.Resize(size, antialias=True), v2.CenterCrop(size)])

    def __call__(self, image: Image.Image) -> Tensor:
        """A PIL image -> (3, size, size) uint8."""
        tensor: Tensor = pil_to_tensor(self._fit(image))
        return tensor

    def __repr__(self) -> str:
        return f"ShorterSideCrop({self.size})"


def open_checkpoint(model: str, options: ModelOptions) -> ScoredModel:
    """The network of a checkpoint, at its image size or at another. Raises HgldError for any other file."""
    network, config = load_checkpoint(Path(model))
    architecture = network.architecture
    if options.image_size is not None:
        architecture = architecture.model_copy(update={"image_size": options.image_size})
        resized = Network(architecture)
        resized.load_state_dict(network.state_dict())
        network = resized.eval()

    def untrained() -> nn.Module:
        return build_network(architecture, seed=initial_seed(config)).eval()

    described = {"model": architecture.model_dump(mode="json")}
    transform = ShorterSideCrop(architecture.image_size)
    scored = scored_model(Path(model).name, network, transform, options, described, untrained=untrained)
    differs = options.flip or options.scales or options.image_size is not None
    return replace(scored, config={**config, "scored as": scored.config["model"]} if differs else config)


def initial_seed(config: Mapping[str, Any]) -> int:
    """The seed that a checkpoint's config states for its initial weights; 0 where there is none that torch accepts.

    >>> initial_seed({"train": {"seed": 7}}), initial_seed({"train": {"seed": 2**70}}), initial_seed({})
    (7, 0, 0)
    """
    train = config.get("train")
    seed = train.get("seed") if isinstance(train, dict) else None
    return seed if type(seed) is int and -(2**63) <= seed < 2**64 else 0
