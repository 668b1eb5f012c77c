"""Every command of docs/models.md scores the file that it names, or says in one line that the hub cannot be reached."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import timm
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from hgld.benchmarks.datasets.release import open_release
from hgld.benchmarks.models.network import Architecture, build_network, save_checkpoint
from hgld.cli import main
from hgld.foundation.settings import Params
from tests.benchmarks.conftest import make_world
from tests.benchmarks.models.sources.plain_code import backbone
from tests.benchmarks.models.sources.test_names import CLIP, CLIP_NAME, no_network
from tests.benchmarks.models.sources.test_programs import exported, script
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    {match[1].strip() for match in re.finditer(r"(?:^ {4,}|`)(hgld benchmark [^`\n]+)", PAGE, re.MULTILINE)}
)
# Small networks in place of those of the page; what the hub has is not here.
SMALL = {
    "vit_small_patch14_reg4_dinov2": "test_vit",
    "--backbone resnet50": "--backbone test_resnet",
    "open_clip:ViT-B-32/clip.pt": f"open_clip:{CLIP_NAME}/clip.pt",
}
_ = no_network  # a fixture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """A folder with a small release and the files that the page names."""
    place = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        make_world(settings.data, per_split={"train": 1, "index": 1, "test": 1})
        shutil.copy(ROOT / "params.yaml", place)
        with open_release(settings.data, tuple(settings.train.levels)) as release:
            ids = [*release.query.ids, *release.gallery.ids]
    state = dict(backbone("test_resnet").state_dict())
    torch.save(
        {"epoch": 1, "state_dict": {f"module.{key}": value for key, value in state.items()}}, place / "weights.pt"
    )
    save_file(state, place / "weights.safetensors")
    torch.save(backbone("test_vit").state_dict(), place / "dinov2.pth")
    trained = build_network(Architecture(backbone="test_resnet", dim=8, pooling="gem", image_size=224), seed=2)
    save_checkpoint(trained, {}, place / "model.pt")
    torch.save(trained.state_dict(), place / "bare.pt")
    timm.models.save_for_hf(backbone("test_resnet"), place / "folder", safe_serialization=True)
    (place / f"{CLIP_NAME}.json").write_text(json.dumps(CLIP))
    open_clip.add_model_config(place / f"{CLIP_NAME}.json")
    torch.manual_seed(4)
    torch.save(open_clip.CLIP(**CLIP).state_dict(), place / "clip.pt")
    vectors = np.random.default_rng(0).normal(size=(len(ids), 5))
    np.savez(place / "embeddings.npz", ids=np.array(ids), vectors=vectors)
    np.save(place / "embeddings.npy", vectors)
    (place / "ids.txt").write_text("\n".join(ids))
    pd.DataFrame({"id": ids, "vector": list(vectors)}).to_parquet(place / "embeddings.parquet")
    script(place / "script.ts")
    exported(place / "model.pt2", dynamic=True)
    if importlib.util.find_spec("onnxruntime"):
        network = backbone("test_resnet", num_classes=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(network, (torch.zeros(1, 3, 64, 64),), str(place / "model.onnx"), dynamo=False)
    (place / "my_networks.py").write_text(
        "import timm\n"
        "def build():\n"
        '    network = timm.create_model("test_resnet", num_classes=0)\n'
        "    return network, timm.data.create_transform((3, 64, 64), is_training=False)\n"
    )
    return place


def test_page_has_a_command_for_each_kind_of_file() -> None:
    assert len(COMMANDS) >= 20
    names = {command.split()[2] for command in COMMANDS}
    kinds = {Path(name).suffix for name in names if ":" not in name}
    assert kinds >= {".pt", ".pth", ".safetensors", ".npz", ".npy", ".parquet", ".onnx", ".ts", ".pt2"}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_the_page_scores(
    folder: Path, monkeypatch: pytest.MonkeyPatch, no_network: None, command: str
) -> None:
    monkeypatch.chdir(folder)
    for name, small in SMALL.items():
        command = command.replace(name, small)
    words = command.split()[1:]
    if words[1] == "model.onnx" and not (folder / "model.onnx").exists():
        pytest.skip("the extra `onnx` is not installed: pip install 'hgld[onnx]'")
    result = CliRunner().invoke(main, words)
    if words[1].startswith(("timm:resnet50", "open_clip:ViT-B-32/laion")):
        assert result.exit_code == 1 and "huggingface.co cannot be reached" in result.output
        return
    assert result.exit_code == 0, result.output
    assert "H-AP" in result.output
