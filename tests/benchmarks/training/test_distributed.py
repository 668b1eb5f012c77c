"""Two real processes under torchrun against one: losses, gradients, unequal shards, memory, and the whole training."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import torch
from torch import Tensor

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.models.network import load_checkpoint
from hgld.benchmarks.training import train
from hgld.benchmarks.training.distributed import gather, process_group, world_size
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from tests.benchmarks.conftest import make_world, tiny
from tests.benchmarks.training import failing_process
from tests.benchmarks.training import two_processes as case
from tests.benchmarks.training.test_checkpoint import write_params

TIMEOUT = 120  # seconds


class Training(NamedTuple):
    """Final weights, losses by epoch, and the H-AP of the validations."""

    weights: dict[str, Tensor]
    losses: list[float]
    scores: list[float]

    @classmethod
    def read(cls, folder: Path) -> Training:
        network = load_checkpoint(folder / "model.pt").network
        curves = pd.read_csv(folder / "curves.csv")
        scores = curves["H-AP"].tolist() if "H-AP" in curves else []
        return cls(network.state_dict(), curves["loss"].tolist(), scores)


class Results(NamedTuple):
    """The outcomes of each process, what they printed, and by name the training of one and of two processes."""

    processes: list[dict[str, Any]]
    printed: str
    one: dict[str, Training]
    two: dict[str, Training]


def run_torchrun(script: str | None, *arguments: str) -> tuple[int, str, str]:
    """Run a script in two processes; -> exit code and output. All of them have ended afterwards."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if loopback := {"linux": "lo", "darwin": "lo0"}.get(sys.platform):
        environment["GLOO_SOCKET_IFNAME"] = loopback
    launcher = str(Path(sys.executable).with_name("torchrun"))
    process = subprocess.Popen(
        [launcher, "--standalone", "--nproc-per-node", "2", str(script), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun ends its processes
        out, err = process.communicate()
    return process.returncode, out, err


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Results:
    """One launch for all tests, as starting the processes takes longer than any of them."""
    folder = tmp_path_factory.mktemp("processes")
    one, two = {}, {}
    for name, change in case.TRAININGS.items():
        params = tiny(settings, lr=1e-4, memory=30, epochs=1, **change)
        with pytest.MonkeyPatch.context() as patch:
            (folder / name).mkdir()
            patch.chdir(folder / name)
            make_world(params.data)
            write_params(params, Path())
            train.run(params)
            one[name] = Training.read(params.data / "train")
    code, printed, errors = run_torchrun(case.__file__, str(folder))
    assert code == 0, errors[-6000:]
    for name in case.TRAININGS:
        two[name] = Training.read(folder / name / settings.data / "train")
    processes = [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]
    return Results(processes, printed, one, two)


def single_process(name: str, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """Value and gradients of one process with the whole batch."""
    model = case.network(dtype)
    inputs, labels = case.batch(dtype)
    value = LOSSES[name]()(case.embed(model, inputs), labels)
    value.backward()  # type: ignore[no-untyped-call]
    return case.outcome(model, value)


def assert_same(result: dict[str, Any], expected: dict[str, Any], within: float) -> None:
    """Compare values, and gradients relative to the largest of them."""
    torch.testing.assert_close(result["value"], expected["value"], atol=within, rtol=0)
    largest = max(float(g.abs().max()) for g in expected["gradients"])
    assert largest > 0
    for ours, theirs in zip(result["gradients"], expected["gradients"], strict=True):
        torch.testing.assert_close(ours, theirs, atol=within * largest, rtol=0)


@pytest.mark.parametrize("shards", case.SHARDS)
@pytest.mark.parametrize("name", case.NAMES)
def test_losses_of_two_processes_equal_those_of_one(results: Results, shards: str, name: str) -> None:
    for process in results.processes:
        assert process["world"] == 2
        assert_same(process[shards][name], single_process(name), within=1e-9)


@pytest.mark.parametrize("name", case.NAMES)
def test_losses_of_two_processes_equal_those_of_one_in_float32(results: Results, name: str) -> None:
    for process in results.processes:
        assert_same(process["float32"][name], single_process(name, torch.float32), within=1e-6)


@pytest.mark.parametrize("shards", [name for name, sizes in case.SHARDS.items() if min(sizes)])
def test_gradient_caching_works_below_the_gathered_loss(results: Results, shards: str) -> None:
    for process in results.processes:
        assert_same(process[shards]["cached"], single_process("sup_hap"), within=1e-9)


@pytest.mark.parametrize("shards", case.SHARDS)
def test_every_process_holds_the_same_memory(results: Results, shards: str) -> None:
    first, second = (process[shards]["memory"] for process in results.processes)
    assert torch.equal(first, second)
    assert first[:, -3].tolist() == case.batch()[1].repeat(2, 1)[-20:, 0].roll(8).tolist()


def test_different_widths_are_an_error_on_every_process(results: Results) -> None:
    assert {process["different widths"] for process in results.processes} == {
        "embedding width and number of levels differ between processes (4 and 1, 5 and 1); "
        "start all of them with the same settings"
    }


def test_half_precision_is_gathered_in_float32(results: Results) -> None:
    assert {process["bfloat16"] for process in results.processes} == {torch.float32}


@pytest.mark.parametrize("training", case.TRAININGS)
def test_training_by_two_processes_equals_that_by_one(results: Results, training: str) -> None:
    one, two = results.one[training], results.two[training]
    assert two.losses == pytest.approx(one.losses, abs=1e-4)
    assert two.scores == pytest.approx(one.scores, abs=1e-3)
    assert bool(one.scores) == (training == "parts")
    for name, weights in one.weights.items():
        # Adam normalises the gradient: where it is zero up to rounding, a step of lr may go either way.
        assert (weights - two.weights[name]).abs().mean() < 1e-5, name


def test_one_process_reports_a_training(results: Results) -> None:
    assert results.printed.count("images, loss") == len(case.TRAININGS)


@pytest.mark.parametrize(
    ("how", "first"),
    [
        (
            "killed",
            "Error: process 0 of 2: the connection to another process is lost; it has failed or was killed, and",
        ),
        ("raises", "process 1 of 2 failed: ValueError: one of two lines"),
    ],
)
def test_failing_process_is_reported_in_one_line_before_all_others(
    tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch, how: str, first: str
) -> None:
    params = tiny(settings, epochs=4)
    monkeypatch.chdir(tmp_path)
    make_world(params.data)
    write_params(params, tmp_path)
    code, _, errors = run_torchrun(failing_process.__file__, str(tmp_path), how)
    lines = [line for line in errors.splitlines() if not line.startswith("train:")]
    assert code == 1
    assert lines[0].startswith(first), errors
    own = errors[: errors.index("torch/distributed/") if "torch/distributed/" in errors else None]
    assert own.count("Traceback") == (how == "raises")
    assert (params.data / "training" / "state.pt").exists()


def test_one_process_is_the_identity() -> None:
    inputs, labels = case.batch()
    assert world_size() == 1
    rows, row_labels = gather(inputs, labels)
    assert rows is inputs
    assert row_labels is labels


def test_without_the_address_of_the_others_no_process_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with (
        pytest.raises(
            HgldError, match=r"process 0 of 2: cannot reach .*MASTER_ADDR.*; start all of them with torchrun"
        ),
        process_group(),
    ):
        pass


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: gather(x, y[:3]), "one row of labels each"),
        (lambda x, y: gather(x[0], y), "one row of labels each"),
        (lambda x, y: gather(x, x), "must be integers"),
    ],
)
def test_wrong_arguments_are_errors(call: Callable[[Tensor, Tensor], object], message: str) -> None:
    with pytest.raises(HgldError, match=message):
        call(*case.batch())
