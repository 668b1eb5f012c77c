"""The trainer: curves, settings, and what it leaves behind; equal settings give equal bytes in test_benchmark.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from hgld.benchmarks.models.network import Network
from hgld.benchmarks.training import train
from hgld.foundation.errors import HgldError
from hgld.foundation.files import sha256
from hgld.foundation.settings import LossTerm, Params
from tests.benchmarks.conftest import make_world, tiny


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Iterator[Path]:
    """The small world, in the working folder; trainings overwrite each other's outputs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("world"))
        make_world(settings.data)
        yield settings.data


def trained(params: Params) -> pd.DataFrame:
    """The curves of a training."""
    train.run(params)
    return pd.read_csv(params.data / "train" / "curves.csv")


@pytest.fixture(scope="module")
def plain_model(data: Path, settings: Params) -> str:
    """The hash of a model trained for four epochs."""
    train.run(tiny(settings, epochs=4))
    return sha256(data / "train" / "model.pt")


def test_curves_have_a_column_per_term(settings: Params) -> None:
    curves = trained(tiny(settings, epochs=2))
    assert list(curves.columns) == ["epoch", "loss", "sup_hap", "cluster", "lr"]
    assert curves["epoch"].tolist() == [1, 2]
    weighted = 0.9 * curves["sup_hap"] + 0.1 * curves["cluster"]
    assert curves["loss"].tolist() == pytest.approx(weighted.tolist(), abs=1e-5)


@pytest.mark.parametrize("change", [{"memory": 60}, {"pos_mixup": True}, {"precision": "bfloat16"}, {"together": True}])
def test_each_setting_changes_the_training_which_still_learns(
    plain_model: str, data: Path, settings: Params, change: dict[str, object]
) -> None:
    curves = trained(tiny(settings, epochs=4, **change))
    assert sha256(data / "train" / "model.pt") != plain_model
    assert curves["loss"].iloc[-1] < curves["loss"].iloc[0]


def test_memory_is_used_from_its_epoch_on(settings: Params) -> None:
    losses = {
        start: trained(tiny(settings, epochs=2, memory=60, memory_from=start))["loss"].tolist() for start in (1, 2, 3)
    }
    assert losses[2][0] == losses[3][0] != losses[1][0]
    assert losses[2][1] != losses[3][1]


def test_gradient_caching_trains_in_chunks_and_changes_only_rounding(
    settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the published code gradient caching is never called."""
    sizes: list[int] = []
    forward = Network.forward

    def recorded(self: Network, images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Network, "forward", recorded)
    losses = {}
    for chunk, expected in ((0, {20}), (7, {6, 7})):
        sizes.clear()
        # test_convnext has neither batch statistics nor dropout
        curves = trained(tiny(settings, backbone="test_convnext", lr=1e-4, epochs=1, chunk=chunk))
        losses[chunk] = curves["loss"].tolist()
        assert set(sizes) == expected
    assert losses[0] == pytest.approx(losses[7], abs=1e-4)


def test_training_restores_the_global_state(settings: Params) -> None:
    random_state, threads = torch.get_rng_state(), torch.get_num_threads()
    train.run(tiny(settings, epochs=1))
    assert torch.equal(random_state, torch.get_rng_state())
    assert threads == torch.get_num_threads()
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_loss_that_diverges_is_an_error(settings: Params) -> None:
    with pytest.raises(HgldError, match="the loss is not finite in epoch"):
        train.run(tiny(settings, lr=1e30, epochs=3))


def test_a_broken_image_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Params
) -> None:
    monkeypatch.chdir(tmp_path)
    make_world(settings.data, per_split={"train": 4, "index": 2, "test": 2}, broken="0000000000000003")
    with pytest.raises(HgldError, match="image 0000000000000003: "):
        train.run(settings)
    assert not (settings.data / "train").exists()


def test_wrong_settings_are_reported_before_data_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Params
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HgldError, match="unknown loss 'sup_hpa'"):
        train.run(tiny(settings, loss=[LossTerm(name="sup_hpa", weight=1.0)]))
