"""TorchScript, torch.export, ONNX and Python functions embed as the network that they were made from."""

from __future__ import annotations

import importlib
import io
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import timm
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from hgld.benchmarks.evaluation.embedding import Embedder
from hgld.benchmarks.models.scored_model import ScoredModel
from hgld.cli import main
from hgld.foundation.errors import HgldError
from tests.benchmarks.datasets.coloured_images import coloured_dataset
from tests.benchmarks.models.sources.plain_code import IMAGES, backbone, embedded, opened, plain
from tests.benchmarks.run_files.coloured_table import write_table

SIZE = 64


def network() -> Any:
    return backbone("test_resnet", num_classes=0)


def example(batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def expected(**options: Any) -> Tensor:
    """With the preprocessing that is assumed: ImageNet's, as timm's transform does it."""
    data: dict[str, Any] = {
        "img_size": SIZE,
        "mean": timm.data.IMAGENET_DEFAULT_MEAN,
        "std": timm.data.IMAGENET_DEFAULT_STD,
        "interpolation": "bicubic",
        "crop_pct": 0.875,
    }
    return plain(network(), **{**data, **options})


def script(path: Path, module: nn.Module | None = None) -> Path:
    """A trace of the network, or of another module."""
    path.write_bytes(_traced(module))
    return path


def exported(path: Path, *, dynamic: bool, module: nn.Module | None = None) -> Path:
    """The network, or another module, as a program of torch.export, for any number of images or for two."""
    path.write_bytes(_exported(dynamic, module))
    return path


@cache
def _traced(module: nn.Module | None) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(module or network(), example()), file)
    return file.getvalue()


@cache
def _exported(dynamic: bool, module: nn.Module | None) -> bytes:
    file, name = io.BytesIO(), "images" if module else "x"
    shapes = {name: {0: torch.export.Dim("batch", min=1, max=64)}} if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(module or network(), (example(),), dynamic_shapes=shapes), file)
    return file.getvalue()


def test_torchscript_scores_only_with_trust(tmp_path: Path) -> None:
    path = script(tmp_path / "network.ts")
    with pytest.raises(HgldError, match="TorchScript archive, which runs code that comes with it; add --trust"):
        opened(path, image_size=SIZE)
    with pytest.raises(HgldError, match="does not state the size of its input; give --image-size"):
        opened(path, trust=True)
    scored = opened(path, trust=True, image_size=SIZE)
    torch.testing.assert_close(embedded(scored), expected(), rtol=0, atol=1e-6)
    assert "the model states no preprocessing; used: mean" in scored.config["notes"][0]
    other = opened(path, trust=True, image_size=SIZE, mean=(0.5,) * 3, std=(0.5,) * 3, crop_pct=1.0)
    by_timm = expected(mean=(0.5,) * 3, std=(0.5,) * 3, crop_pct=1.0)
    torch.testing.assert_close(embedded(other), by_timm, rtol=0, atol=1e-6)
    assert other.identity != scored.identity
    script(tmp_path / "again.ts", backbone("test_resnet", seed=6, num_classes=0))
    assert opened(tmp_path / "again.ts", trust=True, image_size=SIZE).identity != scored.identity


@pytest.mark.parametrize("dynamic", [True, False])
def test_exported_program_scores_only_with_trust(tmp_path: Path, dynamic: bool) -> None:
    path = exported(tmp_path / "network.pt2", dynamic=dynamic)
    with pytest.raises(HgldError, match=r"program of torch\.export, which runs code that comes with it; add --trust"):
        opened(path)
    torch.testing.assert_close(embedded(opened(path, trust=True)), expected(), rtol=0, atol=1e-6)
    with pytest.raises(HgldError, match="takes images of 64 x 64 pixels, not of 96"):
        opened(path, trust=True, image_size=96)
    with pytest.raises(HgldError, match="64 x 64 pixels only; leave out --scales"):
        opened(path, trust=True, scales=(1.0, 2.0))


class BatchNormInTraining(nn.Module):
    """Normalises over the images of a batch, as a network that was not put into eval mode."""

    def forward(self, images: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)
        return nn.functional.batch_norm(pooled, None, None, training=True) + 0 * pooled


class Returns(nn.Module):
    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.make = make

    def forward(self, images: Tensor) -> Any:
        return self.make(images)


def pooled(images: Tensor) -> Tensor:
    return images.mean((2, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: x, r"returns torch.float32 of shape \(2, 3, 64, 64\) for 2 images; .*pool it inside the model"),
        (lambda x: (pooled(x), pooled(x)), "returns 2 values; expected one tensor"),
        (lambda x: pooled(x) / 0, "the embeddings are not finite numbers"),
        (lambda x: x.mean((0, 2, 3))[None], "for 2 images"),
        (lambda x: pooled(x)[:, 0] @ torch.ones(3), r"the network does not take an input of \(3, 64, 64\)"),
    ],
)
def test_outputs_that_are_no_embeddings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Tensor], Any], message: str
) -> None:
    def function() -> tuple[nn.Module, Callable[..., Tensor]]:
        return Returns(make), transform()

    with pytest.raises(HgldError, match=message) as caught:
        opened(registered(monkeypatch, function), trust=True)
    assert "\n" not in str(caught.value)


def test_network_that_mixes_the_images_of_a_batch_is_refused(tmp_path: Path) -> None:
    path = script(tmp_path / "network.ts", BatchNormInTraining())
    with pytest.raises(HgldError, match=r"was saved in training mode: call .eval"):
        opened(path, trust=True, image_size=SIZE)


def transform() -> Callable[..., Tensor]:
    made: Callable[..., Tensor] = timm.data.create_transform((3, SIZE, SIZE), is_training=False)
    return made


def registered(monkeypatch: pytest.MonkeyPatch, function: Callable[[], object]) -> str:
    """The name of a function in a module made for the test."""
    module = ModuleType("module_of_a_test")
    module.function = function  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "module_of_a_test", module)
    return "module_of_a_test:function"


def test_function_of_the_current_folder_scores_only_with_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
import timm, torch
open("imported", "w").close()
def build():
    torch.manual_seed(5)
    return timm.create_model("test_vit", num_classes=0), timm.data.create_transform((3, 160, 160), is_training=False)
"""
    (tmp_path / "my_networks").mkdir()
    (tmp_path / "my_networks" / "vit.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    for name in ("my_networks", "my_networks.vit"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(HgldError, match="a Python function, which runs code that comes with it; add --trust"):
        opened("my_networks.vit:build")
    assert not (tmp_path / "imported").exists()
    path = list(sys.path)
    scored = opened("my_networks.vit:build", trust=True)
    assert sys.path == path
    made = timm.data.create_transform((3, 160, 160), is_training=False)
    with torch.no_grad():
        torch.manual_seed(5)
        output = timm.create_model("test_vit", num_classes=0).eval()(torch.stack([made(image) for image in IMAGES]))
    torch.testing.assert_close(embedded(scored), nn.functional.normalize(output, dim=1), rtol=0, atol=1e-6)
    assert opened("my_networks.vit:build", trust=True).identity == scored.identity
    monkeypatch.setattr(sys.modules["my_networks.vit"].timm.data, "create_transform", lambda *_, **__: half)
    assert opened("my_networks.vit:build", trust=True).identity != scored.identity


def half(image: Any) -> Tensor:
    tensor: Tensor = timm.data.transforms_factory.transforms_imagenet_eval(160)(image) / 2
    return tensor


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: nn.Linear(2, 2), r"returns a Linear; expected \(module, transform\)"),
        (lambda: (1, transform()), "returns int and Compose; expected"),
        (lambda: 1 / 0, "the function fails: ZeroDivisionError"),
        (lambda: (nn.Flatten(), lambda image: torch.rand(3, 8, 8)), "its transform gives another tensor each time"),
        (lambda: (nn.Flatten(), lambda image: image), "its transform fails on an RGB image"),
        (lambda: (nn.Flatten(), lambda image: torch.ones(4)), r"its preprocessing returns \(4,\); expected"),
    ],
)
def test_functions_that_return_something_else_are_explained(
    monkeypatch: pytest.MonkeyPatch, function: Callable[[], object], message: str
) -> None:
    with pytest.raises(HgldError, match=message) as caught:
        opened(registered(monkeypatch, function), trust=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no_such_module:f", "os.path:no_such", "os.path:sep"])
def test_functions_that_do_not_exist_are_explained(name: str) -> None:
    with pytest.raises(HgldError, match=r"cannot be imported|is a str, not a function"):
        opened(name, trust=True)


# ---- half precision


class AddsRows(nn.Module):
    """Adds what autocast leaves in float32 to what it does not."""

    def forward(self, images: Tensor) -> Tensor:
        cells = nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)
        return (cells @ cells.new_ones(48, 8)).index_add(0, torch.arange(1), cells[:1, :8])


def program(path: Path, module: nn.Module | None = None) -> ScoredModel:
    """Saved as TorchScript or by torch.export, and opened."""
    if path.suffix == ".ts":
        return opened(script(path, module), trust=True, image_size=SIZE)
    return opened(exported(path, dynamic=True, module=module), trust=True)


def vectors(scored: ScoredModel, *, half: bool) -> Tensor:
    how = Embedder(batch=5, device="cpu", threads=1, half=half)
    return how.embed([scored], coloured_dataset().query, "queries").vectors


@pytest.mark.parametrize("name", ["network.ts", "network.pt2"])
def test_half_precision_of_a_program_is_close(tmp_path: Path, name: str) -> None:
    scored = program(tmp_path / name)
    full, half = (vectors(scored, half=half) for half in (False, True))
    assert not torch.equal(full, half)
    torch.testing.assert_close(half, full, rtol=0, atol=0.01)


@pytest.mark.parametrize("name", ["adds.ts", "adds.pt2"])
def test_program_that_cannot_be_computed_in_half_precision_is_one_line(tmp_path: Path, name: str) -> None:
    scored = program(tmp_path / name, AddsRows())
    assert vectors(scored, half=False).isfinite().all()
    with pytest.raises(
        HgldError, match=rf"{name}: cannot be computed in half precision \(.*\); leave out --half"
    ) as error:
        vectors(scored, half=True)
    assert "\n" not in str(error.value)


def test_half_precision_of_what_has_its_own_is_refused_in_one_line(
    onnx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    linear_graph(onnx, tmp_path / "model.onnx", ["batch", 3, SIZE, SIZE])
    np.save("vectors.npy", np.ones((2, 2), np.float32))
    table = write_table(tmp_path / "colours", per_class=1)
    for model, message in {
        "model.onnx": "is an ONNX model, which does not take --half: it is computed in the precision in which it was "
        "exported; leave it out",
        "vectors.npy": "is embeddings (.npy), which does not take --half: they are computed already; leave it out",
    }.items():
        result = CliRunner().invoke(main, ["benchmark", model, "--data", str(table), "--levels", "shade,hue", "--half"])
        assert result.exit_code == 1
        assert result.output.strip().splitlines() == [f"Error: {model} {message}"]


# ---- ONNX


@pytest.fixture(scope="module")
def onnx() -> Any:
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name, reason="the extra `onnx` is not installed: pip install 'hgld[onnx]'")
    return importlib.import_module("onnx")


def linear_graph(onnx: Any, path: Path, shape: list[Any], kind: str = "FLOAT", layout: str = "NCHW") -> Path:
    """A graph that averages each cell of a 4 x 4 grid and multiplies the 48 numbers by a fixed matrix."""
    helper, proto = onnx.helper, onnx.TensorProto
    nodes = [helper.make_node("Cast", ["images"], ["real"], to=proto.FLOAT)]
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", ["real"], ["first"], perm=[0, 3, 1, 2]))
    source = "first" if layout == "NHWC" else "real"
    cell = SIZE // 4
    nodes += [
        helper.make_node("AveragePool", [source], ["cells"], kernel_shape=[cell, cell], strides=[cell, cell]),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("images", getattr(proto, kind), shape)],
        [helper.make_tensor_value_info(name, proto.FLOAT, None) for name in ("embedding",)],
        [onnx.numpy_helper.from_array(MATRIX[: 16 * (1 if shape[1] == 1 else 3)].numpy(), "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


MATRIX = torch.randn(48, 10, generator=torch.Generator().manual_seed(3))


def by_torch(pixels: Tensor) -> Tensor:
    return nn.functional.normalize(nn.functional.adaptive_avg_pool2d(pixels, 4).flatten(1) @ MATRIX, dim=1)


@pytest.mark.parametrize(
    ("shape", "kind", "layout", "options"),
    [
        (["batch", 3, SIZE, SIZE], "FLOAT", "NCHW", {}),
        ([1, 3, SIZE, SIZE], "FLOAT", "NCHW", {}),
        ([2, 3, SIZE, SIZE], "FLOAT", "NCHW", {}),
        (["batch", 3, "height", "width"], "FLOAT", "NCHW", {"image_size": SIZE}),
        (["batch", SIZE, SIZE, 3], "FLOAT", "NHWC", {}),
        (["batch", 3, SIZE, SIZE], "FLOAT16", "NCHW", {}),
        (["batch", SIZE, SIZE, 3], "UINT8", "NHWC", {}),
    ],
)
def test_graph_of_onnx(
    onnx: Any, tmp_path: Path, shape: list[Any], kind: str, layout: str, options: dict[str, Any]
) -> None:
    scored = opened(linear_graph(onnx, tmp_path / "model.onnx", shape, kind, layout), **options)
    made = timm.data.create_transform((3, SIZE, SIZE), is_training=False, interpolation="bicubic")
    pixels = torch.stack([made(image) for image in IMAGES])
    if kind == "UINT8":  # the graph gets what the transform normalises
        mean, std = (
            torch.tensor(v).view(3, 1, 1) for v in (timm.data.IMAGENET_DEFAULT_MEAN, timm.data.IMAGENET_DEFAULT_STD)
        )
        pixels = (pixels * std + mean) * 255
    tolerance = 2e-3 if kind == "FLOAT16" else 1e-5
    torch.testing.assert_close(embedded(scored), by_torch(pixels), rtol=0, atol=tolerance)


def test_network_exported_to_onnx_by_torch(onnx: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network(), (example(),), str(path), dynamo=False, dynamic_axes={"x": {0: "b"}}, input_names=["x"]
        )
    torch.testing.assert_close(embedded(opened(path)), expected(), rtol=0, atol=1e-5)


def test_weights_beside_a_graph_belong_to_its_identity(onnx: Any, tmp_path: Path) -> None:
    path = linear_graph(onnx, tmp_path / "model.onnx", ["batch", 3, SIZE, SIZE])
    inside = embedded(opened(path))
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    first = opened(path)
    torch.testing.assert_close(embedded(first), inside)
    data = bytearray((tmp_path / "weights.bin").read_bytes())
    data[2] ^= 0x40
    (tmp_path / "weights.bin").write_bytes(data)
    assert opened(path).identity != first.identity
    (tmp_path / "weights.bin").rename(tmp_path / "elsewhere.bin")
    with pytest.raises(HgldError, match=r"its weights lie in 'weights.bin', which is not beside it"):
        opened(path)
    for tensor in (model := onnx.load(path, load_external_data=False)).graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../secret" if entry.key == "location" else entry.value
    path.write_bytes(model.SerializeToString())
    with pytest.raises(HgldError, match="outside of its folder; that is refused"):
        opened(path)


@pytest.mark.parametrize(
    ("shape", "kind", "options", "message"),
    [
        (["batch", 3, SIZE, SIZE], "FLOAT", {"image_size": 96}, "takes images of 64 x 64 pixels, not of 96"),
        (["batch", 3, "h", "w"], "FLOAT", {}, "takes images of any size; give --image-size"),
        (["batch", 1, SIZE, SIZE], "FLOAT", {}, "expected one input of images.*found images tensor"),
        (["batch", 3, SIZE, SIZE], "INT64", {}, "expected one input of images"),
        (["batch", 3, SIZE, SIZE], "FLOAT", {"output": "embeding"}, "no output 'embeding'; did you mean 'embedding'"),
        (["batch", 3, SIZE, SIZE], "UINT8", {"mean": (0.5,) * 3}, "normalises them itself; leave out --mean"),
    ],
)
def test_graphs_that_do_not_fit_are_refused_in_one_line(
    onnx: Any, tmp_path: Path, shape: list[Any], kind: str, options: dict[str, Any], message: str
) -> None:
    path = linear_graph(onnx, tmp_path / "model.onnx", shape, kind)
    with pytest.raises(HgldError, match=message) as caught:
        opened(path, **options)
    assert "\n" not in str(caught.value)


def test_damaged_graph_is_refused(onnx: Any, tmp_path: Path) -> None:
    path = linear_graph(onnx, tmp_path / "model.onnx", ["batch", 3, SIZE, SIZE])
    whole = path.read_bytes()
    for cut in (whole[: len(whole) // 2], whole[:20], b""):
        path.write_bytes(cut)
        with pytest.raises(HgldError) as caught:
            opened(path)
        assert "\n" not in str(caught.value)


def test_without_onnxruntime_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    with pytest.raises(HgldError, match=r"needs onnx and onnxruntime .*pip install 'hgld\[onnx\]'"):
        opened(tmp_path / "model.onnx")
