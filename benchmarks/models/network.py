"""The retrieval network, and the checkpoint that `hgld benchmark` accepts.

A timm backbone, GeM or average pooling, LayerNorm without affine, a linear layer to `dim`, L2 normalisation.

The checkpoint is a dictionary written by `torch.save`:

    {"format": "hgld-model/1",
     "model": {"backbone", "dim", "pooling", "image_size", "mean", "std"},    # the fields of Architecture
     "state_dict": {...},                                                     # of the whole network, keys as in Network
     "config": {...}}                                                         # effective training settings, free form

It holds tensors, numbers, strings, lists and dictionaries only, and is read with `weights_only=True`, which runs no
code; anything else is refused. Equal contents give equal bytes. See docs/checkpoint.md.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal, NamedTuple

import timm
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.files import replacing

FORMAT = "hgld-model/1"
CONTRACT = f"expected a checkpoint of format {FORMAT} (see docs/checkpoint.md)"


class Architecture(BaseModel):
    """What a network is built from; mean and std normalise the pixels, in 0..1, per channel."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    backbone: str
    dim: int = Field(ge=2, le=65_536)
    pooling: Literal["gem", "avg"]
    image_size: int = Field(ge=16, le=4_096)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)


class GeM(nn.Module):
    """Generalised-mean pooling with a learned power p: p = 1 is the average, p → ∞ the maximum (Radenović 2018)."""

    def __init__(self, power: float = 3.0) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, P) -> (B, C)."""
        return features.clamp(min=1e-6).pow(self.power).mean(2).pow(1.0 / self.power)


class Average(nn.Module):
    """Average pooling."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, P) -> (B, C)."""
        return features.mean(2)


class Network(nn.Module):
    """Images uint8 (B, 3, S, S) -> L2-normalised embeddings float32 (B, dim)."""

    mean: Tensor
    std: Tensor

    def __init__(self, architecture: Architecture, *, pretrained: bool = False) -> None:
        super().__init__()
        name = architecture.backbone
        if not timm.is_model(name):
            raise HgldError(
                f"unknown backbone {name!r}{suggest(name, timm.list_models())}; use a name of timm.list_models()"
            )
        self.architecture = architecture
        self.backbone: Any = timm.create_model(name, pretrained=pretrained, num_classes=0, global_pool="")
        self.pool = GeM() if architecture.pooling == "gem" else Average()
        channels = self._channels()
        self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.head = nn.Linear(channels, architecture.dim)
        self.register_buffer("mean", torch.tensor(architecture.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(architecture.std).view(1, 3, 1, 1), persistent=False)

    def _features(self, pixels: Tensor) -> Tensor:
        """(B, C, P): the positions of a convolutional feature map, or a transformer's patch tokens."""
        features: Tensor = self.backbone.forward_features(pixels)
        if features.dim() == 3:
            return features[:, getattr(self.backbone, "num_prefix_tokens", 0) :].transpose(1, 2)
        if features.dim() == 4 and features.shape[1] == self.backbone.num_features:
            return features.flatten(2)
        if features.dim() == 4:
            return features.flatten(1, 2).transpose(1, 2)
        raise HgldError(
            f"backbone {self.architecture.backbone!r} returns features of shape {tuple(features.shape)}; "
            "expected a feature map (B, C, H, W) or (B, H, W, C), or tokens (B, P, C)"
        )

    def _channels(self) -> int:
        """Number of feature channels C, by a forward pass. Raises HgldError when the image size does not fit."""
        self.backbone.eval()
        size = self.architecture.image_size
        try:
            with torch.no_grad():
                channels = self._features(torch.zeros(1, 3, size, size)).shape[1]
        except (AssertionError, RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = " ".join(str(error).split())[:160]
            raise HgldError(
                f"backbone {self.architecture.backbone!r} does not take images of {size} px ({reason}); "
                "choose another image_size or backbone"
            ) from None
        self.backbone.train()
        return int(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Embed images of any real dtype, in 0..255."""
        pixels = (images.float() / 255.0 - self.mean) / self.std
        return nn.functional.normalize(self.head(self.norm(self.pool(self._features(pixels)))), dim=1)


class Checkpoint(NamedTuple):
    """A trained network in eval mode, and the settings it was trained with (free form)."""

    network: Network
    config: dict[str, Any]


def build_network(architecture: Architecture, *, seed: int, pretrained: bool = False) -> Network:
    """A network initialised from `seed`; the global random state is not changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(architecture, pretrained=pretrained)


def save_checkpoint(network: Network, config: dict[str, Any], path: Path) -> None:
    """Write a checkpoint atomically; equal weights and config give equal bytes."""
    document = {
        "format": FORMAT,
        "model": network.architecture.model_dump(mode="json"),
        "state_dict": {name: value.detach().cpu() for name, value in network.state_dict().items()},
        "config": config,
    }
    torch_save(document, path)


def torch_save(document: dict[str, Any], path: Path) -> None:
    """`torch.save`, atomically, with bytes that do not depend on the name of the file."""
    # torch.save names the archive's root folder after the file it writes to; for a buffer it is always the same.
    buffer = io.BytesIO()
    torch.save(document, buffer)
    with replacing(path) as part:
        part.write_bytes(buffer.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises a one-line HgldError for any other file."""
    document = _read(path)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise HgldError(f"{path}: {CONTRACT}; found {_describe(document)}")
    for key in ("model", "state_dict", "config"):
        if not isinstance(document.get(key), dict):
            raise HgldError(f"{path}: {key!r} is missing or not a dictionary; {CONTRACT}")
    try:
        network = build_network(Architecture.model_validate(document["model"]), seed=0)
    except ValidationError as error:
        first = error.errors()[0]
        raise HgldError(f"{path}: model.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except HgldError as error:
        raise HgldError(f"{path}: {error}") from None
    _load_weights(network, document["state_dict"], path)
    return Checkpoint(network.eval(), document["config"])


def _describe(document: object) -> str:
    """The contents of a file that is not a checkpoint of this format."""
    if not isinstance(document, dict):
        return type(document).__name__
    if isinstance(document.get("format"), str):
        return f"format {document['format'][:40]!r}"
    return f"keys {sorted(map(str, document))[:4]}"


def _read(path: Path) -> object:
    """The unpickled contents; no code in the file is run."""
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
            f"{path}: not a pickle, or one with objects that would run code when loaded; {CONTRACT}"
        ) from None
    except Exception as error:  # a damaged file can raise anything
        script = "TorchScript" in str(error)
        kind = "a TorchScript archive" if script else "damaged, or not written by torch.save"
        raise HgldError(f"{path}: {kind}; {CONTRACT}") from None


def _load_weights(network: Network, state: dict[str, Any], path: Path) -> None:
    """Load the state_dict. Raises HgldError with the first key that is missing, unknown or of the wrong shape."""
    own = network.state_dict()
    if missing := [key for key in own if key not in state]:
        raise HgldError(f"{path}: state_dict lacks {missing[0]!r} ({len(missing)} of {len(own)} keys); {CONTRACT}")
    if extra := [str(key) for key in state if key not in own]:
        raise HgldError(f"{path}: state_dict has unknown {extra[0]!r} ({len(extra)} keys); {CONTRACT}")
    for key, value in state.items():
        if isinstance(value, Tensor) and not _is_plain(value, own[key]):
            kind = f"{value.dtype}, {value.layout} on {value.device}"
            raise HgldError(f"{path}: {key} is {kind}; the network needs a plain {own[key].dtype} tensor")
        if not isinstance(value, Tensor) or value.shape != own[key].shape:
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise HgldError(f"{path}: {key} is {shape}, the network needs {tuple(own[key].shape)}")
    network.load_state_dict(state)


def _is_plain(value: Tensor, own: Tensor) -> bool:
    """Whether `value` is a dense CPU tensor of the same kind of number (floating or integer) as `own`."""
    same_kind = value.is_floating_point() == own.is_floating_point() and not value.is_complex()
    return same_kind and value.layout == torch.strided and value.device.type == "cpu" and not value.is_nested
