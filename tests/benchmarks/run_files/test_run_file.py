"""Run files and overrides: they state differences, and every recipe trains."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.run_files.run_file import read_run_file, recipes
from hgld.benchmarks.training.setup import check_train_settings
from hgld.benchmarks.training.train import train
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from tests.benchmarks.datasets.coloured_images import coloured_dataset
from tests.paths import ROOT

SMALL = ("backbone=test_resnet", "pretrained=false", "dim=16", "image_size=32", "batch_size=16", "threads=1")


def written(folder: Path, text: str) -> str:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_run_file_states_differences_from_params_or_from_the_defaults(tmp_path: Path, settings: Params) -> None:
    run = read_run_file(written(tmp_path, "lr: 5e-3\nhead: {lr: 0.1}\n"))
    own, stated = run.settings(settings, ["epochs=3", "loss.0.settings.tau=0.02"], seed=7)
    assert own.backbone == settings.train.backbone and own.image_size == settings.train.image_size
    assert (own.lr, own.head.lr, own.epochs, own.seed) == (5e-3, 0.1, 3, 7)
    assert own.loss[0].settings == {"tau": 0.02} and own.loss[1:] == settings.train.loss[1:]
    assert stated == {"lr", "head", "epochs", "loss"}
    without, _ = run.settings(None, [], None)
    assert (without.lr, without.backbone, without.seed) == (5e-3, "resnet18", 0)


def test_an_override_is_typed_by_yaml() -> None:
    settings, _ = read_run_file(None).settings(
        None, ["lr=1e-3", "pretrained=true", "schedule=multistep", "milestones=[3, 5]", "head.optimiser=sgd"], None
    )
    assert (settings.lr, settings.pretrained, settings.milestones) == (1e-3, True, [3, 5])
    assert settings.head.optimiser == "sgd"


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("learning_rate: 1", [], "run.yaml: unknown key 'learning_rate'"),
        ("epoch: 1", [], "unknown key 'epoch'; did you mean 'epochs'?"),
        ("head: {optimizer: sgd}", [], "unknown key 'optimizer' in head; did you mean 'optimiser'?"),
        (
            "loss: [{name: sup_ap, weight: 1, seting: 1}]",
            [],
            "unknown key 'seting' in loss.0; did you mean 'settings'?",
        ),
        ("lr: fast", [], "run.yaml: lr: .*; found 'fast'"),
        ("- lr", [], "expected settings such as `lr: 1e-4`, one per line; found list"),
        ("", ["lr"], "--set lr: expected KEY=VALUE"),
        ("", ["loss.9.weight=1"], "--set loss.9.weight: '9' is no place in a list; there are 0 to 1"),
        ("", ["lr.peak=1"], "--set lr.peak: 'lr' is a single value"),
        ("", ["lr=[1"], "--set lr: not YAML"),
        ("", ["epocs=1"], "unknown key 'epocs'; did you mean 'epochs'?"),
        ("", ["epochs=0"], "epochs: .*; found 0"),
    ],
)
def test_faults_are_one_line_that_names_the_place(
    tmp_path: Path, text: str, overrides: list[str], message: str
) -> None:
    with pytest.raises(HgldError, match=message) as error:
        read_run_file(written(tmp_path, text)).settings(None, overrides, None)
    assert "\n" not in str(error.value)


def test_unknown_recipe_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(HgldError, match="no run file and no recipe 'hapier'; did you mean 'happier'"):
        read_run_file("hapier")


def test_recipes_cover_the_published_ones_and_say_their_source() -> None:
    published = {"roadmap", "roadmap_plus", "happier", "happier_f", "road_ndcg", "road_recall"}
    assert published <= recipes().keys()
    assert {path.name for path in (ROOT / "runs").glob("*.yaml")} == {f"{name}.yaml" for name in recipes()}
    used = set()
    for name, path in recipes().items():
        text = path.read_text(encoding="utf-8")
        assert re.match(r"# .*\(.*\d{4}.*\)|# .*\d{4}", text), f"{name}: no source"
        assert len(text.splitlines()) <= 20
        used |= {term.name for term in read_run_file(name).settings(None, [], None)[0].loss}
    assert used <= set(LOSSES)


@pytest.mark.parametrize("name", sorted(recipes()))
def test_every_recipe_trains_on_a_small_dataset(name: str, tmp_path: Path) -> None:
    settings, stated = read_run_file(name).settings(None, [*SMALL, "epochs=1", "milestones=[]"], None)
    assert "backbone" in stated
    if settings.schedule == "multistep":
        settings = settings.model_copy(update={"milestones": [1]})
    settings = settings.model_copy(update={"levels": ["colour", "hue"], "memory": min(settings.memory, 32)})
    check_train_settings(settings)
    settings = settings.model_copy(update={"warmup_epochs": 0})
    network, curves = train(coloured_dataset().train, settings, "cpu", tmp_path / "state.pt")
    assert curves["loss"].notna().all() and len(curves) == 1
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())
