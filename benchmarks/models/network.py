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
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import timm
import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from hgld.benchmarks.models.checkpoint_contents import check_config, check_weights, weight_bytes
from hgld.benchmarks.models.torch_file import read_torch_file
from hgld.foundation.errors import HgldError, lacks_memory, reason, suggest
from hgld.foundation.files import replacing
from hgld.foundation.settings import MAX_DIM, MAX_IMAGE_SIZE

FORMAT = "hgld-model/1"
CONTRACT = f"expected a checkpoint of format {FORMAT} (see docs/checkpoint.md)"
_SCORED = "; `hgld benchmark` scores it with --backbone NAME"
# A backbone of up to this many bytes is built even if the weights in the file are fewer, for a specific message.
SMALL_BACKBONE = 256 << 20


def _mean(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError("expected a number from 0 to 1, as pixels are in 0..1 (divide a mean in 0..255 by 255)")
    return value


def _std(value: float) -> float:
    # 1 / 255 is the smallest step between two pixels; timm's networks have 0.22 to 1
    if not 1 / 256 <= value <= 1:
        raise ValueError("expected a number from 1/256 to 1, as pixels are in 0..1 (divide a std in 0..255 by 255)")
    return value


_Mean = Annotated[float, AfterValidator(_mean)]
_Std = Annotated[float, AfterValidator(_std)]


class Architecture(BaseModel):
    """What a network is built from; mean and std normalise the pixels, in 0..1, per channel."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)

    backbone: str
    dim: int = Field(ge=2, le=MAX_DIM)
    pooling: Literal["gem", "avg"]
    image_size: int = Field(ge=16, le=MAX_IMAGE_SIZE)
    mean: tuple[_Mean, _Mean, _Mean] = (0.5, 0.5, 0.5)
    std: tuple[_Std, _Std, _Std] = (0.5, 0.5, 0.5)


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
        self.architecture = architecture
        self.backbone = create_backbone(architecture.backbone, pretrained=pretrained)
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
            if lacks_memory(error):
                raise
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


def create_backbone(name: str, *, pretrained: bool = False) -> Any:
    """The timm network of that name without pooling and classes. Raises HgldError where there is none."""
    if not timm.is_model(name):
        raise HgldError(
            f"unknown backbone {name[:80]!r}{suggest(name[:80], timm.list_models())}; use a name of timm.list_models()"
        )
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, global_pool="")
    except (AssertionError, TypeError, ValueError) as error:
        raise HgldError(
            f"backbone {name!r} cannot be built without its pooling ({reason(error)}); choose another"
        ) from None


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
    try:
        document = read_torch_file(path)
    except HgldError as error:
        raise HgldError(f"{path}: {error}; {CONTRACT}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise HgldError(f"{path}: {CONTRACT}; found {_describe(document)}")
    for key in ("model", "state_dict", "config"):
        if not isinstance(document.get(key), dict):
            raise HgldError(f"{path}: {key!r} is missing or not a dictionary; {CONTRACT}")
    try:
        check_config(document["config"])
        network = _network(document["model"], document["state_dict"], path.stat().st_size)
    except ValidationError as error:
        raise HgldError(f"{path}: {_invalid(error)}") from None
    except HgldError as error:
        raise HgldError(f"{path}: {error}") from None
    return Checkpoint(network.eval(), document["config"])


def _network(model: dict[str, Any], state: dict[str, Any], file_bytes: int) -> Network:
    """The network of a checkpoint with its weights; its size is compared with the file's before it is built."""
    architecture = Architecture.model_validate(model)
    with torch.device("meta"):
        needed = weight_bytes(create_backbone(architecture.backbone).state_dict())
    if needed > max(4 * file_bytes, SMALL_BACKBONE):  # weights may be stored in 8 bits
        raise HgldError(
            f"backbone {architecture.backbone!r} has {needed / 1e6:,.0f} MB of weights, and the file only "
            f"{file_bytes / 1e6:,.1f} MB: they do not belong together; {CONTRACT}"
        )
    network = build_network(architecture, seed=0)
    check_weights(network.state_dict(), state, CONTRACT)
    network.load_state_dict(state)
    return network


def _invalid(error: ValidationError) -> str:
    """The first field of `model` that is not valid."""
    first = error.errors()[0]
    where = ".".join(str(part)[:80] for part in ("model", *first["loc"]))
    return f"{where}: {first['msg'].removeprefix('Value error, ')}; found {repr(first['input'])[:80]}"


def _describe(document: object) -> str:
    """The contents of a file that is not a checkpoint of this format."""
    if not isinstance(document, dict):
        return f"a {type(document).__name__}"
    if isinstance(document.get("format"), str):
        hint = " (an unfinished training; `hgld train` resumes it)" if "training" in document["format"] else ""
        return f"format {document['format'][:40]!r}{hint}"
    if _is_state_dict(document):
        first = str(next(iter(document)))[:80]
        return f"a bare state_dict of {len(document)} tensors, from {first!r} on{_SCORED}"
    if {"state", "param_groups"} <= set(document):
        return "the state of an optimizer, which has no weights of a network"
    inner = [str(key)[:40] for key, value in document.items() if isinstance(value, dict) and _is_state_dict(value)]
    if inner:
        maker = " of PyTorch Lightning" if "pytorch-lightning_version" in document else ""
        return f"a training checkpoint{maker} with weights under {inner[0]!r}{_SCORED}"
    return f"keys {[key[:40] for key in sorted(map(str, document))[:4]]}"


def _is_state_dict(value: dict[Any, Any]) -> bool:
    return bool(value) and all(isinstance(item, Tensor) for item in value.values())
