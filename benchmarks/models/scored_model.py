"""What can be scored: a network that is run on the images, or embeddings that exist already; how it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class ScoredModel:
    """A network to be run.

    name: for tables and reports, such as "model.pt" or "timm:resnet50". identity: hex SHA-256 of the weights and of all
    else that the embeddings depend on, such as preprocessing, pooling and image size. preprocess: one RGB image -> a
    tensor of a fixed shape; deterministic, thread-safe and picklable. network: stacked outputs of `preprocess` (B, …)
    -> (B, d) float32, L2-normalised; in eval mode. input_pixels: height x width of the input. config: settings that the
    report shows; its "notes", a list of lines where there are some, are also printed. untrained: builds the same
    network as initialised, for a baseline; None where there is none.
    """

    name: str
    identity: str
    network: nn.Module
    preprocess: Callable[[Image.Image], Tensor]
    input_pixels: int
    config: dict[str, Any]
    untrained: Callable[[], nn.Module] | None = None


@dataclass(frozen=True, kw_only=True)
class Precomputed:
    """Embeddings that exist already: one id and one row of vectors (n, d) float32, L2-normalised, per image."""

    name: str
    identity: str
    ids: tuple[str, ...]
    vectors: Tensor
    config: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """How a model is to be opened; what is not given follows the model's own config. Each form takes some of these.

    backbone: a name of timm.list_models(), the network that a state dict belongs to.
    pooling: one of POOLINGS (cls, avg, max, gem, avg+max, patch-cls); None is the network's own.
    head: what follows the pooling: none, linear or layernorm-linear; its weights are read from the state dict.
    image_size: pixels per side of the input.
    mean, std: three numbers each, for pixels in 0..1.
    interpolation: bilinear, bicubic, nearest or lanczos.
    crop_pct: the input's side as a fraction of the length to which the shorter side is scaled, as in timm.
    prefix: what stands before the network's keys in a state dict, such as "teacher."; found unless two fit.
    state_key: which part of a file with several sets of weights, such as "state_dict_ema".
    ignore: beginnings of keys of a state dict that are left out.
    output: name of the output of an ONNX graph.
    ids: text file with the ids of the rows of a .npy.
    trust: let code that comes with the model run.
    flip: average with the embedding of the mirrored image.
    scales: average over the input scaled by each of these.
    """

    backbone: str | None = None
    pooling: str | None = None
    head: str = "none"
    image_size: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    interpolation: str | None = None
    crop_pct: float | None = None
    prefix: str | None = None
    state_key: str | None = None
    ignore: tuple[str, ...] = ()
    output: str | None = None
    ids: Path | None = None
    trust: bool = False
    flip: bool = False
    scales: tuple[float, ...] = ()
