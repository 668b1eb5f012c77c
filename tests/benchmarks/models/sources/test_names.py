"""Networks by the names of timm and open_clip embed as these libraries do, with the preprocessing of their configs."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import open_clip
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn

from hgld.foundation.errors import HgldError
from tests.benchmarks.models.sources.plain_code import IMAGES, backbone, embedded, opened, plain

CLIP_NAME = "tiny-clip-of-a-test"
CLIP: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1},
}


def hub_cache(root: Path, repository: str, files: dict[str, Path]) -> Path:
    """A cache as the client of the hub leaves it, with these files of a repository."""
    folder = root / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    for name, path in files.items():
        (snapshot / name).write_bytes(path.read_bytes())
    return root


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of hosts have no address."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """config.json and weights of a network, as timm pushes them to the hub."""
    return pushed(tmp_path / "folder")


@pytest.fixture(scope="module")
def folder_of_the_other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pushed(tmp_path_factory.mktemp("other") / "folder")


@pytest.fixture(scope="module", autouse=True)
def other_process(folder_of_the_other: Path) -> Iterator[subprocess.Popen[str]]:
    """Prints the identity of that network. It starts before the first test, as its imports take seconds."""
    program = (
        "import sys; from hgld.benchmarks.models.sources.registry import ModelOptions, open_model; "
        "sys.stdout.write(open_model(sys.argv[1], ModelOptions(image_size=64)).identity)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, f"timm:local-dir:{folder_of_the_other}"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def pushed(place: Path) -> Path:
    network = backbone("test_vit")
    network.pretrained_cfg.update(mean=(0.1, 0.2, 0.3), interpolation="bilinear", crop_pct=0.8)
    timm.models.save_for_hf(network, place, safe_serialization=True)
    return place


def test_network_of_timm_from_the_cache_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    save_file(dict(backbone("test_resnet").state_dict()), tmp_path / "weights")
    cache = hub_cache(tmp_path / "hub", "timm/test_resnet.r160_in1k", {"model.safetensors": tmp_path / "weights"})
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    for name in ("timm:test_resnet", "timm:test_resnet.r160_in1k"):
        scored = opened(name)
        torch.testing.assert_close(embedded(scored), plain(backbone("test_resnet")), rtol=0, atol=1e-6)
        assert scored.name == name and scored.config["model"]["input_size"] == [3, 160, 160]
    assert scored.untrained is not None
    pixels = torch.stack([scored.preprocess(image) for image in IMAGES])
    assert not torch.allclose(scored.untrained()(pixels), scored.network(pixels), atol=1e-3)
    assert torch.equal(scored.untrained()(pixels), scored.untrained()(pixels))


def test_network_of_timm_from_a_folder_and_from_the_hub(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    scored = opened(f"timm:local-dir:{folder}")
    by_timm = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    torch.testing.assert_close(embedded(scored), plain(by_timm), rtol=0, atol=1e-6)
    assert scored.config["model"]["mean"] == [0.1, 0.2, 0.3] and scored.config["model"]["crop_pct"] == 0.8
    files = {path.name: path for path in folder.iterdir()}
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub_cache(tmp_path / "hub", "someone/network", files)))
    from_hub = opened("timm:hf-hub:someone/network")
    assert torch.equal(embedded(from_hub), embedded(scored))
    assert from_hub.identity == scored.identity


def test_options_replace_the_config(folder: Path) -> None:
    options = {"image_size": 96, "mean": (0.5,) * 3, "interpolation": "bicubic", "crop_pct": 1.0}
    scored = opened(f"timm:local-dir:{folder}", pooling="avg", **options)
    network = timm.create_model(f"local-dir:{folder}", pretrained=True, img_size=96).eval()
    data = timm.data.resolve_model_data_config(network, args={**options, "img_size": 96})
    transform = timm.data.create_transform(**data, is_training=False)
    with torch.no_grad():
        tokens = network.forward_features(torch.stack([transform(image) for image in IMAGES]))
    expected = nn.functional.normalize(tokens[:, 1:].mean(1), dim=1)
    torch.testing.assert_close(embedded(scored), expected, rtol=0, atol=1e-6)


def test_weights_that_lack_a_part_are_refused(folder: Path) -> None:
    state = dict(backbone("test_vit").state_dict())
    del state["blocks.0.attn.qkv.weight"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(HgldError, match=r"cannot be read or fetched .*blocks\.0\.attn\.qkv\.weight"):
        opened(f"timm:local-dir:{folder}")


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def test_code_in_downloaded_weights_is_not_run(tmp_path: Path, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    for save in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))):
        save({"weight": Payload(tmp_path / "ran")}, folder / "pytorch_model.bin")
        with pytest.raises(HgldError, match="cannot be read or fetched"):
            opened(f"timm:local-dir:{folder}")
        assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("timm:test_resnt", "unknown backbone 'test_resnt'; did you mean 'test_resnet'"),
        ("timm:resnet50.a1_in2k", "unknown weights 'a1_in2k' of resnet50; did you mean 'a1_in1k'"),
        ("timm:local-dir:/no/such/folder", "cannot be read or fetched .*give a folder, timm:local-dir:FOLDER"),
        ("open_clip:ViT-B32/openai", "no model 'ViT-B32'; did you mean 'ViT-B-32'"),
        (
            "open_clip:ViT-B-32/opnai",
            "'opnai' is neither a file nor pretrained weights of ViT-B-32; did you mean 'openai'",
        ),
        ("open_clip:ViT-B-32", "expected open_clip:NAME/PRETRAINED, a tag .*laion2b"),
        ("timm:test_resnet", "huggingface.co cannot be reached, and the weights are not in its cache"),
        ("timm:hf-hub:someone/network", "huggingface.co cannot be reached"),
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", "huggingface.co cannot be reached.*give a file: open_clip:NAME/FILE"),
        ("open_clip:hf-hub:someone/network", "huggingface.co cannot be reached"),
    ],
)
def test_names_that_cannot_be_opened_are_explained_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None, model: str, message: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(HgldError, match=message) as caught:
        opened(model)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 20
    assert not constants.HF_HUB_OFFLINE


@pytest.fixture
def clip_file(tmp_path: Path) -> Path:
    """Weights of a tiny CLIP, whose config open_clip knows for the time of a test."""
    (tmp_path / f"{CLIP_NAME}.json").write_text(json.dumps(CLIP))
    open_clip.add_model_config(tmp_path / f"{CLIP_NAME}.json")
    torch.manual_seed(4)
    torch.save(open_clip.CLIP(**CLIP).state_dict(), tmp_path / "clip.pt")
    return tmp_path / "clip.pt"


@pytest.mark.parametrize("size", [None, 48])
def test_model_of_open_clip_from_a_file(clip_file: Path, size: int | None) -> None:
    scored = opened(f"open_clip:{CLIP_NAME}/{clip_file}", image_size=size)
    model, _, transform = open_clip.create_model_and_transforms(
        CLIP_NAME, pretrained=str(clip_file), force_image_size=size
    )
    with torch.no_grad():
        expected = model.eval().encode_image(torch.stack([transform(image) for image in IMAGES]), normalize=True)
    torch.testing.assert_close(embedded(scored), expected, rtol=0, atol=1e-6)
    assert scored.name == f"open_clip:{CLIP_NAME}/clip.pt"
    assert scored.config["model"]["mean"] == open_clip.OPENAI_DATASET_MEAN
    assert scored.input_pixels == (size or 32) ** 2
    assert scored.untrained is not None and scored.untrained()(torch.zeros(1, 3, size or 32, size or 32)).shape == (
        1,
        16,
    )
    copy = clip_file.with_name("copy.pt")
    copy.write_bytes(clip_file.read_bytes())
    assert opened(f"open_clip:{CLIP_NAME}/{copy}", image_size=size).identity == scored.identity


def test_model_of_open_clip_from_a_folder(tmp_path: Path, clip_file: Path) -> None:
    place = tmp_path / "folder"
    place.mkdir()
    config = {"model_cfg": CLIP, "preprocess_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5]}}
    (place / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(HgldError, match="cannot be read or fetched"):  # not a model with random weights
        opened(f"open_clip:local-dir:{place}")
    (place / "open_clip_model.pt").write_bytes(clip_file.read_bytes())
    save_file(torch.load(clip_file), place / "open_clip_model.safetensors")
    scored = opened(f"open_clip:local-dir:{place}")
    assert list(scored.config["model"]["mean"]) == [0.1, 0.2, 0.3]
    assert embedded(scored).shape == (3, 16)


def test_files_that_open_clip_would_run_or_misread_are_refused(tmp_path: Path, clip_file: Path) -> None:
    torch.save({"weight": Payload(tmp_path / "ran")}, tmp_path / "evil.pt")
    (tmp_path / "short.pt").write_bytes(clip_file.read_bytes()[:1000])
    save_file(torch.load(clip_file), tmp_path / "named.pt")
    for name, message in (("evil", "would run code"), ("short", "is truncated"), ("named", "rename it")):
        with pytest.raises(HgldError, match=message):
            opened(f"open_clip:{CLIP_NAME}/{tmp_path / name}.pt")
    assert not (tmp_path / "ran").exists()


def test_nothing_is_printed_and_identity_is_equal_in_another_process(
    other_process: subprocess.Popen[str], folder_of_the_other: Path
) -> None:
    printed, errors = other_process.communicate(timeout=120)
    assert other_process.returncode == 0, errors
    assert printed == opened(f"timm:local-dir:{folder_of_the_other}", image_size=64).identity
    assert errors == ""
