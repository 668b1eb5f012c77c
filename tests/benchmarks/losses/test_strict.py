"""The settings of the losses: each has an effect, and wrong ones are refused with a reason."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hgld.benchmarks.losses import LOSSES, make_loss
from hgld.benchmarks.losses.strict import ranges_of
from hgld.foundation.errors import HgldError
from tests.benchmarks.losses.examples import CLASSES, DIM, batch, example, nested


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_typo_raises_with_a_suggestion(name: str) -> None:
    for setting in inspect.signature(LOSSES[name]).parameters:
        if len(setting) > 2:
            typo = setting[:-2] + setting[-1] + setting[-2]
            if typo != setting:
                with pytest.raises(HgldError, match=f"unknown setting '{typo}'; did you mean '{setting}'"):
                    example(name, **{typo: 1})
    with pytest.raises(HgldError, match="by name"):
        LOSSES[name](1.0)
    with pytest.raises(HgldError, match="unknown reduction 'summ'"):
        example(name, reduction="summ")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_loss("sup_hpa"), "did you mean 'sup_hap'"),
        (lambda: LOSSES["sup_hap"](offest=1.0), "unknown setting 'offest'; did you mean 'offset'"),
        (lambda: LOSSES["sup_ap"](0.01), "by name"),
        (lambda: LOSSES["cluster"](dim=4), "'num_classes' is needed"),
        (lambda: LOSSES["sup_ap"](tau=0.0), "tau must be a number from 1e-12 to 1e\\+06, got 0.0"),
        (lambda: LOSSES["sup_ap"](reduction="sum"), "unknown reduction"),
        (lambda: LOSSES["sup_hap"](relevance="map"), "takes weights"),
        (lambda: LOSSES["sup_hap"](relevance="pup"), "did you mean 'pop'"),
        (lambda: LOSSES["sup_recall"](at_k=()), "at_k"),
        (lambda: LOSSES["sup_recall"](at_k=10), "at_k must be a list, got 10"),
        (lambda: LOSSES["sup_ap"](tau="1e-2"), "tau must be a number, got '1e-2'"),
        (lambda: LOSSES["sup_ap"](tau=math.nan), "tau must be a number, got nan"),
        (lambda: LOSSES["sup_ap"](level=True), "level must be a whole number"),
        (lambda: LOSSES["triplet"](semihard=1), "semihard must be true or false"),
        (lambda: LOSSES["sup_ap"](reduction=None), "reduction must be text"),
        (lambda: LOSSES["sup_hap"](relevance="map", weights=(-0.5, 1.0)), "from 0 to 1e"),
        (
            lambda: LOSSES["sup_hap"](relevance="map", weights=0.5),
            "a list of numbers from 0 to 1e\\+06, not all 0; got 0.5",
        ),
        (lambda: LOSSES["sup_hap"](relevance="map", weights=()), "a list of numbers"),
        (lambda: LOSSES["sup_hap"](relevance="map", weights=("a",)), "a list of numbers"),
        (lambda: LOSSES["sup_hap"](offset="1.4"), "offset must be a number from 0 to 1e\\+06, got '1.4'"),
        (
            lambda: LOSSES["sup_ap"]()(*batch(4), batch(4)[0][:, :3], batch(4)[1]),
            "8 wide and ref_embeddings 3",
        ),
        (
            lambda: make_loss("cluster", num_classes=8, dim=8)(batch(4)[0], batch(3)[1]),
            "one row of labels each; got \\(4, 8\\) and \\(3, 3\\)",
        ),
        (lambda: LOSSES["sup_ap"](level=3)(*batch(4)), "level 3 does not exist"),
        (lambda: LOSSES["sup_hap"](relevance="map", weights=(1.0,))(*batch(4)), "one weight per level"),
        (lambda: LOSSES["sup_hap"]()(*batch(4), batch(3)[0]), "belong together"),
        (lambda: LOSSES["sup_hap"]()(batch(4)[0], batch(3)[1]), "one row of labels each"),
        (lambda: LOSSES["sup_hap"]()(batch(4)[0], batch(4)[0]), "must be integers"),
        (lambda: make_loss("cluster", num_classes=2, dim=8)(*batch(8)), "proxies from 0 to 1"),
        (lambda: make_loss("cluster", num_classes=10**8, dim=2048), "numbers; expected 1 to 4,294,967,296"),
        (lambda: LOSSES["arcface"](num_classes=8, dim=8, m=28.6), "m must be a number from 0 to 1.5708, got 28.6"),
        (lambda: LOSSES["sup_hap"](relevance="map", weights=(1e308, 1.0)), "from 0 to 1e\\+06"),
        (lambda: LOSSES["blackbox_ap"](noise=0.1), "noise must be a tensor"),
        (lambda: LOSSES["blackbox_ap"](noise=torch.ones(2, 2)), "noise has no effect with margin 0"),
        (lambda: LOSSES[["sup_hap"]], "unknown loss"),  # type: ignore[index]
        (lambda: make_loss(None), "unknown loss None"),  # type: ignore[arg-type]
        (lambda: LOSSES["csl"](num_classes=[[1, 2], [3]], dim=4), "must be rows of integers, all of one length"),
        (lambda: LOSSES["csl"](num_classes="table", dim=4), "got str"),
        (lambda: LOSSES["sup_hap"]()(batch(4)[0].long(), batch(4)[1]), "must be floating-point numbers"),
    ],
)
def test_wrong_settings_and_inputs_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(HgldError, match=message):
        make()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"margins": (0.1, 0.2)}, "2 margins for 3 levels"),
        ({"num_classes": 8}, "the table of the classes' labels must be a torch tensor"),
        ({"dim": 0}, "dim must be a whole number from 1 to 65536, got 0"),
    ],
)
def test_wrong_settings_of_csl_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(HgldError, match=message):
        example("csl", **settings)


NOT_NUMBERS = (math.nan, math.inf, -math.inf, True, "0.1", 1e300, -1e300, 10**400, [0.1], torch.tensor(0.1))
OPTIONAL = {"offset", "beta", "leak", "gamma", "margins"}
LISTS = {"at_k", "margins"}


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_number_of_every_loss_has_a_range(name: str) -> None:
    """A negative leak, a scale of 0 or an angle in degrees trained a loss that is no loss."""
    ranges, parameters = ranges_of(LOSSES[name]), inspect.signature(LOSSES[name]).parameters
    assert ranges.keys() - {"level"} <= parameters.keys()
    for setting, parameter in parameters.items():
        if name == "csl" and setting == "num_classes":
            continue
        default = parameter.default
        if isinstance(default, (int, float)) and not isinstance(default, bool):
            assert ranges[setting].problem(default) == ""
        if setting not in ranges:
            assert isinstance(default, (bool, str)) or setting in ("noise", "weights"), f"{setting} has no range"
            continue
        low, high = ranges[setting].low, ranges[setting].high
        beyond = math.nextafter(low, -math.inf) if abs(low) < 1 else low - 1, high * 1.001 + 1e-3
        for value in (*NOT_NUMBERS, *beyond, *([] if setting in OPTIONAL else [None])):
            for wrong in (value, [value]) if setting in LISTS else (value,):
                if setting in LISTS and wrong == [0.1] and low <= 0.1:
                    continue
                with pytest.raises(HgldError, match=f"{setting} must be "):
                    example(name, **{setting: wrong})


def test_settings_may_be_numbers_of_numpy() -> None:
    plain, given = (LOSSES["cluster"](num_classes=kind(8), dim=kind(DIM), seed=kind(3)) for kind in (int, np.int64))
    assert torch.equal(*plain.parameters(), *given.parameters())
    given = LOSSES["sup_hap"](alpha=np.float32(2), delta=np.float64(0.5))
    assert repr(given) == repr(LOSSES["sup_hap"](alpha=2.0, delta=0.5))


OTHER_VALUES: dict[str, Any] = {
    "level": 1, "reduction": "none", "tau": 0.2, "rho": 7.0, "delta": 0.2, "start": 0.1, "offset": 3.0,
    "alpha": 3.0, "weights": (0.2, 0.3, 0.5), "beta": 3.0, "leak": 3.0, "gamma": 0.1, "at_k": (3,), "temp": 3.0,
    "nq": 5, "min": -0.5, "max": 0.5, "num_bins": 3, "margin": 0.35, "pos_margin": 0.5, "neg_margin": 0.3,
    "semihard": False, "itself": True, "temperature": 0.5, "num_centers": 2, "s": 3.0, "m": 0.9, "scale": 2.0,
    "margins": (0.1, 0.1, 0.1), "seed": 5,
}  # fmt: skip


def each_setting() -> Iterator[tuple[str, str]]:
    """Every setting of every loss, except those that only state a shape."""
    for name, loss in LOSSES.items():
        for setting in inspect.signature(loss).parameters:
            if setting not in ("num_classes", "dim", "noise", "relevance"):
                yield name, setting


@pytest.mark.parametrize(("name", "setting"), list(each_setting()))
def test_every_setting_has_an_effect(name: str, setting: str) -> None:
    """In the published code SmoothRank's mode has none: it is tested as `if 'full'`."""
    inputs = *batch(20), *batch(40, seed=1)
    if name == "triplet":
        inputs = inputs[:2]
    base: dict[str, Any] = {}
    if setting == "weights":
        base = {"relevance": "map", "weights": (0.5, 0.3, 0.2)}
    if setting == "temperature_centers":
        base = {"num_centers": 2}
    others = {"temperature_centers": 2.0, "lambda_val": 1000.0, **OTHER_VALUES}
    assert setting in others, f"give {setting} a second value in OTHER_VALUES"
    other = others[setting]

    def outcome(**settings: Any) -> tuple[Tensor, Tensor]:
        leaf = inputs[0].clone().requires_grad_()
        value = example(name, **{**base, **settings})(leaf, *inputs[1:])
        return value.detach(), torch.autograd.grad(value.nansum(), leaf)[0]

    with torch.random.fork_rng():
        before, after = outcome(), outcome(**{setting: other})
    assert before[0].shape != after[0].shape or not all(map(torch.equal, before, after))


@pytest.mark.parametrize("name", ["cluster", "arcface", "proxy_nca"])
def test_a_label_without_a_proxy_is_refused(name: str) -> None:
    """The published configurations state the number of classes by hand; the message names both ranges."""
    loss = LOSSES[name](num_classes=CLASSES - 1, dim=DIM)
    with pytest.raises(HgldError, match="labels run from 0 to 7, proxies from 0 to 6"):
        loss(batch(8)[0], nested(torch.arange(8)))


def test_settings_for_another_number_of_levels_are_refused() -> None:
    """A published configuration has two levels for a dataset of three."""
    with pytest.raises(HgldError, match="2 margins for 3 levels"):
        LOSSES["csl"](num_classes=nested(torch.arange(8)), dim=DIM, margins=(0.25, 0.45))
    with pytest.raises(HgldError, match="one weight per level"):
        LOSSES["sup_hap"](relevance="map", weights=(0.5, 0.5))(*batch(8))
    with pytest.raises(HgldError, match="level"):
        LOSSES["csl"](num_classes=nested(torch.arange(8), 2), dim=DIM)(*batch(8))
