"""The trainer: curves, settings, and what it leaves behind; equal settings give equal bytes in test_benchmark.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from hgld.benchmarks.models.network import Network, build_network, load_checkpoint
from hgld.benchmarks.training import train
from hgld.benchmarks.training.distributed import has_unused_weights
from hgld.benchmarks.training.setup import WeightedLoss, architecture_of
from hgld.foundation.errors import HgldError
from hgld.foundation.files import sha256
from hgld.foundation.settings import LossTerm, Params
from hgld.foundation.train_settings import PartOptimiser
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


@pytest.mark.parametrize(
    "change",
    [
        *({"memory": 60}, {"pos_mixup": True}, {"precision": "bfloat16"}, {"together": True}),
        *({"precision": "float16"}, {"optimiser": "sgd", "lr": 0.05}, {"schedule": "constant"}, {"clip_norm": 0.5}),
        *(
            {"ema": 0.5},
            {"freeze_batchnorm": True},
            {"head": PartOptimiser(lr=1e-2)},
            {"precision": "float16", "chunk": 7},
        ),
    ],
)
def test_each_setting_changes_the_training_which_still_learns(
    plain_model: str, data: Path, settings: Params, change: dict[str, object]
) -> None:
    curves = trained(tiny(settings, epochs=4, **change))
    assert sha256(data / "train" / "model.pt") != plain_model
    assert curves["loss"].iloc[-1] < curves["loss"].iloc[0]


def test_compiled_backbone_trains_alike(settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the backend that compiles nothing, as a C++ compiler may be missing; validation and average included."""
    change: dict[str, Any] = {"epochs": 2, "ema": 0.5, "validate_every": 1, "validation_classes": 0.4, "batch_size": 8}
    plain = trained(tiny(settings, **change))
    calls: list[str] = []
    compile_ = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda function: calls.append("compiled") or compile_(function, backend="eager")
    )
    pd.testing.assert_frame_equal(trained(tiny(settings, compile=True, **change)), plain, atol=1e-4)
    assert len(calls) == 1


def test_backbone_that_cannot_be_compiled_is_an_error(settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("g++ said: fatal error: Python.h: No such file or directory")

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compile_(function, backend=fail))
    with pytest.raises(HgldError, match=r"train.compile: .*Python.h.*; or set it to false"):
        train.run(tiny(settings, epochs=1, compile=True))


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


def test_a_broken_image_is_left_out_and_counted_up_to_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_world(settings.data, per_split={"train": 4, "index": 2, "test": 2}, broken="0000000000000003")
    folder = settings.data / "train"
    with pytest.raises(HgldError, match=r"1 of 20 train images .* more than train.max_broken \(0.04\) allows") as error:
        train.run(tiny(settings, max_broken=0.04))
    assert "image 0000000000000003: not a readable picture: not a JPEG file" in str(error.value)
    assert not folder.exists()
    train.run(tiny(settings, epochs=1, max_broken=0.05))
    assert (
        "1 of 20 train images cannot be read and are left out:\n  image 0000000000000003: " in capsys.readouterr().out
    )
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["images"], metrics["broken_images"]) == (19, 1)
    assert load_checkpoint(folder / "model.pt").config["train"]["max_broken"] == 0.05


def test_limit_of_broken_images_is_not_recorded_where_none_is_broken(data: Path, settings: Params) -> None:
    train.run(tiny(settings, epochs=1))
    assert "broken_images" not in json.loads((data / "train" / "metrics.json").read_text(encoding="utf-8"))
    assert "max_broken" not in load_checkpoint(data / "train" / "model.pt").config["train"]


def test_release_has_no_split_to_validate_on(settings: Params) -> None:
    with pytest.raises(HgldError, match=r"train.validation_split names a split of the data of --data; on the release"):
        train.run(tiny(settings, validate_every=1, validation_split="test"))


def test_missing_tar_is_an_error_and_no_broken_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Params
) -> None:
    monkeypatch.chdir(tmp_path)
    make_world(settings.data, per_split={"train": 4, "index": 2, "test": 2})
    (settings.data / "images" / "train" / "images_000.tar").unlink()
    with pytest.raises(HgldError, match=r"images_000\.tar: No such file or directory; run the images stage"):
        train.run(tiny(settings, max_broken=1.0))


@dataclass
class Useless:
    """A loss with a constant value: its gradient is zero, or there is none."""

    connected: bool

    def __call__(self, embeddings: torch.Tensor, labels: torch.Tensor, *gallery: torch.Tensor) -> torch.Tensor:
        return embeddings.sum() * 0.0 + 2.0 if self.connected else torch.tensor(2.0)


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("chunk", [0, 7])
def test_a_loss_without_gradient_in_a_whole_epoch_is_reported(
    data: Path,
    settings: Params,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    connected: bool,
    chunk: int,
) -> None:
    terms = train.loss_terms

    def with_a_useless_one(*arguments: Any) -> list[WeightedLoss]:
        return [*terms(*arguments), WeightedLoss("useless", 0.5, Useless(connected))]

    monkeypatch.setattr(train, "loss_terms", with_a_useless_one)
    train.run(tiny(settings, epochs=2, chunk=chunk))
    lines = [line for line in capsys.readouterr().out.splitlines() if "was below" in line]
    assert [line[:62] for line in lines] == ["epoch 1: the gradient of the loss 'useless' was below 1e-08 in"]


def test_a_training_whose_losses_have_gradients_says_nothing_about_them(
    data: Path, settings: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    train.run(tiny(settings, epochs=1))
    assert "epoch 1" not in capsys.readouterr().out


def test_batches_without_positives_are_reported_once(
    data: Path, settings: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their SupAP is 0, with a gradient of 1e-12."""
    loss = [LossTerm(name="sup_ap", weight=1.0)]
    train.run(tiny(settings, epochs=2, per_class=1, loss=loss))
    printed = capsys.readouterr().out
    assert printed.count("no batch has two images of one landmark") == 1
    assert printed.count("the gradient of the loss 'sup_ap' was below 1e-08 in every step") == 1
    train.run(tiny(settings, epochs=1, per_class=1, loss=loss, memory=60))
    assert "epoch 1" not in capsys.readouterr().out


def test_network_that_gives_all_images_one_embedding_is_reported_once(
    data: Path, settings: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forward = Network.forward
    monkeypatch.setattr(Network, "forward", lambda self, images: forward(self, images * 0))
    train.run(tiny(settings, epochs=2))
    assert capsys.readouterr().out.count("all images of a batch have the same embedding in every step") == 1


def test_weights_that_the_last_step_spoils_are_an_error(
    data: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of a step is finite when its gradient is not, and no later step would tell."""

    def loss(*_: Any) -> list[WeightedLoss]:
        return [WeightedLoss("root", 1.0, lambda rows, *_: (rows - rows.detach()).square().sum().sqrt())]

    (data / "train" / "model.pt").unlink(missing_ok=True)
    monkeypatch.setattr(train, "loss_terms", loss)
    with pytest.raises(HgldError, match=r"the weights '.*' are not finite after epoch 1; lower train.lr"):
        train.run(tiny(settings, epochs=1, batch_size=80, per_class=16))  # one step
    assert not (data / "train" / "model.pt").exists()
    assert not (data / "training" / "state.pt").exists()


def test_the_largest_seed_trains(data: Path, settings: Params) -> None:
    train.run(tiny(settings, epochs=1, seed=2**63 - 1))


def test_weights_that_no_embedding_depends_on_are_found(settings: Params) -> None:
    """timm's ConvNeXt has a norm in its unused classifier; DistributedDataParallel would wait for its gradient."""
    for backbone, unused in (("test_convnext", True), ("test_resnet", False)):
        network = build_network(architecture_of(tiny(settings, backbone=backbone).train), seed=0)
        before = [value.clone() for value in network.state_dict().values()]
        random_state = torch.get_rng_state()
        assert has_unused_weights(network) == unused
        assert network.training and network.backbone.training
        assert all(torch.equal(a, b) for a, b in zip(before, network.state_dict().values(), strict=True))
        assert all(weight.grad is None for weight in network.parameters())
        assert torch.equal(random_state, torch.get_rng_state())


def test_wrong_settings_are_reported_before_data_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Params
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HgldError, match="unknown loss 'sup_hpa'"):
        train.run(tiny(settings, loss=[LossTerm(name="sup_hpa", weight=1.0)]))
