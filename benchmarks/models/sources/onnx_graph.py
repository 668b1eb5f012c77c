"""`model.onnx`: a graph of the standard operators, run by onnxruntime (the extra `onnx`) on a GPU or the CPU.

Layout, type and size of the input are read from the graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor

from hgld.benchmarks.models.embedding_network import EmbeddingNetwork, FixedBatch, scored_model
from hgld.benchmarks.models.scored_model import ModelOptions, ScoredModel
from hgld.benchmarks.models.sources.preprocessing import assumed, data_settings, timm_transform
from hgld.benchmarks.models.sources.torch_program import input_size
from hgld.foundation.errors import HgldError, lacks_memory, reason, suggest
from hgld.foundation.files import sha256

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class GraphInput(NamedTuple):
    """The input of a graph: its name, numpy type, whether channels come last, and its fixed batch, height, width."""

    name: str
    dtype: Any
    channels_last: bool
    batch: int | None
    size: list[int | None]


class OnnxNetwork(nn.Module):
    """A session of onnxruntime as a module; its tensors cross to the CPU and back."""

    def __init__(self, session: Any, given: GraphInput, output: str) -> None:
        super().__init__()
        self.session, self.given, self.output = session, given, output

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> the output of the graph."""
        array = images.detach().cpu().float().numpy().astype(self.given.dtype)
        if self.given.channels_last:
            array = np.ascontiguousarray(array.transpose(0, 2, 3, 1))
        (result,) = self.session.run([self.output], {self.given.name: array})
        return torch.from_numpy(np.asarray(result)).to(images.device)


class WholePixels:
    """timm's transform for a graph that takes whole numbers from 0 to 255: resized and cropped, not normalised."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.steps = timm_transform(settings).transforms[:-2]  # type: ignore[attr-defined]  # not ToTensor, Normalize

    def __call__(self, image: Image.Image) -> Tensor:
        """A PIL image -> (3, H, W) uint8."""
        for step in self.steps:
            image = step(image)
        tensor: Tensor = pil_to_tensor(image)
        return tensor

    def __repr__(self) -> str:
        return f"WholePixels({self.steps})"


def open_onnx(model: str, options: ModelOptions) -> ScoredModel:
    """An ONNX graph with one image input. Raises HgldError without onnxruntime, and for other graphs."""
    path = Path(model)
    onnx, runtime = _libraries()
    weights = _digest(path, onnx)
    session = _session(path, runtime)
    given, output = _input(path, session), _output(path, session, options.output)
    settings = data_settings(options, {}, input_size(path, given.size, options))
    notes = [f"{path.name}: {note}" for note in assumed(options, settings)]
    transform: Callable[[Image.Image], Tensor] = timm_transform(settings)
    if given.dtype is np.uint8:
        if options.mean is not None or options.std is not None:
            raise HgldError(
                f"{path}: takes pixels as whole numbers and normalises them itself; leave out --mean and --std"
            )
        transform, notes = WholePixels(settings), []
        settings = {**settings, "mean": None, "std": None}
    network: nn.Module = OnnxNetwork(session, given, output)
    if given.batch is not None:
        network = FixedBatch(network, given.batch)
    config = {"model": {**settings, "output": output}, "notes": notes}
    return scored_model(path.name, EmbeddingNetwork(network), transform, options, config, weights=weights)


def _libraries() -> tuple[Any, Any]:
    """The packages onnx and onnxruntime. Raises HgldError that names the extra where they are not installed."""
    try:
        return import_module("onnx"), import_module("onnxruntime")
    except ImportError as error:
        raise HgldError(
            f"an ONNX model needs onnx and onnxruntime ({reason(error)}); pip install 'hgld[onnx]'"
        ) from None


def _digest(path: Path, onnx: Any) -> str:
    """Hex SHA-256 of the graph and of the files beside it that hold its weights. Raises HgldError for a damaged one."""
    try:
        graph = onnx.load(path, load_external_data=False)
        tensors = [t for t in onnx.external_data_helper._get_all_tensors(graph) if t.data_location == t.EXTERNAL]
    except Exception as error:  # protobuf and onnx document no exceptions
        if lacks_memory(error):
            raise
        raise HgldError(f"{path}: not an ONNX model ({reason(error)[:200]}); download or copy it again") from None
    places = sorted({entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"})
    digest = hashlib.sha256(sha256(path).encode())
    for place in places:
        beside = path.parent / place
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise HgldError(f"{path}: its weights lie in {place[:120]!r}, outside of its folder; that is refused")
        if not beside.is_file():
            raise HgldError(f"{path}: its weights lie in {place[:120]!r}, which is not beside it; copy that file too")
        digest.update(f"{place} {sha256(beside)}\n".encode())
    return digest.hexdigest()


def _session(path: Path, runtime: Any) -> Any:
    """A session on the GPU if onnxruntime has one, with torch's number of threads."""
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.log_severity_level = 4
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in runtime.get_available_providers()]
    try:
        return runtime.InferenceSession(str(path), settings, providers=providers)
    except Exception as error:  # onnxruntime documents no exceptions
        if lacks_memory(error):
            raise
        raise HgldError(f"{path}: onnxruntime cannot load it: {reason(error)[:300]}") from None


def _input(path: Path, session: Any) -> GraphInput:
    """The only input of the graph, which must be images. Raises HgldError for another."""
    inputs = session.get_inputs()
    found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
    expected = "expected one input of images, (B, 3, H, W) or (B, H, W, 3), of float, float16 or uint8"
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _TYPES:
        raise HgldError(f"{path}: {expected}; found {found[:200]}")
    shape = [side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape]
    channels_last = shape[1] != 3 and shape[3] == 3
    if not channels_last and shape[1] not in (3, None):
        raise HgldError(f"{path}: {expected}; found {found[:200]}")
    size = shape[1:3] if channels_last else shape[2:]
    return GraphInput(inputs[0].name, _TYPES[inputs[0].type], channels_last, shape[0], size)


def _output(path: Path, session: Any, wanted: str | None) -> str:
    """The name of the output with the embeddings: the only one, or `wanted`."""
    names = [one.name for one in session.get_outputs()]
    shown = ", ".join(f"{one.name} {one.shape}" for one in session.get_outputs()[:8])
    if wanted is not None and wanted not in names:
        raise HgldError(f"{path}: no output {wanted[:80]!r}{suggest(wanted[:80], names)}; it has {shown}")
    if wanted is None and len(names) != 1:
        raise HgldError(f"{path}: has {len(names)} outputs: {shown}; choose the embedding by --output NAME")
    return wanted or str(names[0])
