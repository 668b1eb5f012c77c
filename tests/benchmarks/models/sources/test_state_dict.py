"""A plain state dict scores as the network that it was saved from, whatever a trainer wrapped around it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from hgld.benchmarks.models.embedding_network import EmbeddingNetwork
from hgld.benchmarks.models.network import Architecture, build_network, save_checkpoint
from hgld.benchmarks.models.pooling import PooledBackbone
from hgld.benchmarks.models.sources.state_dict import find_prefix
from hgld.foundation.errors import HgldError
from tests.benchmarks.models.sources.plain_code import IMAGES, backbone, embedded, opened, plain

State = dict[str, Tensor]
SIZE = {"image_size": 64}


def state_of(name: str) -> State:
    return dict(backbone(name).state_dict())


def notes(config: dict[str, Any]) -> str:
    return "\n".join(config["notes"])


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_state_dict_scores_as_timm_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    state = state_of("test_resnet")
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    scored = opened(path, backbone="test_resnet")
    torch.testing.assert_close(embedded(scored), plain(backbone("test_resnet")), rtol=0, atol=1e-6)
    count = len(timm.create_model("test_resnet", num_classes=0).state_dict())
    assert f"{count} of {count} weights of test_resnet found" in notes(scored.config)
    assert "not used: fc.bias, fc.weight" in notes(scored.config)
    assert scored.name == path.name


def wrapped(prefix: str) -> Callable[[State], object]:
    return lambda state: {prefix + key: value for key, value in state.items()}


def with_namespace(state: State) -> object:
    return {"args": argparse.Namespace(lr=0.1), "epoch": 3, "model": state, "optimizer": {"state": {}}}


TRAINERS: dict[str, tuple[Callable[[State], object], str]] = {
    "DistributedDataParallel": (wrapped("module."), "removed from their names: 'module.'"),
    "torch.compile": (wrapped("_orig_mod."), "removed from their names: '_orig_mod.'"),
    "backbone": (wrapped("backbone."), "removed from their names: 'backbone.'"),
    "model": (wrapped("model."), "removed from their names: 'model.'"),
    "encoder": (wrapped("encoder."), "removed from their names: 'encoder.'"),
    "net": (wrapped("net."), "removed from their names: 'net.'"),
    "several": (wrapped("module._orig_mod.model.encoder."), "'module.', '_orig_mod.', 'model.encoder.'"),
    "FSDP": (
        lambda state: {key.replace(".", "._fsdp_wrapped_module.", 1): value for key, value in state.items()},
        "removed from their names: '_fsdp_wrapped_module.'",
    ),
    "Lightning": (
        lambda state: {
            "epoch": 3,
            "pytorch-lightning_version": "2.2",
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}],
            "state_dict": {"loss.proxies": torch.ones(3, 2), **{f"model.{k}": v for k, v in state.items()}},
        },
        "left out beside the weights: epoch, optimizer_states, pytorch-lightning_version",
    ),
    "timm's train.py": (with_namespace, "weights taken from 'model'"),
    "model_state_dict": (
        lambda state: {"model_state_dict": state, "loss": 0.1},
        "weights taken from 'model_state_dict'",
    ),
    "EMA": (
        lambda state: {"state_dict": {k: torch.zeros_like(v) for k, v in state.items()}, "state_dict_ema": state},
        "it also has weights under state_dict: choose by --state-key",
    ),
    "ModelEma": (lambda state: {"ema": {"module": state}}, "weights taken from 'ema.module'"),
    "DINO": (
        lambda state: {
            "student": {f"module.backbone.{k}": torch.zeros_like(v) for k, v in state.items()},
            "teacher": {f"backbone.{k}": v for k, v in state.items()},
        },
        "weights taken from 'teacher'",
    ),
    "float16": (lambda state: {k: v.half() for k, v in state.items()}, "converted from float16 to float32"),
    "bfloat16": (lambda state: {k: v.bfloat16() for k, v in state.items()}, "converted from bfloat16 to float32"),
}


@pytest.mark.parametrize("trainer", TRAINERS)
def test_what_a_trainer_adds_is_removed_and_said(tmp_path: Path, trainer: str) -> None:
    change, said = TRAINERS[trainer]
    torch.save(change(state_of("test_resnet")), tmp_path / "weights.pt")
    scored = opened(tmp_path / "weights.pt", backbone="test_resnet", **SIZE)
    rounding = {"float16": 2e-3, "bfloat16": 2e-2}.get(trainer, 1e-6)
    expected = plain(backbone("test_resnet"), img_size=64)
    torch.testing.assert_close(embedded(scored), expected, rtol=0, atol=rounding)
    assert said in notes(scored.config)
    assert all(line.startswith("weights.pt: ") for line in scored.config["notes"])


def test_state_key_chooses_among_several_sets_of_weights(tmp_path: Path) -> None:
    state = state_of("test_resnet")
    zeros = {key: torch.zeros_like(value) for key, value in state.items()}
    torch.save({"state_dict": state, "state_dict_ema": zeros, "mine": state}, tmp_path / "weights.pt")
    expected = plain(backbone("test_resnet"), img_size=64)
    for key in ("state_dict", "mine"):
        scored = opened(tmp_path / "weights.pt", backbone="test_resnet", state_key=key, **SIZE)
        torch.testing.assert_close(embedded(scored), expected, rtol=0, atol=1e-6)
    with pytest.raises(HgldError, match="no weights under --state-key 'state_dct'; did you mean 'state_dict'"):
        opened(tmp_path / "weights.pt", backbone="test_resnet", state_key="state_dct")


def test_two_networks_in_a_file_must_be_told_apart(tmp_path: Path) -> None:
    query, key = backbone("test_resnet", seed=1).state_dict(), backbone("test_resnet", seed=2).state_dict()
    both = {f"encoder_q.{k}": v for k, v in query.items()} | {f"encoder_k.{k}": v for k, v in key.items()}
    torch.save(both, tmp_path / "moco.pth")
    with pytest.raises(HgldError, match=r"under 'encoder_k.' and 'encoder_q.'; choose one by --prefix"):
        opened(tmp_path / "moco.pth", backbone="test_resnet")
    for prefix, seed in (("encoder_q.", 1), ("encoder_k.", 2)):
        scored = opened(tmp_path / "moco.pth", backbone="test_resnet", prefix=prefix, **SIZE)
        expected = plain(backbone("test_resnet", seed=seed), img_size=64)
        torch.testing.assert_close(embedded(scored), expected, rtol=0, atol=1e-6)


def changed(change: Callable[[State], object]) -> State:
    state = state_of("test_resnet")
    change(state)
    return state


def set_nan(state: State) -> None:
    state["layer1.0.conv1.weight"][0, 0, 0, 0] = float("nan")


FAULTS: dict[str, tuple[Callable[[], object], dict[str, Any], str]] = {
    "another network": (
        lambda: state_of("test_convnext"),
        {},
        r"lacks \d+ of the \d+ weights of test_resnet, such as 'conv1.0.weight'; the network has 'conv1.0.weight', "
        r".*the file has 'stem\.0\.weight', 'stem\.0\.bias'",
    ),
    "one weight lost": (lambda: changed(lambda s: s.pop("layer2.0.bn1.bias")), {}, "lacks 1 of .*'layer2.0.bn1.bias'"),
    "a part that the backbone has not": (
        lambda: changed(lambda s: s.update({"layer1.0.se.fc1.weight": torch.ones(2, 2)})),
        {},
        "has 1 weights that test_resnet has not, such as 'layer1.0.se.fc1.weight'.*--ignore",
    ),
    "another shape": (
        lambda: changed(lambda s: s.update({"conv1.0.weight": torch.ones(2, 3, 3, 3)})),
        {},
        r"conv1.0.weight is \(2, 3, 3, 3\), test_resnet needs \(",
    ),
    "not finite": (lambda: changed(set_nan), {}, "not finite numbers: a training that diverged"),
    "nothing": (dict, {}, "holds nothing; expected a state_dict"),
    "no tensors": (lambda: {"epoch": 3}, {}, "has no tensors; it has epoch"),
    "a list": (lambda: [torch.ones(2)], {}, "holds a list; expected a state_dict"),
    "a checkpoint of hgld": (
        lambda: {"format": "hgld-model/1", "model": {}, "state_dict": {}, "config": {}},
        {},
        "is a checkpoint of hgld, which names its own network; leave out --backbone",
    ),
    "no such prefix": (lambda: state_of("test_resnet"), {"prefix": "net."}, "no key begins with --prefix 'net.'"),
    "no such backbone": (dict, {"backbone": "test_resnt"}, "unknown backbone 'test_resnt'; did you mean 'test_resnet'"),
    "no such pooling": (dict, {"pooling": "mean"}, "pooling: expected one of cls, avg, max, gem.*found 'mean'"),
    "no class token": (lambda: state_of("test_resnet"), {"pooling": "cls"}, "'cls' needs a class token.*avg or gem"),
    "no such head": (dict, {"head": "mlp"}, "head: expected one of none, linear"),
    "no head in the file": (
        lambda: changed(lambda s: [s.pop("fc.weight"), s.pop("fc.bias")]),
        {"head": "linear"},
        "--head linear: expected one linear layer from 96 numbers in the file, found none",
    ),
    "a huge backbone": (lambda: state_of("test_resnet"), {"backbone": "vit_giant_patch14_224"}, "4,\\d\\d\\d MB"),
    "quantised": (
        lambda: changed(lambda s: s.update({"conv1.0.weight": s["conv1.0.weight"].to(torch.int8)})),
        {},
        "conv1.0.weight is torch.int8: quantised weights cannot be scored",
    ),
    "a number that stands for a terabyte": (
        lambda: {"conv1.0.weight": torch.zeros(1).half().expand(10**6, 10**6)},
        {},
        "is refused: its tensors have 2,000,000,000,000 bytes, the file",
    ),
    "sparse": (lambda: {"a": torch.ones(2, 2).to_sparse()}, {}, "sparse_coo.*expected a plain tensor"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path: Path, fault: str) -> None:
    make, options, message = FAULTS[fault]
    torch.save(make(), tmp_path / "weights.pt")
    with pytest.raises(HgldError, match=message) as caught:
        opened(tmp_path / "weights.pt", **{"backbone": "test_resnet", **options})
    assert "\n" not in str(caught.value)


def test_parts_can_be_left_out(tmp_path: Path) -> None:
    torch.save(changed(lambda s: s.update({"extra.weight": torch.ones(2)})), tmp_path / "weights.pt")
    with pytest.raises(HgldError, match="--ignore extra"):
        opened(tmp_path / "weights.pt", backbone="test_resnet", **SIZE)
    scored = opened(tmp_path / "weights.pt", backbone="test_resnet", ignore=("extra",), **SIZE)
    torch.testing.assert_close(embedded(scored), plain(backbone("test_resnet"), img_size=64), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "size"), [("test_resnet", 48), ("test_vit", 160)])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_of_a_checkpoint_alone_score_as_the_checkpoint(
    tmp_path: Path, name: str, size: int, prefix: str
) -> None:
    architecture = Architecture(backbone=name, dim=8, pooling="gem", image_size=size)
    network = build_network(architecture, seed=3).eval()
    with torch.no_grad():
        network.pool.get_parameter("power").fill_(2.2)
    save_checkpoint(network, {}, tmp_path / "model.pt")
    torch.save({prefix + key: value for key, value in network.state_dict().items()}, tmp_path / "bare.pt")
    as_trained = {"image_size": size, "mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bilinear", "crop_pct": 1}
    bare = opened(tmp_path / "bare.pt", backbone=name, pooling="gem", head="layernorm-linear", **as_trained)
    torch.testing.assert_close(embedded(bare), embedded(opened(tmp_path / "model.pt")), rtol=0, atol=1e-6)
    assert "not used" not in notes(bare.config) and "power 3" not in notes(bare.config)
    assert bare.untrained is not None and opened(tmp_path / "model.pt").untrained is not None
    initial = bare.untrained()
    pixels = torch.stack([bare.preprocess(image) for image in IMAGES])
    assert not torch.allclose(initial(pixels), bare.network(pixels), atol=1e-3), "initial weights, not the file's"


def test_dinov2_with_registers_at_another_input_size(tmp_path: Path) -> None:
    name, channels = "vit_small_patch14_reg4_dinov2", 384
    torch.save(backbone(name).state_dict(), tmp_path / "dinov2.pth")
    by_timm = timm.create_model(name, img_size=98, num_classes=0).eval()
    filtered = timm.models.vision_transformer.checkpoint_filter_fn(dict(backbone(name).state_dict()), by_timm)
    by_timm.load_state_dict(filtered)
    options: dict[str, Any] = {"backbone": name, "image_size": 98}
    scored = opened(tmp_path / "dinov2.pth", **options)
    assert "position embeddings resampled from 1369 to 49 tokens" in notes(scored.config)
    torch.testing.assert_close(embedded(scored), plain(by_timm, img_size=98), rtol=0, atol=1e-6)
    with torch.no_grad():
        pixels = torch.stack([scored.preprocess(image) for image in IMAGES])
        tokens = by_timm.forward_features(pixels)
        assert tokens.shape == (len(IMAGES), 1 + 4 + 49, channels)
        expected = {
            "cls": tokens[:, 0],
            "avg": tokens[:, 5:].mean(1),
            "max": tokens[:, 5:].amax(1),
            "patch-cls": tokens[:, 0] + tokens[:, 5:].mean(1),
            "avg+max": tokens[:, 5:].mean(1) + tokens[:, 5:].amax(1),
            "gem": tokens[:, 5:].clamp(min=1e-6).pow(3).mean(1).pow(1 / 3),
        }
        pooled = scored.network.get_submodule("network")
        assert isinstance(pooled, PooledBackbone)
        for pooling, value in expected.items():
            network = EmbeddingNetwork(PooledBackbone(pooled.backbone, pooling)).eval()
            torch.testing.assert_close(network(pixels), nn.functional.normalize(value, dim=1), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("size", "scales"), [(80, ()), (80, (1.0, 1.4)), (208, ())])
def test_position_embeddings_are_resampled_as_timm_does(tmp_path: Path, size: int, scales: tuple[float, ...]) -> None:
    torch.save(backbone("test_vit").state_dict(), tmp_path / "vit.pth")
    scored = opened(tmp_path / "vit.pth", backbone="test_vit", image_size=size, scales=scales)
    assert f"resampled from 101 to {(size // 16) ** 2 + 1} tokens" in notes(scored.config)
    by_timm = timm.create_model("test_vit", img_size=size, dynamic_img_size=True, num_classes=0).eval()
    by_timm.load_state_dict(
        timm.models.vision_transformer.checkpoint_filter_fn(dict(backbone("test_vit").state_dict()), by_timm),
        strict=False,
    )
    if not scales:
        torch.testing.assert_close(embedded(scored), plain(by_timm, img_size=size), rtol=0, atol=1e-6)
        return
    pixels = torch.stack([scored.preprocess(image) for image in IMAGES])
    larger = nn.functional.interpolate(pixels, size=112, mode="bilinear", antialias=True)
    with torch.no_grad():
        views = [nn.functional.normalize(by_timm(view), dim=1) for view in (pixels, larger)]
    expected = nn.functional.normalize(views[0] + views[1], dim=1)
    torch.testing.assert_close(embedded(scored), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "built"), [("test_vit2", {}), ("test_vit2", {"global_pool": ""}), ("test_vit3", {})])
def test_norm_of_a_transformer_is_where_the_file_has_it(tmp_path: Path, name: str, built: dict[str, str]) -> None:
    """`test_vit2` normalises after its pooling, or before it when built without one; `test_vit3` pools by attention."""
    trained = backbone(name, num_classes=0, **built)
    torch.manual_seed(1)
    for key, value in trained.named_parameters():
        if "norm." in key:
            value.data.normal_(1, 0.3)
    torch.save(trained.state_dict(), tmp_path / "vit.pt")
    scored = opened(tmp_path / "vit.pt", backbone=name, pooling="avg")
    with torch.no_grad():
        tokens = trained.forward_features(torch.stack([scored.preprocess(image) for image in IMAGES]))
        expected = getattr(trained, "fc_norm", nn.Identity())(tokens[:, trained.num_prefix_tokens :].mean(1))
    torch.testing.assert_close(embedded(scored), nn.functional.normalize(expected, dim=1), rtol=0, atol=1e-6)
    with pytest.raises(HgldError, match="'cls' needs a class token"):
        opened(tmp_path / "vit.pt", backbone=name, pooling="cls")


def test_linear_head_is_part_of_the_embedding_when_asked_for(tmp_path: Path) -> None:
    trained = backbone("test_resnet", num_classes=12)
    torch.save({f"module.{key}": value for key, value in trained.state_dict().items()}, tmp_path / "weights.pt")
    scored = opened(tmp_path / "weights.pt", backbone="test_resnet", head="linear", **SIZE)
    with torch.no_grad():
        expected = trained(torch.stack([scored.preprocess(image) for image in IMAGES]))
    torch.testing.assert_close(embedded(scored), nn.functional.normalize(expected, dim=1), rtol=0, atol=1e-6)


def test_prefix_is_the_one_with_most_keys() -> None:
    names = ["conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv1.bias"]
    assert find_prefix(names, names) == ""
    assert find_prefix(names, [f"a.b.{name}" for name in names]) == "a.b."
    assert find_prefix(names, ["x.y", "z"]) == ""


def test_identity_depends_on_all_that_the_embeddings_depend_on_and_on_nothing_else(tmp_path: Path) -> None:
    state = state_of("test_vit")
    torch.save(state, tmp_path / "a.pt")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "b.pt")
    options = {"backbone": "test_vit", "image_size": 64}
    first = opened(tmp_path / "a.pt", **options).identity
    assert len(first) == 64 and int(first, 16)
    assert opened(tmp_path / "b.pt", **options).identity == first
    differing: list[dict[str, Any]] = [
        {"image_size": 80},
        {"pooling": "avg"},
        {"flip": True},
        {"scales": (1.0, 1.5)},
        {"mean": (0.4, 0.4, 0.4)},
        {"interpolation": "bilinear"},
        {"crop_pct": 0.5},
    ]
    seen = [opened(tmp_path / "a.pt", **{**options, **other}).identity for other in differing]
    state["norm.weight"] = state["norm.weight"] + 1e-3
    torch.save(state, tmp_path / "a.pt")
    seen.append(opened(tmp_path / "a.pt", **options).identity)
    assert len({first, *seen}) == len(seen) + 1
