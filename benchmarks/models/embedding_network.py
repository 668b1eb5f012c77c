"""From any network to one that embeds: checked, float32, L2-normalised, and averaged over views of the image."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from hgld.benchmarks.models.scored_model import ModelOptions, ScoredModel
from hgld.foundation.errors import HgldError, lacks_memory, reason

MAX_SCALES = 8
SCALE_RANGE = (0.1, 4.0)
# Embeddings are unit vectors: those of one image alone and within a batch differ by rounding, not by this much.
BATCH_TOLERANCE = 0.02


class EmbeddingNetwork(nn.Module):
    """The outputs of `network` as L2-normalised float32 (B, d). Raises HgldError for outputs of another shape.

    size_multiple: what the sides of its input must be multiples of, such as the patch size of a transformer.
    """

    def __init__(self, network: nn.Module, *, size_multiple: int = 1) -> None:
        super().__init__()
        self.network, self.size_multiple = network, size_multiple

    def forward(self, images: Tensor) -> Tensor:
        """(B, …) -> (B, d)."""
        output = _single(self.network(images))
        if output.dim() == 4 and output.shape[2:] == (1, 1):
            output = output.flatten(1)
        if output.dim() != 2 or len(output) != len(images) or not output.is_floating_point():
            raise HgldError(
                f"the network returns {output.dtype} of shape {tuple(output.shape)} for {len(images)} images; expected "
                "one embedding an image, (B, d): pool it inside the model"
            )
        return nn.functional.normalize(output.float(), dim=1)


def _single(output: object) -> Tensor:
    """The only tensor of an output. Raises HgldError where there is none, or a choice."""
    values = list(output.values()) if isinstance(output, Mapping) else output
    if isinstance(values, list | tuple) and len(values) == 1:
        values = values[0]
    if not isinstance(values, Tensor):
        what = f"{len(values)} values" if isinstance(values, list | tuple) else f"a {type(values).__name__}"
        raise HgldError(f"the network returns {what}; expected one tensor (B, d)")
    return values


class AveragedViews(nn.Module):
    """The mean of the embeddings of an image, mirrored and scaled, L2-normalised again (test-time augmentation).

    multiple: the sides of a scaled image are rounded to a multiple of it, such as the patch size of a transformer.
    """

    def __init__(self, network: nn.Module, *, flip: bool, scales: Sequence[float], multiple: int = 1) -> None:
        super().__init__()
        self.network, self.flip, self.multiple = network, flip, multiple
        self.scales = tuple(scales) or (1.0,)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, d)."""
        total: Tensor | None = None
        for scale in self.scales:
            view = self._scaled(images, scale)
            for mirrored in (False, True) if self.flip else (False,):
                embedding = self.network(view.flip(-1) if mirrored else view)
                total = embedding if total is None else total + embedding
        assert total is not None
        return nn.functional.normalize(total, dim=1)

    def _scaled(self, images: Tensor, scale: float) -> Tensor:
        if scale == 1:
            return images
        size = [max(self.multiple, round(side * scale / self.multiple) * self.multiple) for side in images.shape[-2:]]
        if size == list(images.shape[-2:]):
            return images
        return nn.functional.interpolate(images.float(), size=size, mode="bilinear", antialias=True)


class FixedBatch(nn.Module):
    """A network that takes exactly `size` images at a time, such as one exported for a batch of 1."""

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network, self.size = network, size

    def forward(self, images: Tensor) -> Tensor:
        """(B, …) -> (B, …) for any B: the last batch is filled up with zeros, whose outputs are dropped."""
        outputs = []
        for part in torch.split(images, self.size):
            missing = self.size - len(part)
            whole = torch.cat([part, part.new_zeros((missing, *part.shape[1:]))]) if missing else part
            outputs.append(_single(self.network(whole))[: len(part)])
        return torch.cat(outputs)


def scored_model(
    name: str,
    network: nn.Module,
    preprocess: Callable[[Image.Image], Tensor],
    options: ModelOptions,
    config: dict[str, Any],
    *,
    weights: str | None = None,
    untrained: Callable[[], nn.Module] | None = None,
) -> ScoredModel:
    """A network that embeds, checked on two images, with its identity.

    config: `model`, the settings that the embeddings depend on, and what else the report shows. weights: hex digest of
    the weights of a network that has no complete state_dict. untrained: another such network, with initial weights.
    Raises HgldError.
    """
    multiple = int(getattr(network, "size_multiple", 1))
    settings = {**config["model"], "flip": options.flip, "scales": list(options.scales)}

    def with_views(one: nn.Module) -> nn.Module:
        if options.flip or options.scales:
            one = AveragedViews(one, flip=options.flip, scales=options.scales, multiple=multiple)
        return one.eval().requires_grad_(False)

    whole = with_views(network)
    shape = check_network(name, whole, preprocess)
    initial = None if untrained is None else lambda: with_views(untrained())
    return ScoredModel(
        name=name,
        identity=identity(weights or weights_digest(network), {**settings, "preprocess": text_of(preprocess)}),
        network=whole,
        preprocess=preprocess,
        input_pixels=shape[-1] * shape[-2],
        config={**config, "model": settings},
        untrained=initial,
    )


def check_scales(options: ModelOptions) -> None:
    """Raise HgldError for scales that are too many, too small or too large."""
    low, high = SCALE_RANGE
    if len(options.scales) > MAX_SCALES or not all(low <= scale <= high for scale in options.scales):
        raise HgldError(
            f"scales: expected at most {MAX_SCALES} numbers from {low} to {high}; found {list(options.scales)}"
        )


def probe_image(seed: int) -> Image.Image:
    """A fixed RGB image, 320 x 240 pixels: smooth colours with some noise."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((320, 240), Image.Resampling.BICUBIC), dtype=np.int16)
    noise = generator.integers(-12, 13, smooth.shape, dtype=np.int16)
    return Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8))


@torch.no_grad()
def check_network(name: str, network: nn.Module, preprocess: Callable[[Image.Image], Tensor]) -> tuple[int, ...]:
    """Embed two images, together and alone; -> the shape of an input.

    Raises HgldError when the network does not take the input, returns no finite embeddings (B, d), or gives an image
    another embedding beside another image: then it was saved in training mode.
    """
    try:
        inputs = torch.stack([preprocess(probe_image(seed)) for seed in (1, 2)])
    except Exception as error:  # a transform from elsewhere may raise anything
        if lacks_memory(error):
            raise
        raise HgldError(f"{name}: its preprocessing fails: {reason(error)[:300]}") from None
    if inputs.dim() != 4:
        raise HgldError(f"{name}: its preprocessing returns {tuple(inputs.shape[1:])}; expected a tensor (3, H, W)")
    shape = tuple(inputs.shape[1:])
    try:
        together, alone = network(inputs), network(inputs[:1])
    except HgldError as error:
        raise error.within(name) from None
    except Exception as error:  # torch, timm and runtimes raise anything
        if lacks_memory(error):
            raise
        text = reason(error)[:300]
        raise HgldError(f"{name}: the network does not take an input of {shape}: {text}; set another size") from None
    if not bool(together.isfinite().all()):
        raise HgldError(f"{name}: the embeddings are not finite numbers: damaged weights, or a training that diverged")
    if not torch.allclose(together[:1], alone, rtol=0, atol=BATCH_TOLERANCE):
        raise HgldError(
            f"{name}: an image has another embedding when it is in a batch with another; the network was saved in "
            "training mode: call .eval() before it is exported"
        )
    return shape


def text_of(value: object) -> str:
    """`repr` without memory addresses, which differ from run to run."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def identity(weights: str, settings: Mapping[str, Any]) -> str:
    """Hex SHA-256 of a digest of weights and of settings, which are plain values."""
    text = json.dumps({"weights": weights, **settings}, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def weights_digest(network: nn.Module) -> str:
    """Hex SHA-256 of the names, types, shapes and values of a network's state_dict."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        plain = value.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
