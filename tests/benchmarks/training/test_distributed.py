"""Two real processes over gloo against one: values, gradients after averaging, uneven shards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.training.distributed import gather, own_queries, world_size
from hgld.foundation.errors import HgldError
from tests.benchmarks.training import two_processes as case

WORLD = 2


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each process found; all of them have ended afterwards, however it went."""
    folder = tmp_path_factory.mktemp("processes")
    loopback = {"linux": "lo", "darwin": "lo0"}.get(sys.platform)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if loopback:
        environment["GLOO_SOCKET_IFNAME"] = loopback
    logs = [folder / f"{rank}.log" for rank in range(WORLD)]
    processes = []
    try:
        for rank, log in enumerate(logs):
            command = [sys.executable, case.__file__, str(rank), str(WORLD), str(folder)]
            with log.open("w") as out:
                processes.append(
                    subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
                )
        ended = [process.wait(timeout=2 * case.TIMEOUT) for process in processes]
    except subprocess.TimeoutExpired:
        ended = [-1]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert not any(ended), "\n".join(f"{log.name}:\n{log.read_text()[-3000:]}" for log in logs)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(WORLD)]


def alone(name: str, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """Value and gradients of one process with the whole batch."""
    model = case.network(dtype)
    inputs, labels = case.batch(dtype)
    value = LOSSES[name]()(case.embed(model, inputs), labels)
    value.backward()  # type: ignore[no-untyped-call]
    return case.outcome(model, value)


def assert_same(found: dict[str, Any], expected: dict[str, Any], within: float) -> None:
    """Values, and gradients relative to the largest of them."""
    torch.testing.assert_close(found["value"], expected["value"], atol=within, rtol=0)
    largest = max(float(g.abs().max()) for g in expected["gradients"])
    assert largest > 0
    for ours, theirs in zip(found["gradients"], expected["gradients"], strict=True):
        torch.testing.assert_close(ours, theirs, atol=within * largest, rtol=0)


@pytest.mark.parametrize("shards", case.SHARDS)
@pytest.mark.parametrize("way", [*(f"whole/{n}" for n in case.WHOLE), *(f"own/{n}" for n in case.RANKED)])
def test_two_processes_equal_one(results: list[dict[str, Any]], shards: str, way: str) -> None:
    expected = alone(way.split("/")[1])
    for result in results:
        assert_same(result[shards][way], expected, within=1e-9)


@pytest.mark.parametrize("way", [f"{w}/{name}" for w in ("whole", "own") for name in case.RANKED])
def test_two_processes_equal_one_in_float32(results: list[dict[str, Any]], way: str) -> None:
    expected = alone(way.split("/")[1], torch.float32)
    for result in results:
        assert_same(result["float32"][way], expected, within=1e-6)


@pytest.mark.parametrize("shards", [name for name, sizes in case.SHARDS.items() if min(sizes)])
def test_gradient_caching_below_the_gathered_loss(results: list[dict[str, Any]], shards: str) -> None:
    expected = alone("sup_hap")
    for result in results:
        assert_same(result[shards]["cached"], expected, within=1e-9)


@pytest.mark.parametrize("shards", case.SHARDS)
def test_every_process_holds_the_same_memory(results: list[dict[str, Any]], shards: str) -> None:
    first, second = (result[shards]["memory"] for result in results)
    assert torch.equal(first, second)
    assert first[:, -3].tolist() == case.batch()[1].repeat(2, 1)[-20:, 0].roll(8).tolist()


def test_processes_that_disagree_are_told(results: list[dict[str, Any]]) -> None:
    assert {result["refused"] for result in results} == {
        "the processes disagree on width and levels (4 and 1, 5 and 1): start all with the same settings"
    }


def test_half_precision_is_gathered_in_float32(results: list[dict[str, Any]]) -> None:
    assert {result["bfloat16"] for result in results} == {torch.float32}


def test_one_process_is_the_identity() -> None:
    inputs, labels = case.batch()
    assert world_size() == 1
    rows, names = gather(inputs, labels)
    assert rows is inputs
    assert names is labels


@pytest.mark.parametrize("name", case.RANKED)
def test_own_queries_of_one_process_are_the_loss(name: str) -> None:
    model = case.network()
    inputs, labels = case.batch()
    value = own_queries(LOSSES[name](reduction="none"), case.embed(model, inputs), labels)
    value.backward()  # type: ignore[no-untyped-call]
    assert_same(case.outcome(model, value), alone(name), within=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: gather(x, y[:3]), "one row of labels each"),
        (lambda x, y: gather(x[0], y), "one row of labels each"),
        (lambda x, y: gather(x, x), "must be integers"),
        (lambda x, y: own_queries(LOSSES["sup_ap"](), x, y), 'needs a loss with reduction="none"'),
    ],
)
def test_what_is_refused(call: Callable[[Tensor, Tensor], object], message: str) -> None:
    with pytest.raises(HgldError, match=message):
        call(*case.batch())
