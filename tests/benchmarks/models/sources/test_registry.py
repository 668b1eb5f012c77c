"""The form of a model follows from its name and contents; options that would change nothing are refused."""

from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from hgld.benchmarks.models.network import build_network, save_checkpoint
from hgld.benchmarks.models.scored_model import ScoredModel
from hgld.benchmarks.models.sources.registry import FORMS, ModelOptions, form_of, open_model
from hgld.foundation.errors import HgldError
from tests.benchmarks.models.sources.plain_code import IMAGES, embedded, opened
from tests.benchmarks.models.sources.test_programs import exported, script
from tests.benchmarks.models.test_network import TINY


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each form, without a suffix that would tell."""
    folder = tmp_path_factory.mktemp("models")
    network = build_network(TINY, seed=0)
    save_checkpoint(network, {}, folder / "checkpoint")
    torch.save(network.state_dict(), folder / "weights")
    save_file(network.state_dict(), folder / "safetensors")
    np.savez(folder / "npz", ids=np.array(["a"]), vectors=np.ones((1, 2)))
    (folder / "npz.npz").rename(folder / "npz")
    np.save(folder / "npy", np.ones((1, 2)))
    (folder / "npy.npy").rename(folder / "npy")
    pd.DataFrame({"id": ["a"], "0": [1.0]}).to_parquet(folder / "parquet")
    script(folder / "torchscript")
    exported(folder / "exported.pt2", dynamic=False).rename(folder / "exported")
    (folder / "onnx").write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x032.0:\x10")
    return folder


BACKBONE = {"backbone": "test_resnet"}
OTHER_FORMS = ("npz", "npy", "parquet", "torchscript", "exported", "onnx")


@pytest.mark.parametrize(
    ("name", "options", "form"),
    [
        ("checkpoint", {}, "checkpoint"),
        ("weights", {}, "checkpoint"),  # its error names --backbone
        ("weights", BACKBONE, "state_dict"),
        ("safetensors", BACKBONE, "state_dict"),
        *((name, options, name) for name in OTHER_FORMS for options in ({}, BACKBONE)),
    ],
)
def test_form_of_a_file_is_read_from_its_contents(files: Path, name: str, options: dict[str, str], form: str) -> None:
    for suffix in ("", ".pt", ".npy", ".onnx"):
        copy = files / f"copy{suffix}"
        copy.write_bytes((files / name).read_bytes())
        assert form_of(str(copy), ModelOptions(**options)) == form  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("timm:resnet50", "timm"),
        ("timm:hf-hub:someone/network", "timm"),
        ("open_clip:ViT-B-32/openai", "open_clip"),
        ("package.module:function", "callable"),
        ("module:Class.build", "callable"),
    ],
)
def test_form_of_a_name(name: str, form: str) -> None:
    assert form_of(name, ModelOptions()) == form


@pytest.mark.parametrize("name", ["no.pt", "no/such/file.onnx", "a b:c", "timmy", "x" * 5000, "a\0b", "", "http://x/y"])
def test_what_is_no_file_and_no_name_is_explained(name: str) -> None:
    with pytest.raises(HgldError, match=r"no such file; expected .*timm:NAME|is a folder") as caught:
        open_model(name, ModelOptions())
    assert "\n" not in str(caught.value)


def test_a_bare_state_dict_names_the_option_that_opens_it(files: Path) -> None:
    with pytest.raises(HgldError, match=r"bare state_dict of .*`hgld benchmark` scores it with --backbone NAME"):
        opened(files / "weights")
    with pytest.raises(HgldError, match=r"is a safetensors file of weights; .*--backbone NAME"):
        opened(files / "safetensors")


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.marker,)


@pytest.mark.parametrize("options", [{}, BACKBONE, {**BACKBONE, "trust": True}])
def test_a_pickled_network_is_refused_with_a_remedy(tmp_path: Path, options: dict[str, Any]) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(HgldError, match=r"save network.state_dict\(\) instead, and give --backbone NAME"):
        opened(tmp_path / "model.pt", **options)
    for name, write in (("a.pt", torch.save), ("b.pt", lambda value, path: path.write_bytes(pickle.dumps(value)))):
        write({"weight": Payload(tmp_path / "ran")}, tmp_path / name)
        with pytest.raises(HgldError, match="would run code when loaded"):
            opened(tmp_path / name, **options)
    assert not (tmp_path / "ran").exists()


OTHER_VALUES: dict[str, Any] = {
    **{"backbone": "test_resnet", "pooling": "avg", "head": "linear", "image_size": 64, "mean": (0.1,) * 3},
    **{"std": (0.3,) * 3, "interpolation": "nearest", "crop_pct": 0.5, "prefix": "a.", "state_key": "ema"},
    **{"ignore": ("a",), "output": "a", "ids": Path("ids.txt"), "flip": True, "scales": (2.0,)},
}


@pytest.mark.parametrize("form", FORMS)
def test_options_that_a_form_does_not_take_are_refused(files: Path, form: str) -> None:
    names = {"timm": "timm:resnet50", "open_clip": "open_clip:ViT-B-32/openai", "callable": "a:b"}
    model = names.get(form, str(files / ("weights" if form == "state_dict" else form)))
    assert {field.name for field in fields(ModelOptions)} == {*OTHER_VALUES, "trust"}
    takes = FORMS[form].takes.split()
    assert set(takes) <= set(OTHER_VALUES)
    for option in set(OTHER_VALUES) - set(takes) - ({"backbone"} if form == "checkpoint" else set()):
        given = {option: OTHER_VALUES[option], **(BACKBONE if form == "state_dict" else {})}
        flag = option.replace("_", "-")
        with pytest.raises(HgldError, match=f"which does not take --{flag}; leave it out"):
            open_model(model, ModelOptions(trust=True, **given))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 8}, "image_size: expected 16 to 2048"),
        ({"image_size": 10**6}, "image_size: expected 16 to 2048"),
        ({"mean": (123.0, 116.0, 103.0)}, "mean: expected three numbers from 0 to 1"),
        ({"std": (0.0, 0.1, 0.1)}, "std: expected three numbers from 0.00390625 to 1"),
        ({"std": (0.1, 0.1)}, "std: expected three numbers"),
        ({"mean": (float("nan"),) * 3}, "mean: expected three numbers"),
        ({"interpolation": "bicubik"}, "expected one of bilinear.*did you mean 'bicubic'"),
        ({"crop_pct": 0.0}, "crop_pct: expected 0.1 to 1"),
        ({"scales": (0.0,)}, "scales: expected at most 8 numbers from 0.1 to 4"),
        ({"scales": (1.0,) * 9}, "scales: expected at most 8"),
        ({"scales": (float("nan"),)}, "scales: expected"),
    ],
)
def test_values_of_options_are_checked(files: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(HgldError, match=message):
        opened(files / "weights", **BACKBONE, **options)


def test_checkpoint_is_scored_as_it_is(files: Path) -> None:
    scored = opened(files / "checkpoint")
    network = build_network(TINY, seed=0).eval()
    from hgld.benchmarks.datasets.tensor_images import TensorImages

    inputs = torch.stack([scored.preprocess(image) for image in IMAGES])
    assert inputs.dtype == torch.uint8 and inputs.shape == (3, 3, 32, 32)
    before = TensorImages.__new__(TensorImages)
    TensorImages.__init__(before, _Images(), 32)  # type: ignore[arg-type]
    assert torch.equal(inputs, torch.stack([before[n] for n in range(3)]))
    with torch.no_grad():
        assert torch.equal(embedded(scored), network(inputs))
        assert scored.untrained is not None
        assert torch.equal(scored.untrained()(inputs), network(inputs)), "seed 0 is that of a config without a seed"
    assert scored.config == {} and scored.name == "checkpoint"


class _Images:
    def __len__(self) -> int:
        return len(IMAGES)

    def image(self, n: int) -> Any:
        return IMAGES[n]


def test_checkpoint_at_another_size_and_views_has_another_identity(files: Path) -> None:
    differing: list[dict[str, Any]] = [{}, {"image_size": 48}, {"flip": True}, {"scales": (1.0, 1.5)}]
    scored = [opened(files / "checkpoint", **options) for options in differing]
    assert len({one.identity for one in scored}) == len(differing)
    assert scored[1].input_pixels == 48 * 48
    for one in scored[1:]:
        assert (embedded(one) - embedded(scored[0])).abs().max() > 1e-3 or one is scored[1]


@pytest.mark.parametrize("name", ["checkpoint", "weights", "torchscript"])
def test_preprocessing_can_be_pickled(files: Path, name: str) -> None:
    options = {"checkpoint": {}, "weights": BACKBONE, "torchscript": {"trust": True, "image_size": 64}}[name]
    scored = opened(files / name, **options)
    assert isinstance(scored, ScoredModel)
    again = pickle.loads(pickle.dumps(scored.preprocess))
    assert torch.equal(again(IMAGES[0]), scored.preprocess(IMAGES[0]))
