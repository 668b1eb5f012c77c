"""Class-averaged metrics: by hand, by name, and as `hgld benchmark` reports them."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.metrics.macro import check_metric, macro_mean
from hgld.foundation.errors import HgldError

NAN = float("nan")


def test_every_class_counts_once() -> None:
    """Class 4 has three queries (mean 0.6), class 9 one (0.2); the query without a label and the undefined one none."""
    values = pd.Series([0.9, 0.6, 0.3, 0.2, 1.0, NAN])
    classes = pd.Series([4, 4, 4, 9, -1, 7])
    assert macro_mean(values, classes) == pytest.approx((0.6 + 0.2) / 2)
    assert macro_mean(values[3:4], classes[3:4]) == pytest.approx(0.2)
    assert pd.isna(macro_mean(values[4:], classes[4:]))


def test_equal_to_the_mean_where_classes_have_equally_many_queries() -> None:
    values = pd.Series(range(12), dtype=float)
    assert macro_mean(values, pd.Series([0, 1, 2] * 4)) == pytest.approx(values.mean())


@pytest.mark.parametrize("name", ["H-AP", "AP_l1 macro", "NDCG@10 macro", "H-AP macro", "mAP@100_l0 macro"])
def test_names_that_exist(name: str) -> None:
    check_metric(name, 2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("AP_l0 marco", "unknown metric 'AP_l0 marco'; did you mean 'AP_l0 macro'"),
        ("AP_l0 Macro", "did you mean 'AP_l0 macro'"),
        ("AP_l0  macro", "did you mean 'AP_l0 macro'"),
        ("AP_lO macro", "unknown metric 'AP_lO'; did you mean 'AP_l0'"),
        ("AP_l7 macro", "level 7 does not exist"),
        ("ties macro", "unknown metric 'ties macro'"),
        ("macro", "unknown metric 'macro'"),
    ],
)
def test_names_that_do_not_exist(name: str, message: str) -> None:
    with pytest.raises(HgldError, match=message):
        check_metric(name, 2)


def test_a_mean_over_classes_has_no_value_per_query() -> None:
    with pytest.raises(HgldError, match=r"'AP_l0 macro' is a mean over classes, it has no value per query: .* 'AP_l0'"):
        evaluate(torch.eye(3), torch.tensor([[0], [0], [1]]), metrics=["AP_l0 macro"])
