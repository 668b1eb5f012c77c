"""The benchmark of the metrics runs, and its plain transcription says the same as `evaluate`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.speed import metrics as speed_metrics


def test_the_plain_transcription_agrees() -> None:
    case = replace(speed_metrics.SMALL, queries=20, items=400, dimension=16, classes=(20, 4))
    sides = speed_metrics.drawn(case)
    plain, ours = speed_metrics.plain(*sides), evaluate(*sides, metrics=case.metrics)
    assert set(plain) == set(case.metrics)
    for name, value in plain.items():
        assert ours[name].fillna(0.0).mean() == pytest.approx(value, abs=1e-5), name


def test_a_case_is_measured() -> None:
    case = replace(speed_metrics.SMALL, queries=8, items=100, dimension=8, classes=(20, 4))
    row = speed_metrics.measure(case, repeats=1)
    assert row.seconds > 0
    assert row.ratio is not None and row.ratio > 0
