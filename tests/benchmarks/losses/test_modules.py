"""The losses as modules of torch: settings, weights, copies, other modules around them, compiled models, docs."""

from __future__ import annotations

import ast
import copy
import inspect
import pickle
import re
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch._dynamo.utils import counters
from torch.nn.parallel import DistributedDataParallel

from hgld.benchmarks import losses
from hgld.benchmarks.losses import LOSSES, Loss, SupHAP
from hgld.benchmarks.losses.base import is_on_cpu
from hgld.benchmarks.losses.strict import ranges_of
from hgld.benchmarks.ranking.surrogates import SupRankSettings
from hgld.foundation.errors import HgldError
from tests.benchmarks.losses.examples import DIM, PROXIES, batch, example, gradient

EVERY = pytest.mark.parametrize("name", list(LOSSES))


def settings_of(name: str) -> list[str]:
    return list(inspect.signature(LOSSES[name]).parameters)


def test_every_class_is_imported_from_the_package() -> None:
    assert {LOSSES[name] for name in LOSSES} == {
        value for key in losses.__all__ if isinstance(value := getattr(losses, key), type) and value is not Loss
    }


@EVERY
def test_only_proxies_are_weights(name: str) -> None:
    loss = example(name)
    keys = {"weight", "table"} if name == "csl" else {"weight"} if name in PROXIES else set()
    assert isinstance(loss, nn.Module) and set(loss.state_dict()) == keys
    assert loss.to(torch.float64) is loss and all(weight.dtype == torch.float64 for weight in loss.parameters())
    around = nn.ModuleDict({"term": loss, "list": nn.ModuleList([example(name)])})
    assert set(around.state_dict()) == {f"{prefix}.{key}" for prefix in ("term", "list.0") for key in keys}
    around.load_state_dict(nn.ModuleDict({"term": loss, "list": nn.ModuleList([loss])}).state_dict())
    assert torch.equal(around["term"](*batch(9)), around["list"][0].double()(*batch(9)))


@EVERY
def test_copies_and_pickles_are_losses_of_the_same_settings(name: str) -> None:
    loss = example(name, reduction="none", seed=3) if name in PROXIES else example(name, reduction="none")
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert repr(other) == repr(loss) and other is not loss
        torch.testing.assert_close(other(*batch(9)), loss(*batch(9)), atol=0, rtol=0, equal_nan=True)
        assert not {id(weight) for weight in other.parameters()} & {id(weight) for weight in loss.parameters()}


@EVERY
def test_settings_are_attributes_which_repr_shows_and_nobody_changes(name: str) -> None:
    loss: Any = example(name)
    for setting in settings_of(name):
        before = getattr(loss, setting)
        assert f"{setting}=" in repr(loss)
        with pytest.raises(HgldError, match=f"{setting} is fixed when the loss is made"):
            setattr(loss, setting, before)
        assert getattr(loss, setting) is before
    with pytest.raises(HgldError, match="reduction is fixed when the loss is made"):
        loss.reduction = "none"
    if name != "csl":  # whose table is a tensor
        again = eval(repr(loss), vars(losses))
        assert repr(again) == repr(loss)
        assert torch.equal(again(*batch(9)), loss(*batch(9)))


def test_settings_are_copies_that_nobody_changes_after_the_check() -> None:
    """A weight of -3 was accepted, and the rank 0 gave -inf."""
    at_k, weights, noise = [1, 2], [0.5, 0.25, 0.25], torch.ones(4, 4)
    recall, hap = losses.SupRecall(at_k=at_k), SupHAP(relevance="map", weights=weights)
    blackbox = losses.BlackBoxAP(margin=0.02, noise=noise)
    before = [loss(*batch(4)) for loss in (recall, hap, blackbox)]
    at_k[0], weights[0] = 0, -3.0
    noise.fill_(torch.nan)
    assert [loss(*batch(4)) for loss in (recall, hap, blackbox)] == before
    assert recall.at_k == (1, 2) and hap.weights == (0.5, 0.25, 0.25)


def test_given_noise_moves_with_the_loss_and_is_no_state() -> None:
    loss = losses.BlackBoxAP(margin=0.02, noise=torch.ones(4, 4))
    assert loss.double().noise.dtype == torch.float64 and not loss.state_dict()
    assert losses.BlackBoxAP().noise is None


def test_work_is_counted_for_arrays_as_for_tensors() -> None:
    """A gallery in NumPy counted as none, and a large one was computed on one core."""
    rows, refs = batch(4)[0], batch(9)[0]
    counts = {SupHAP().multiplications(a, b) for a in (rows, rows.numpy()) for b in (refs, refs.numpy())}  # type: ignore[arg-type]
    assert counts == {4 * 9 * DIM} and is_on_cpu(rows.numpy())


@EVERY
def test_the_settings_stand_in_the_source_with_their_types(name: str) -> None:
    """So that editors complete them and type checkers see a typo."""
    (cls,) = ast.parse(textwrap.dedent(inspect.getsource(LOSSES[name]))).body
    assert isinstance(cls, ast.ClassDef)
    (make,) = [node for node in cls.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    assert [argument.arg for argument in make.args.kwonlyargs] == settings_of(name)
    assert all(argument.annotation for argument in make.args.kwonlyargs) and make.args.kwarg is None


@EVERY
def test_the_docstring_has_every_setting_with_its_range(name: str) -> None:
    documented = dict(re.findall(r"^ {8}(\w+): (.*)$", LOSSES[name].__doc__ or "", re.MULTILINE))
    assert list(documented) == settings_of(name)
    for setting, span in ranges_of(LOSSES[name]).items():
        if setting in documented and setting != "seed":
            low, high = re.findall(r"\((?:each )?([-\d.e]+) to ([-\d.e]+)", documented[setting])[0]
            assert (float(low), float(high)) == pytest.approx((span.low, span.high), rel=1e-6)


def test_the_defaults_of_suprank_are_stated_once_more_in_each_loss() -> None:
    for name in ("sup_ap", "sup_hap", "sup_ndcg", "sup_recall"):
        loss = example(name)
        assert {key: getattr(loss, key) for key in asdict(SupRankSettings())} == asdict(SupRankSettings())


class Trained(nn.Module):
    """A network with its loss inside."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(DIM, DIM), nn.ReLU(), nn.Linear(DIM, DIM))
        self.loss = example(name)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        value: Tensor = self.loss(nn.functional.normalize(self.net(images), dim=1), labels)
        return value * 2.0


def gradients(model: nn.Module, trained: Trained, *inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
    value = model(*inputs)
    return value.detach(), list(torch.autograd.grad(value, list(trained.parameters())))


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


# Of torch itself, wherever a graph ends at a tensor with a gradient; shown to nobody unless warnings are errors.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("name", ["sup_hap", "triplet", "csl"])
def test_a_compiled_model_leaves_its_graph_once_for_the_loss(name: str) -> None:
    trained, inputs = Trained(name), batch(12, dtype=torch.float32)
    expected = gradients(trained, trained, *inputs)
    compiled = torch.compile(trained, backend="eager")
    for _ in range(3):
        found = gradients(compiled, trained, *inputs)
        assert torch.equal(found[0], expected[0]) and all(map(torch.equal, found[1], expected[1]))
    assert sum(counters["graph_break"].values()) == 1 and counters["stats"]["unique_graphs"] == 2


@EVERY
def test_torch_func_gives_the_gradient_or_one_line(name: str) -> None:
    loss, (embeddings, labels) = example(name), batch(9)
    try:
        assert torch.equal(
            torch.func.grad(lambda rows: loss(rows, labels))(embeddings), gradient(loss, embeddings, labels)
        )
    except HgldError as error:
        assert "torch.func.grad and vmap do not support this loss" in str(error)
    with pytest.raises(HgldError, match="one call per batch"):
        torch.func.vmap(lambda rows: loss(rows, labels))(embeddings[None])


@pytest.mark.parametrize("name", PROXIES)
def test_proxies_are_trained_under_distributed_data_parallel(name: str) -> None:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        loss = example(name)
        (weight,) = loss.parameters()
        expected = torch.autograd.grad(loss(*batch(9)), weight)[0]
        torch.autograd.backward(DistributedDataParallel(loss)(*batch(9)))
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, expected)
    finally:
        distributed.destroy_process_group()


def test_errors_of_torch_stay_errors_of_torch() -> None:
    class Broken(SupHAP):
        def per_query(self, inputs: Any) -> Tensor:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        Broken()(*batch(4))


def test_lists_are_refused_with_one_line() -> None:
    rows: Any = batch(4)[0].tolist()
    with pytest.raises(HgldError, match="embeddings must be a torch tensor or a NumPy array; got list"):
        SupHAP()(rows, batch(4)[1])
