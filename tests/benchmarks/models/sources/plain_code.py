"""What a user of timm would write to embed a few images; and the images."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import timm
import torch
from PIL import Image
from torch import Tensor, nn

from hgld.benchmarks.models.embedding_network import probe_image
from hgld.benchmarks.models.scored_model import Precomputed, ScoredModel
from hgld.benchmarks.models.sources.registry import ModelOptions, open_model

IMAGES: list[Image.Image] = [probe_image(seed) for seed in (11, 12, 13)]


def opened(model: object, **options: Any) -> ScoredModel:
    """A network opened as `hgld benchmark` opens it."""
    scored = open_model(str(model), ModelOptions(**options))
    assert isinstance(scored, ScoredModel)
    return scored


def precomputed(model: object, **options: Any) -> Precomputed:
    """Embeddings opened as `hgld benchmark` opens them."""
    embeddings = open_model(str(model), ModelOptions(**options))
    assert isinstance(embeddings, Precomputed)
    return embeddings


@torch.no_grad()
def embedded(scored: ScoredModel) -> Tensor:
    """The embeddings of IMAGES; checks what ScoredModel promises."""
    inputs = torch.stack([scored.preprocess(image) for image in IMAGES])
    assert scored.input_pixels == inputs.shape[-1] * inputs.shape[-2]
    assert not scored.network.training
    embeddings: Tensor = scored.network(inputs)
    assert embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(len(IMAGES)))
    assert (embeddings[0] - embeddings[1]).abs().max() > 1e-5, "two images have two embeddings"
    return embeddings


def backbone(name: str, seed: int = 5, **arguments: Any) -> Any:
    """A timm network with random weights and batch statistics, in eval mode: a copy, built once."""
    return copy.deepcopy(_backbone(name, seed, tuple(arguments.items())))


@cache
def _backbone(name: str, seed: int, arguments: tuple[tuple[str, Any], ...]) -> Any:
    torch.manual_seed(seed)
    network = timm.create_model(name, **dict(arguments))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


@torch.no_grad()
def plain(network: Any, **data: Any) -> Tensor:
    """The embeddings of IMAGES by timm alone: its transform, its network without classifier, L2."""
    settings = timm.data.resolve_model_data_config(network, args=data)
    transform = timm.data.create_transform(**settings, is_training=False)
    network.reset_classifier(0)
    output: Tensor = network(torch.stack([transform(image) for image in IMAGES]))
    return nn.functional.normalize(output, dim=1)
