"""Stage `clip`: a tiny CLIP in open_clip's format, trained on drawings of imaginary landmarks.

It spares the sample a download of weights. It is loaded like any other model: its configuration with
`open_clip.add_model_config`, its weights with `open_clip.create_model_and_transforms(name, pretrained=path)`.
It knows nothing but GLDv2's hierarchical labels as they are drawn here.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from hgld.foundation.files import replacing, write_text
from hgld.pipeline.sample.captions import LABELS, caption, drawings
from hgld.pipeline.sample.look import seeded

if TYPE_CHECKING:
    import torch

NAME = "hgld-tiny"
SIDE = 64
CONTEXT = 24

CONFIG: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 12},
    "text_cfg": {"context_length": CONTEXT, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}

SPECIAL_TOKENS = (0, 49406, 49407)
"""Token ids of padding, start and end; all others are words."""


@dataclass(frozen=True)
class Settings:
    """Training settings of the tiny CLIP."""

    drawings_per_label: int = 56
    epochs: int = 10
    lr: float = 3e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    stray_words: float = 0.1
    """Fraction of caption tokens replaced by random ones, for robustness to unknown words."""

    shift: int = 5
    """Maximum translation of a picture, in pixels."""

    seed: int = 7
    threads: int = 1
    """One thread gives the same bytes on any number of cores; two took twice the CPU time on a busy machine."""


def run(sources: Path = Path("sources/sample"), settings: Settings | None = None) -> None:
    """Train the tiny CLIP into `sources`/clip: model.pt (a state dict) and model_config.json."""
    import torch

    model = train(settings or Settings())
    with replacing(sources / "clip", directory=True) as folder:
        write_text(json.dumps(CONFIG, indent=2) + "\n", folder / "model_config.json")
        # a file object: given a path, torch writes the name of the (temporary) file into the archive
        with (folder / "model.pt").open("wb") as handle:
            torch.save({name: value.contiguous() for name, value in model.state_dict().items()}, handle)


def train(settings: Settings) -> "torch.nn.Module":
    """The trained model, in evaluation mode; equal settings give equal weights on equal machines.

    Each batch holds one drawing of every label, so that a batch contains no false negatives.
    """
    import torch

    with reproducible(settings):
        model, tokenize, normalise = _untrained()
        pictures = torch.from_numpy(drawings(settings.drawings_per_label, SIDE)).permute(0, 1, 4, 2, 3)
        steps = settings.epochs * settings.drawings_per_label
        optimiser = torch.optim.AdamW(model.parameters(), settings.lr, weight_decay=settings.weight_decay, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _warm_cosine(step, steps))
        loss = torch.nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
        truth, r = torch.arange(len(LABELS)), seeded("clip", settings.seed)
        # with few channels, convolutions take half the time in this layout
        model.train().to(memory_format=torch.channels_last)
        for _ in range(settings.epochs):
            for row in r.sample(range(len(pictures)), len(pictures)):
                inputs = normalise(_augmented(pictures[row].float() / 255, settings.shift, r))
                texts = _with_stray_words(tokenize([caption(label, r) for label in LABELS]), settings.stray_words)
                image_features, text_features, scale = model(inputs, texts)
                logits = scale * image_features @ text_features.T
                optimiser.zero_grad()
                (loss(logits, truth) + loss(logits.T, truth)).backward()
                optimiser.step()
                schedule.step()
    trained: torch.nn.Module = model.eval()
    return trained


@contextmanager
def reproducible(settings: Settings) -> Iterator[None]:
    """A context with fixed seed and threads and deterministic algorithms; restores the previous state."""
    import torch

    # fill_uninitialized_memory is a property that torch adds at run time, invisible to type checkers
    memory: Any = torch.utils.deterministic
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fill = memory.fill_uninitialized_memory
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True)
    # deterministic mode fills uninitialised memory by default, which costs time and is not needed here
    memory.fill_uninitialized_memory = False
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        memory.fill_uninitialized_memory = fill


def _untrained() -> tuple[Any, Any, Any]:
    """Model, tokenizer and normalisation, as open_clip builds them from CONFIG."""
    import open_clip
    from torchvision.transforms import Normalize

    model, tokenize = open_clip.CLIP(**CONFIG), open_clip.SimpleTokenizer(context_length=CONTEXT)
    return model, tokenize, Normalize(open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)


def _warm_cosine(step: int, steps: int) -> float:
    """The learning-rate factor: linear warm-up over a twentieth of the steps, then cosine decay to zero."""
    warm = max(1, steps // 20)
    return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _augmented(pictures: "torch.Tensor", shift: int, r: Random) -> "torch.Tensor":
    """Augment (N, 3, S, S) in [0, 1]: one random translation, random flips and colour scaling."""
    import torch
    from torch.nn.functional import pad

    count, _, side, _ = pictures.shape
    padded = pad(pictures, (shift,) * 4, mode="replicate")
    left, top = r.randint(0, 2 * shift), r.randint(0, 2 * shift)
    shifted = padded[:, :, top : top + side, left : left + side]
    mirrored = torch.rand(count, 1, 1, 1) < 0.5
    shifted = torch.where(mirrored, shifted.flip(-1), shifted)
    return (shifted * (0.8 + 0.4 * torch.rand(count, 3, 1, 1))).clamp(0, 1)


def _with_stray_words(tokens: "torch.Tensor", fraction: float) -> "torch.Tensor":
    """Token ids (N, C) with a fraction of the words replaced by random ones."""
    import torch

    words = ~torch.isin(tokens, torch.tensor(SPECIAL_TOKENS))
    stray = words & (torch.rand(tokens.shape) < fraction)
    return torch.where(stray, torch.randint(1, SPECIAL_TOKENS[1], tokens.shape), tokens)
