"""`script.ts` (TorchScript) and `model.pt2` (torch.export), with --trust: networks saved together with their code."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hgld.benchmarks.models.embedding_network import EmbeddingNetwork, FixedBatch, scored_model
from hgld.benchmarks.models.scored_model import ModelOptions, ScoredModel
from hgld.benchmarks.models.sources.preprocessing import assumed, data_settings, timm_transform
from hgld.foundation.errors import HgldError, lacks_memory, reason
from hgld.foundation.files import sha256


class Program(nn.Module):
    """A program in the mode in which it was exported; it has no other."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def train(self, mode: bool = True) -> Program:
        """Nothing changes."""
        return self

    def forward(self, images: Tensor) -> Any:
        """(B, 3, H, W) -> whatever the program returns."""
        return self.program(images)


def open_torchscript(model: str, options: ModelOptions) -> ScoredModel:
    """A TorchScript archive; runs its code. Raises HgldError for a damaged one, and without an image size."""
    path = Path(model)
    if options.image_size is None:
        raise HgldError(f"{path}: TorchScript does not state the size of its input; give --image-size")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            script = torch.jit.load(path, map_location="cpu").float().eval()  # type: ignore[no-untyped-call]
    except Exception as error:  # torch documents no exceptions
        if lacks_memory(error):
            raise
        raise HgldError(f"{path}: cannot be loaded by torch.jit.load: {reason(error)[:300]}") from None
    return _opened(path, script, (options.image_size, options.image_size), options)


def open_exported(model: str, options: ModelOptions) -> ScoredModel:
    """An exported program; runs its code. The size of its input is read from it where it is fixed."""
    path = Path(model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(path)
            network: nn.Module = Program(program.module())
        names = program.graph_signature.user_inputs
        shapes = [node.meta["val"].shape for node in program.graph.nodes if node.name in names]
    except Exception as error:  # torch documents no exceptions
        if lacks_memory(error):
            raise
        raise HgldError(f"{path}: cannot be loaded by torch.export.load: {reason(error)[:300]}") from None
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise HgldError(
            f"{path}: takes {len(shapes)} inputs {[tuple(s) for s in shapes]}; expected images (B, 3, H, W)"
        )
    fixed = [side if isinstance(side, int) else None for side in shapes[0]]
    if fixed[0] is not None:
        network = FixedBatch(network, fixed[0])
    return _opened(path, network, input_size(path, fixed[2:], options), options)


def input_size(path: Path, fixed: list[int | None], options: ModelOptions) -> tuple[int, int]:
    """Height and width: those that a graph fixes, or --image-size. Raises HgldError where they differ or lack."""
    wanted = options.image_size
    height, width = (side or wanted for side in fixed)
    if height is None or width is None:
        raise HgldError(f"{path}: takes images of any size; give --image-size")
    if wanted is not None and (height, width) != (wanted, wanted):
        raise HgldError(f"{path}: takes images of {height} x {width} pixels, not of {wanted}; leave out --image-size")
    if options.scales and any(side is not None for side in fixed):
        raise HgldError(f"{path}: takes images of {height} x {width} pixels only; leave out --scales")
    return height, width


def _opened(path: Path, network: nn.Module, size: tuple[int, int], options: ModelOptions) -> ScoredModel:
    settings = data_settings(options, {}, size)
    notes = [f"{path.name}: {note}" for note in assumed(options, settings)]
    config = {"model": settings, "notes": notes}
    return scored_model(
        path.name, EmbeddingNetwork(network), timm_transform(settings), options, config, weights=sha256(path)
    )
