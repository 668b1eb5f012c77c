"""CLIP through the public API of open_clip: images and texts to unit vectors."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from hgld.foundation.errors import HgldError, lacks_memory, suggest
from hgld.foundation.files import sha256
from hgld.foundation.settings import Embed, torchrun_variables

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """A loaded model: its display name, and an identity that changes with its weights or its preprocessing."""

    name: str
    identity: str
    model: Any
    preprocess: Callable[[Image.Image], Any]
    tokenize: Callable[[list[str]], Any]
    device: str
    threads: int

    def embed_images(self, inputs: Sequence[Any]) -> Vectors:
        """N preprocessed images → (N, D) float32, L2-normalised."""
        import torch

        batch = torch.stack(list(inputs)).to(self.device)
        with torch.inference_mode():
            return _to_numpy(self.model.encode_image(batch, normalize=True))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """N texts → (N, D) float32, L2-normalised."""
        import torch

        tokens = self.tokenize(list(texts)).to(self.device)
        with torch.inference_mode():
            return _to_numpy(self.model.encode_text(tokens, normalize=True))


def _to_numpy(vectors: Any) -> Vectors:
    return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)


def load_clip(settings: Embed) -> Clip:
    """The model of params.yaml: one of open_clip's, or one from a configuration file; on a GPU if there is one.

    Raises HgldError when the model is unknown, or its weights are missing, unreadable, or of another model.
    """
    import open_clip
    import torch

    torch.set_num_threads(settings.threads)
    if settings.model_config_file:
        _register(settings.model, Path(settings.model_config_file))
    known = open_clip.list_models()
    if settings.model not in known:
        raise HgldError(f"open_clip has no model '{settings.model}'{suggest(settings.model, known)}")
    file = Path(settings.pretrained)
    if file.suffix and not file.is_file():
        raise HgldError(f"no CLIP weights {file}; set embed.pretrained to a file or to a pretrained tag of open_clip")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.cuda.set_device(torchrun_variables()[2])
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(
            settings.model, pretrained=settings.pretrained, device=device
        )
        tokenize = open_clip.get_tokenizer(settings.model)
    except Exception as error:  # torch, pickle, the hub and open_clip document no exceptions
        if lacks_memory(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise HgldError(
            f"CLIP {settings.model} with the weights {settings.pretrained} cannot be loaded: {reason}"
        ) from None
    model.eval()
    weights = sha256(file) if file.is_file() else settings.pretrained
    identity = hashlib.sha256(f"{settings.model}\n{weights}\n{preprocess}".encode()).hexdigest()
    name = f"{settings.model}/{file.name if file.is_file() else settings.pretrained}"
    return Clip(name, identity, model, preprocess, tokenize, device, settings.threads)


def _register(name: str, config: Path) -> None:
    """Register a configuration file as `name`; open_clip names a model after its file, hence the copy."""
    import open_clip

    if not config.is_file():
        raise HgldError(f"no model configuration {config}; see embed.model_config_file in params.yaml")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"{name}.json"
        shutil.copyfile(config, copy)
        try:
            open_clip.add_model_config(copy)
        except ValueError as error:
            raise HgldError(f"{config}: not a model configuration: {error}") from None
