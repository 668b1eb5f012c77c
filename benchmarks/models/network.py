"""The retrieval network, and the checkpoint that `hgld benchmark` accepts.

A timm backbone, GeM or average pooling, LayerNorm without affine, a linear layer to `dim`, L2 norm.

The checkpoint is what `torch.save` writes of

    {"format": "hgld-model/1",
     "model": {"backbone", "dim", "pooling", "image_size", "mean", "std"},    # enough to build the network
     "state_dict": {...},                                                     # of the whole network, keys as in Network
     "config": {...}}                                                         # effective training settings, free form

with tensors, numbers, strings, lists and dictionaries only: it is read with `weights_only=True`, which executes
nothing, and a file that holds anything else is refused. Equal contents give equal bytes. See docs/checkpoint.md.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import timm
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.files import replacing

FORMAT = "hgld-model/1"
CONTRACT = f"expected a checkpoint of format {FORMAT} (see docs/checkpoint.md)"


class Shape(BaseModel):
    """What a network is built from; mean and std are those of the pixels in 0..1, per channel."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    backbone: str
    dim: int = Field(ge=2, le=65_536)
    pooling: Literal["gem", "avg"]
    image_size: int = Field(ge=16, le=4_096)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)


class GeM(nn.Module):
    """Generalised mean over the positions with a learned power: 1 is the average, infinity the maximum."""

    def __init__(self, power: float = 3.0) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, P) -> (B, C)."""
        return features.clamp(min=1e-6).pow(self.power).mean(2).pow(1.0 / self.power)


class Average(nn.Module):
    """Mean over the positions."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, P) -> (B, C)."""
        return features.mean(2)


class Network(nn.Module):
    """Images uint8 (B, 3, S, S) -> L2-normalised embeddings float32 (B, dim)."""

    mean: Tensor
    std: Tensor

    def __init__(self, shape: Shape, *, pretrained: bool = False) -> None:
        super().__init__()
        if not timm.is_model(shape.backbone):
            hint = suggest(shape.backbone, timm.list_models())
            raise HgldError(
                f"unknown backbone {shape.backbone!r}{hint}; it must be a name of timm's own models"
            )
        self.shape = shape
        self.backbone: Any = timm.create_model(
            shape.backbone, pretrained=pretrained, num_classes=0, global_pool=""
        )
        self.pool = GeM() if shape.pooling == "gem" else Average()
        channels = self._channels()
        self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.head = nn.Linear(channels, shape.dim)
        self.register_buffer("mean", torch.tensor(shape.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(shape.std).view(1, 3, 1, 1), persistent=False)

    def _features(self, pixels: Tensor) -> Tensor:
        """(B, C, positions) of a convolutional map or of a transformer's patch tokens."""
        features: Tensor = self.backbone.forward_features(pixels)
        if features.dim() == 3:
            return features[:, getattr(self.backbone, "num_prefix_tokens", 0) :].transpose(1, 2)
        if features.dim() == 4 and features.shape[1] == self.backbone.num_features:
            return features.flatten(2)
        if features.dim() == 4:
            return features.flatten(1, 2).transpose(1, 2)
        raise HgldError(
            f"backbone {self.shape.backbone!r} gives features {tuple(features.shape)}, no map and no tokens"
        )

    def _channels(self) -> int:
        """Width of the features, seen on one empty image. Raises HgldError when the backbone does not take its size."""
        self.backbone.eval()
        size = self.shape.image_size
        try:
            with torch.no_grad():
                width = self._features(torch.zeros(1, 3, size, size)).shape[1]
        except (AssertionError, RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = " ".join(str(error).split())[:160]
            raise HgldError(
                f"backbone {self.shape.backbone!r} does not take images of {size} px ({reason}); "
                "choose another image_size or backbone"
            ) from None
        self.backbone.train()
        return int(width)

    def forward(self, images: Tensor) -> Tensor:
        """Embed images of any real dtype in 0..255."""
        pixels = (images.float() / 255.0 - self.mean) / self.std
        return nn.functional.normalize(self.head(self.norm(self.pool(self._features(pixels)))), dim=1)


def build(shape: Shape, *, seed: int, pretrained: bool = False) -> Network:
    """A network with the first weights that `seed` gives; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(shape, pretrained=pretrained)


def save(network: Network, config: dict[str, Any], path: Path) -> None:
    """Write a checkpoint atomically; the same weights and config give the same bytes."""
    document = {
        "format": FORMAT,
        "model": network.shape.model_dump(mode="json"),
        "state_dict": {name: value.detach().cpu() for name, value in network.state_dict().items()},
        "config": config,
    }
    # torch.save names the archive's root folder after the file it writes to; through a buffer it is always the same.
    buffer = io.BytesIO()
    torch.save(document, buffer)
    with replacing(path) as part:
        part.write_bytes(buffer.getvalue())


def load(path: Path) -> tuple[Network, dict[str, Any]]:
    """The network of a checkpoint, in eval mode, and its config. Raises HgldError, one line, for anything else."""
    document = _read(path)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise HgldError(f"{path}: {CONTRACT}; found {_kind(document)}")
    if missing := [
        key for key in ("model", "state_dict", "config") if not isinstance(document.get(key), dict)
    ]:
        raise HgldError(f"{path}: {missing[0]!r} is missing or no dictionary; {CONTRACT}")
    try:
        shape = Shape.model_validate(document["model"])
    except ValidationError as error:
        first = error.errors()[0]
        raise HgldError(f"{path}: model.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    try:
        network = build(shape, seed=0)
    except HgldError as error:
        raise HgldError(f"{path}: {error}") from None
    _fill(network, document["state_dict"], path)
    return network.eval(), document["config"]


def _kind(document: object) -> str:
    """What a file holds that is no checkpoint of this format."""
    if not isinstance(document, dict):
        return type(document).__name__
    if isinstance(document.get("format"), str):
        return f"format {document['format'][:40]!r}"
    return f"keys {sorted(map(str, document))[:4]}"


def _read(path: Path) -> object:
    """The unpickled contents, without executing anything."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise HgldError(f"{path}: no such file; {CONTRACT}") from None
    except IsADirectoryError:
        raise HgldError(f"{path}: is a folder; {CONTRACT}") from None
    except UnpicklingError:
        raise HgldError(
            f"{path}: holds objects that would run code when loaded, or no pickle at all; {CONTRACT}"
        ) from None
    except Exception as error:  # torch.load raises whatever the bytes lead it to
        kind = (
            "a TorchScript archive"
            if "TorchScript" in str(error)
            else "not a file that torch.save wrote, or damaged"
        )
        raise HgldError(f"{path}: {kind}; {CONTRACT}") from None


def _fill(network: Network, state: dict[str, Any], path: Path) -> None:
    """Load the weights; raise HgldError that names the first key that is missing, unknown or of another shape."""
    own = network.state_dict()
    if missing := [key for key in own if key not in state]:
        raise HgldError(
            f"{path}: state_dict lacks {missing[0]!r} ({len(missing)} of {len(own)} keys); {CONTRACT}"
        )
    if extra := [str(key) for key in state if key not in own]:
        raise HgldError(f"{path}: state_dict has unknown {extra[0]!r} ({len(extra)} keys); {CONTRACT}")
    for key, value in state.items():
        if isinstance(value, Tensor) and not _is_plain(value, own[key]):
            kind = f"{value.dtype}, {value.layout}, on {value.device}"
            raise HgldError(f"{path}: {key} is {kind}; the network needs a plain {own[key].dtype} tensor")
        if not isinstance(value, Tensor) or value.shape != own[key].shape:
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise HgldError(f"{path}: {key} is {found}, the network needs {tuple(own[key].shape)}")
    network.load_state_dict(state)


def _is_plain(value: Tensor, own: Tensor) -> bool:
    """Whether a tensor holds its values one by one, here, as the same kind of number as the network's own."""
    same_kind = value.is_floating_point() == own.is_floating_point() and not value.is_complex()
    return same_kind and value.layout == torch.strided and value.device.type == "cpu" and not value.is_nested
