"""`open_clip:NAME/PRETRAINED`: the image tower of an open_clip model, with its own preprocessing.

PRETRAINED is a tag of open_clip.list_pretrained() or a file of weights; `open_clip:hf-hub:ORGANISATION/NAME` and
`open_clip:local-dir:FOLDER` name both at once.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from hgld.benchmarks.models.embedding_network import EmbeddingNetwork, scored_model
from hgld.benchmarks.models.file_kind import is_safetensors
from hgld.benchmarks.models.scored_model import ModelOptions, ScoredModel
from hgld.benchmarks.models.sources.timm_name import hub
from hgld.benchmarks.models.torch_file import check_torch_file
from hgld.foundation.errors import HgldError, reason, suggest

PREFIX = "open_clip:"
_FROM_ELSEWHERE = ("hf-hub:", "local-dir:")


class ImageTower(nn.Module):
    """The embeddings of images by a CLIP model."""

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, d)."""
        embeddings: Tensor = self.clip.encode_image(images)
        return embeddings


def open_open_clip_name(model: str, options: ModelOptions) -> ScoredModel:
    """An open_clip model by name. Raises HgldError for unknown names, and when the weights cannot be fetched."""
    import open_clip

    name, pretrained = split_name(model)
    size = options.image_size
    with warnings.catch_warnings(record=True) as caught, hub(model, f"give a file: {PREFIX}NAME/FILE"):
        warnings.simplefilter("always")
        clip, transform = open_clip.create_model_from_pretrained(
            name,
            pretrained,
            force_image_size=size,
            image_mean=options.mean,
            image_std=options.std,
            image_interpolation=options.interpolation,
        )
    mismatches = [reason(w.message) for w in caught if "QuickGELU" in str(w.message)]  # type: ignore[arg-type]

    def untrained() -> nn.Module:
        import torch

        with torch.random.fork_rng(devices=[]), hub(model, ""):
            torch.manual_seed(0)
            initial = open_clip.create_model(
                name, pretrained, load_weights=False, force_image_size=size, pretrained_text=False
            )
        return _embedder(initial)

    settings = {"open_clip": open_clip.__version__, "network": name.partition(":")[0], **clip.visual.preprocess_cfg}
    source = Path(pretrained).name if pretrained and Path(pretrained).is_file() else pretrained
    return scored_model(
        f"{PREFIX}{name}/{source}" if source else f"{PREFIX}{name}",
        _embedder(clip),
        transform,
        options,
        {"model": settings, "notes": mismatches},
        untrained=untrained,
    )


def _embedder(clip: Any) -> EmbeddingNetwork:
    return EmbeddingNetwork(ImageTower(clip)).eval()


def split_name(model: str) -> tuple[str, str | None]:
    """Name and pretrained tag or file of `open_clip:NAME/PRETRAINED`. Raises HgldError where open_clip knows it not."""
    import open_clip

    text = model.removeprefix(PREFIX)
    if text.startswith(_FROM_ELSEWHERE):
        return text, None
    name, _, pretrained = text.partition("/")
    known = open_clip.list_models()
    if name not in known:
        raise HgldError(f"open_clip has no model {name[:80]!r}{suggest(name[:80], known)}")
    tags = open_clip.list_pretrained_tags_by_model(name)
    shown = ", ".join(tags[:8]) or "none"
    if not pretrained:
        raise HgldError(f"{model}: expected {PREFIX}NAME/PRETRAINED, a tag ({shown}) or a file of weights")
    if pretrained in tags:
        return name, pretrained
    path = Path(pretrained)
    if not path.is_file():
        raise HgldError(
            f"{model}: {pretrained[:120]!r} is neither a file nor pretrained weights of {name}"
            f"{suggest(pretrained[:80], tags)}; it has {shown}"
        )
    _check_file(path)
    return name, pretrained


def _check_file(path: Path) -> None:
    """Raise HgldError for a file that open_clip would not read, or whose reading is not bounded by its size."""
    if path.suffix in (".npz", ".npy"):  # weights of big_vision
        return
    if is_safetensors(path) != (path.suffix == ".safetensors"):
        raise HgldError(
            f"{path}: open_clip takes files that end in .safetensors for safetensors, and no others; rename it"
        )
    if path.suffix != ".safetensors":
        try:
            check_torch_file(path)
        except (HgldError, OSError) as error:
            raise HgldError(f"{path}: {error}") from None
