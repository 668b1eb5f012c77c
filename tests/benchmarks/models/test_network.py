"""The checkpoint: it comes back exactly; other files are refused in one line, and no code in them is run."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hgld.benchmarks.models.network import (
    FORMAT,
    Architecture,
    GeM,
    build_network,
    load_checkpoint,
    save_checkpoint,
)
from hgld.foundation.errors import HgldError

TINY = Architecture(backbone="test_resnet", dim=8, pooling="gem", image_size=32)


def document(**changes: Any) -> dict[str, Any]:
    """The contents of a valid checkpoint, with changes."""
    valid = {
        "format": FORMAT,
        "model": TINY.model_dump(),
        "state_dict": build_network(TINY, seed=0).state_dict(),
        "config": {},
    }
    return {**valid, **changes}


def state(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    weights = dict(build_network(TINY, seed=0).state_dict())
    change(weights)
    return weights


@pytest.mark.parametrize("pooling", ["gem", "avg"])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext"])
def test_saved_network_comes_back(tmp_path: Path, backbone: str, pooling: str) -> None:
    size = 160 if backbone == "test_vit" else 32
    architecture = Architecture(backbone=backbone, dim=8, pooling=pooling, image_size=size)  # type: ignore[arg-type]
    network = build_network(architecture, seed=1).eval()
    save_checkpoint(network, {"train": {"seed": 1}}, tmp_path / "model.pt")
    loaded, config = load_checkpoint(tmp_path / "model.pt")
    images = torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        embeddings = loaded(images)
        assert torch.equal(embeddings, network(images))
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
    assert config == {"train": {"seed": 1}}
    assert not loaded.training


def test_equal_networks_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.pt", "another name.pt"):
        save_checkpoint(build_network(TINY, seed=3), {"x": 1}, tmp_path / name)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "another name.pt").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "hgld-model/9"}, "expected a checkpoint of format hgld-model/1"),
        ({"state_dict": None}, "'state_dict' is missing"),
        ({"model": {**TINY.model_dump(), "dim": -1}}, "model.dim"),
        ({"model": {**TINY.model_dump(), "poolign": 1}}, "model.poolign"),
        ({"model": {**TINY.model_dump(), "backbone": "test_resne"}}, "did you mean 'test_resnet'"),
        ({"model": {**TINY.model_dump(), "backbone": "hf-hub:somebody/net"}}, "unknown backbone"),
        (
            {"model": {**TINY.model_dump(), "dim": 16}},
            r"head.weight is \(8, 96\), the network needs \(16, 96\)",
        ),
        ({"state_dict": state(lambda s: s.pop("head.bias"))}, r"lacks 'head.bias' \(1 of"),
        ({"state_dict": state(lambda s: s.update(extra=torch.ones(1)))}, "unknown 'extra'"),
        ({"state_dict": state(lambda s: s.update({"head.bias": 3}))}, "head.bias is int"),
        ({"format": "hgld-model/2"}, "found format 'hgld-model/2'"),
        (
            {"model": {**TINY.model_dump(), "backbone": "vit_tiny_patch16_224", "image_size": 64}},
            "backbone 'vit_tiny_patch16_224' does not take images of 64 px",
        ),
        (
            {"state_dict": state(lambda s: s.update({"head.bias": torch.zeros(8).to_sparse()}))},
            "torch.sparse_coo",
        ),
        ({"state_dict": state(lambda s: s.update({"head.bias": torch.zeros(8, device="meta")}))}, "on meta"),
        (
            {"state_dict": state(lambda s: s.update({"head.bias": torch.zeros(8, dtype=torch.complex64)}))},
            "head.bias is torch.complex64",
        ),
    ],
)
def test_wrong_contents_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "model.pt"
    torch.save(document(**changes), path)
    with pytest.raises(HgldError, match=message) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert "model.pt" in str(caught.value)


class Evil:
    """An object whose unpickling makes a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_pickled_code_is_not_run(tmp_path: Path, writer: str) -> None:
    path, trace = tmp_path / "model.pt", tmp_path / "trace"
    if writer == "torch":
        torch.save(document(config={"x": Evil(trace)}), path)
    else:
        path.write_bytes(pickle.dumps(Evil(trace)))
    with pytest.raises(HgldError, match="would run code when loaded"):
        load_checkpoint(path)
    assert not trace.exists()


def write_foreign(path: Path, kind: str) -> None:
    """A file that is not a checkpoint."""
    if kind == "text":
        path.write_text("not a checkpoint", encoding="utf-8")
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "weights":
        torch.save(build_network(TINY, seed=0).state_dict(), path)
    elif kind == "tensor":
        torch.save(torch.ones(3), path)
    elif kind == "cut":
        torch.save(document(), path)
        path.write_bytes(path.read_bytes()[:5_000])
    elif kind == "script":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)


@pytest.mark.parametrize("kind", ["text", "empty", "folder", "weights", "tensor", "cut", "script", "nothing"])
def test_foreign_files_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.pt"
    write_foreign(path, kind)
    with pytest.raises(HgldError, match="expected a checkpoint of format hgld-model/1") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    if kind == "script":
        assert "TorchScript" in str(caught.value)


def test_initial_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, same, other = (build_network(TINY, seed=seed).head.weight for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_the_power_of_gem_is_learnt_and_acts() -> None:
    """1 is the mean, a large power the maximum. The published code has two GeM layers, one of which ignores it."""
    maps = torch.rand(2, 3, 25, generator=torch.Generator().manual_seed(0)) + 0.1
    layer = GeM()
    power = next(iter(layer.parameters()))
    pooled = {}
    for value in (1.0, 3.0, 60.0):
        with torch.no_grad():
            power.fill_(value)
        pooled[value] = layer(maps)
    torch.testing.assert_close(pooled[1.0], maps.mean(2))
    assert (pooled[3.0] > pooled[1.0]).all() and (pooled[60.0] > pooled[3.0]).all()
    assert pooled[3.0].requires_grad
