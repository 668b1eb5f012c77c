"""Learning rates over the training, and which optimiser moves which weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hgld.benchmarks.models.network import Network, build_network
from hgld.benchmarks.training.optimisation.moving_average import MovingAverage
from hgld.benchmarks.training.optimisation.schedules import make_schedules
from hgld.benchmarks.training.optimisation.update import Update, freeze_batchnorm, set_training_mode
from hgld.benchmarks.training.setup import architecture_of
from hgld.foundation.settings import Params, Train
from hgld.foundation.train_settings import PartOptimiser
from tests.benchmarks.conftest import tiny


@pytest.fixture(scope="module")
def network(settings: Params) -> Network:
    return build_network(architecture_of(tiny(settings).train), seed=0)


def rates(network: Network, train: Train, name: str = "lr") -> list[float]:
    """The learning rate at the start of every epoch, and at the end."""
    (schedule,) = [s for s in make_schedules(network, [nn.Linear(2, 2)], train) if s.name == name]
    found = []
    for epoch in range(train.epochs + 1):
        schedule.set_progress(epoch / train.epochs)
        assert {group["lr"] for group in schedule.optimiser.param_groups} == {schedule.lr}
        found.append(schedule.lr)
    return found


def test_rates_follow_their_formulas(network: Network, settings: Params) -> None:
    def of(**change: object) -> list[float]:
        return rates(network, tiny(settings, epochs=6, lr=0.1, **change).train)

    cosine = [0.1 * (1 + math.cos(math.pi * epoch / 6)) / 2 for epoch in range(7)]
    assert of() == pytest.approx(cosine)
    assert of(schedule="constant") == [0.1] * 7
    steps = of(schedule="multistep", milestones=[2, 5], gamma=0.5)
    assert steps == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025])
    assert of(schedule="constant", lr_warmup=4) == pytest.approx([0, 0.025, 0.05, 0.075, 0.1, 0.1, 0.1])
    assert of(lr_warmup=2)[2:] == pytest.approx(cosine[2:])


def test_each_part_has_its_own_optimiser(network: Network, settings: Params) -> None:
    train = tiny(
        settings,
        epochs=4,
        optimiser="adam",
        head=PartOptimiser(optimiser="sgd", lr=0.5, weight_decay=0.0, schedule="constant"),
        proxies=PartOptimiser(lr=10.0),
    ).train
    proxies = nn.Linear(3, 2)
    backbone, head, own = make_schedules(network, [proxies, object()], train)
    kinds = [type(schedule.optimiser) for schedule in (backbone, head, own)]
    assert kinds == [torch.optim.Adam, torch.optim.SGD, torch.optim.Adam]
    assert (backbone.peak, head.peak, own.peak) == (train.lr, 0.5, 10.0)
    assert head.optimiser.defaults["weight_decay"] == 0 != backbone.optimiser.defaults["weight_decay"]
    moved = [{id(w) for w in schedule.optimiser.param_groups[0]["params"]} for schedule in (backbone, head, own)]
    assert moved[0] == {id(weight) for weight in network.backbone.parameters()}
    assert moved[0] | moved[1] == {id(weight) for weight in network.parameters()} and not moved[0] & moved[1]
    assert moved[2] == {id(weight) for weight in proxies.parameters()}


def test_by_default_adamw_moves_the_network_and_adam_the_proxies(network: Network, settings: Params) -> None:
    whole, own = make_schedules(network, [nn.Linear(3, 2)], tiny(settings).train)
    assert (type(whole.optimiser), type(own.optimiser)) == (torch.optim.AdamW, torch.optim.Adam)
    assert len(whole.optimiser.param_groups[0]["params"]) == len(list(network.parameters()))


def test_average_equals_a_loop(settings: Params) -> None:
    network = build_network(architecture_of(tiny(settings).train), seed=1)
    average, weight = MovingAverage(network, 0.5), network.head.bias
    expected = weight.detach().clone()
    for step in range(8):
        with torch.no_grad():
            weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(step))
        average.update(network, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight.detach()
        torch.testing.assert_close(average.network.head.bias, expected)
    assert not average.network.training and not average.network.head.bias.requires_grad


def test_clipping_limits_the_gradient_of_the_network_alone(settings: Params) -> None:
    train = tiny(settings, optimiser="sgd", momentum=0.0, weight_decay=0.0, clip_norm=0.5, lr=1.0).train
    network = build_network(architecture_of(train), seed=0)
    proxies = nn.Linear(2, 2, bias=False)
    schedules = make_schedules(network, [proxies], train)
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    own = proxies.weight.detach().clone()
    (100 * sum(value.sum() for value in network.parameters()) + 3 * proxies.weight.sum()).backward()
    Update(network, schedules, train).step()
    moved = torch.cat([(value - before[name]).flatten() for name, value in network.named_parameters()])
    assert float(moved.detach().norm()) == pytest.approx(0.5, rel=1e-3)
    assert torch.equal(proxies.weight.grad, torch.full((2, 2), 3.0)) and not torch.equal(proxies.weight, own)


def test_frozen_batch_norms_stay_as_they_are(settings: Params) -> None:
    network = build_network(architecture_of(tiny(settings).train), seed=0)
    freeze_batchnorm(network)
    set_training_mode(network, tiny(settings, freeze_batchnorm=True).train, epoch=1)
    norms = [module for module in network.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [value.clone() for norm in norms for value in norm.state_dict().values()]
    assert norms and network.backbone.training
    network(torch.rand(4, 3, 32, 32) * 255).sum().backward()
    assert all(norm.weight.grad is None for norm in norms)
    after = [value for norm in norms for value in norm.state_dict().values()]
    assert all(torch.equal(first, second) for first, second in zip(before, after, strict=True))
    assert any(weight.grad is not None for weight in network.backbone.parameters())
