"""From an image to a network's input by timm's evaluation transform: resize, crop, tensor, normalise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image
from torch import Tensor

from hgld.benchmarks.models.scored_model import ModelOptions
from hgld.foundation.errors import HgldError, suggest

INTERPOLATIONS = ("bilinear", "bicubic", "nearest", "lanczos")
IMAGE_SIZES = (16, 2048)


def check_preprocessing(options: ModelOptions) -> None:
    """Raise HgldError for an image size, mean, std, interpolation or crop that no preprocessing has."""
    low, high = IMAGE_SIZES
    if options.image_size is not None and not low <= options.image_size <= high:
        raise HgldError(f"image_size: expected {low} to {high} pixels; found {options.image_size}")
    for name, values, least in (("mean", options.mean, 0.0), ("std", options.std, 1 / 256)):
        if values is not None and (len(values) != 3 or not all(least <= value <= 1 for value in values)):
            raise HgldError(
                f"{name}: expected three numbers from {least:g} to 1, for pixels in 0..1; found {list(values)}"
            )
    if options.interpolation is not None and options.interpolation not in INTERPOLATIONS:
        hint = suggest(options.interpolation, INTERPOLATIONS)
        raise HgldError(
            f"interpolation: expected one of {', '.join(INTERPOLATIONS)}; found {options.interpolation!r}{hint}"
        )
    if options.crop_pct is not None and not 0.1 <= options.crop_pct <= 1:
        raise HgldError(f"crop_pct: expected 0.1 to 1; found {options.crop_pct:g}")


def data_settings(
    options: ModelOptions, network_config: Mapping[str, Any], size: tuple[int, int] | None = None
) -> dict[str, Any]:
    """The settings of timm's transform: the options first, then `network_config`, then timm's defaults.

    size: height and width of the input where the network fixes them. The keys are those of `resolve_data_config`.
    """
    from timm.data.config import resolve_data_config

    arguments = {
        "img_size": options.image_size,
        "input_size": None if size is None else (3, *size),
        "mean": options.mean,
        "std": options.std,
        "interpolation": options.interpolation,
        "crop_pct": options.crop_pct,
    }
    stated = {"input_size": None, **network_config}
    settings: dict[str, Any] = resolve_data_config(  # type: ignore[no-untyped-call]
        arguments, pretrained_cfg=stated
    )
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def timm_transform(settings: Mapping[str, Any]) -> Callable[[Image.Image], Tensor]:
    """The evaluation transform of timm: a PIL image -> (3, H, W) float32, normalised."""
    from timm.data.transforms_factory import create_transform

    transform: Callable[[Image.Image], Tensor] = create_transform(**settings, is_training=False)
    return transform


def assumed(options: ModelOptions, settings: Mapping[str, Any]) -> list[str]:
    """A note about the settings that neither the options nor the model state."""
    values = {"--mean": options.mean, "--std": options.std, "--interpolation": options.interpolation}
    missing = [name for name, value in {**values, "--crop-pct": options.crop_pct}.items() if value is None]
    if not missing:
        return []
    used = ", ".join(f"{key} {settings[key]}" for key in ("mean", "std", "interpolation", "crop_pct"))
    return [
        f"the model states no preprocessing; used: {used} (set {', '.join(missing)} where it was trained otherwise)"
    ]
