"""The transcriptions of the published code compute the same as the package, and the table compares them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest
import torch

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.speed import losses as speed_losses
from hgld.benchmarks.speed import metrics as speed_metrics
from hgld.benchmarks.speed.measure import (
    Comparison,
    Measured,
    beside_busy_processes,
    comparison_table,
    measure_in_process,
)
from hgld.foundation.display.text_table import plain


def test_the_transcription_of_the_metrics_equals_evaluate() -> None:
    case = replace(speed_metrics.SMALL, queries=20, items=400, dimension=16, classes=(20, 4))
    sides = speed_metrics.drawn(case)
    means, ours = speed_metrics.plain(*sides), evaluate(*sides, metrics=case.metrics)
    assert set(means) == set(case.metrics)
    for name, value in means.items():
        assert ours[name].fillna(0.0).mean() == pytest.approx(value, abs=1e-5), name


def test_the_transcription_of_suphap_equals_the_loss() -> None:
    case = replace(speed_losses.CASES["SupHAP 384 × 384, 3 levels"], queries=24, items=24, dim=8)
    embeddings, labels = speed_losses.inputs(case)
    loss = LOSSES["sup_hap"](**asdict(speed_losses.PUBLISHED))
    value = speed_losses.dense_hap(embeddings @ embeddings.T, labels, labels)
    torch.testing.assert_close(value, loss(embeddings, labels))


def test_a_case_is_measured_in_its_own_process() -> None:
    case = replace(speed_metrics.SMALL, queries=8, items=100, dimension=8, classes=(20, 4))
    measured = measure_in_process(speed_metrics.published, case, runs=2)
    assert len(measured.runs) == 2
    assert min(measured.runs) <= measured.seconds <= max(measured.runs)


def sleep() -> None:
    time.sleep(0.02)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="stops and continues processes")
def test_a_step_is_also_measured_beside_busy_processes_which_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that only waits needs no core: it takes half of the fair share, which is twice its time alone."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: list[str]) -> subprocess.Popen[bytes]:
        started.append(popen(command))
        return started[-1]

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    assert beside_busy_processes(sleep, runs=5) == pytest.approx(0.5, abs=0.25)
    assert len(started) == len(os.sched_getaffinity(0))
    assert all(process.poll() is not None for process in started)


def test_scaled_measurements_are_compared() -> None:
    ours = Measured(seconds=1.0, cpu_seconds=2.0, runs=[1.0], extra_mb=5.0, busy=1.24)
    slow = Measured(seconds=3.0, cpu_seconds=3.0, runs=[3.0], extra_mb=70.0)
    row = Comparison(case="a case", ours=ours, published=slow, scale=4.0)
    assert (row.ratio, row.cpu_ratio) == (12.0, 6.0)
    assert Comparison(case="too large", ours=ours).ratio is None
    text = plain(comparison_table([row]))
    assert "12.00 s*" in text and "280 MB*" in text and "1.2 ×" in text
