"""The precision from the controls: known intervals, exact coverage, and a simulated campaign of 200 runs."""

from __future__ import annotations

import math
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hgld.hierarchy.curation.quality.precision import (
    Precision,
    clopper_pearson,
    confirmations,
    corrected_precision,
    precision_by_source,
    total_precision,
    wilson,
)

RUNS = 200
# A coverage of 95 % gives fewer than 183 of 200 in 1 % of all cases: 190 - 2.33 sqrt(200 × 0.95 × 0.05).
LEAST_COVERED = 183
PRECISIONS = (0.9, 0.99)
ACCEPTED = pd.Series({"clip": 1000, "wikidata": 3000})
SHIFT = {"clip": -0.015, "wikidata": 0.005}  # of the precision of each source; their weighted mean is 0
LABELS = 78


def _rows(*rows: tuple[str, str, str, str, str]) -> pd.DataFrame:
    columns = ["category", "hierarchical_label", "suggested_label", "suggested_by", "annotator"]
    return pd.DataFrame(rows, columns=columns, dtype="str").assign(decided_on="2026-01-03")


def _accepted(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["category", "suggested_label", "suggested_by"], dtype="str")


@pytest.mark.parametrize(("successes", "count"), [(0, 5), (5, 5), (9, 10), (297, 300)])
def test_the_interval_is_wilsons(successes: int, count: int) -> None:
    expected = stats.binomtest(successes, count).proportion_ci(method="wilson")
    assert wilson(successes, count) == pytest.approx((expected.low, expected.high), abs=1e-6)


@pytest.mark.parametrize(("successes", "count"), [(0, 5), (5, 5), (9, 10), (297, 300)])
def test_the_exact_interval_is_clopper_and_pearsons(successes: int, count: int) -> None:
    expected = stats.binomtest(successes, count).proportion_ci(0.975, method="exact")
    assert clopper_pearson(successes, count, 0.975) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_only_controls_with_the_label_of_now_count() -> None:
    accepted = _accepted(("a", "lake", "clip"), ("b", "lake", "clip"), ("c", "cave", "wikidata"), ("d", "cave", "clip"))
    verdicts = _rows(
        ("a", "lake", "lake", "clip", "ana"),
        ("a", "", "lake", "clip", "ben"),
        ("b", "lake", "cave", "clip", "ana"),  # another label was suggested then
        ("c", "cave", "cave", "clip", "ana"),  # of another source then
        ("d", "cave", "cave", "clip", "ana"),  # no control
        ("a", "lake", "lake", "", "eve"),  # saw no suggestion
    )
    judged = confirmations(verdicts, accepted, {"a", "b", "c"})
    assert judged[["category", "source", "confirmed"]].to_numpy().tolist() == [
        ["a", "clip", 0.5], ["c", "wikidata", 1.0],
    ]  # fmt: skip
    assert judged["agreement"].fillna(-1).to_list() == [0.0, -1.0]


def test_of_one_annotator_the_newest_verdict_counts() -> None:
    verdicts = _rows(("a", "", "lake", "clip", "ana"), ("a", "lake", "lake", "clip", "ana"))
    judged = confirmations(verdicts, _accepted(("a", "lake", "clip")), {"a"})
    assert judged["confirmed"].to_list() == [1.0]
    assert judged["agreement"].isna().all()


def test_nothing_judged_is_nan() -> None:
    judged = confirmations(_rows(), _accepted(("a", "lake", "clip")), {"a"})
    for row in (
        *precision_by_source(judged, ACCEPTED),
        total_precision(judged, ACCEPTED),
        corrected_precision(judged, ACCEPTED),
    ):
        assert math.isnan(row.estimate) and math.isnan(row.low) and math.isnan(row.high)
    nothing = total_precision(judged, ACCEPTED.iloc[:0])
    assert (nothing.labels, nothing.controls, math.isnan(nothing.estimate)) == (0, 0, True)


def test_the_total_is_nan_where_a_source_was_not_judged() -> None:
    judged = confirmations(_rows(("a", "lake", "lake", "clip", "ana")), _accepted(("a", "lake", "clip")), {"a"})
    assert math.isnan(total_precision(judged, ACCEPTED).low)


def _judged(**outcomes: tuple[int, int]) -> pd.DataFrame:
    """Controls of each source: (confirmed, judged)."""
    rows = [(source, float(row < yes)) for source, (yes, count) in outcomes.items() for row in range(count)]
    return pd.DataFrame(rows, columns=["source", "confirmed"])


def test_the_total_of_one_source_is_exact() -> None:
    total = total_precision(_judged(clip=(45, 50)), ACCEPTED[["clip"]])
    assert (total.estimate, total.low, total.high) == pytest.approx((0.9, *clopper_pearson(45, 50)))


def test_sources_weigh_by_their_accepted_labels() -> None:
    total = total_precision(_judged(clip=(10, 20), wikidata=(40, 40)), ACCEPTED)
    assert (total.labels, total.controls, total.estimate) == (4000, 60, 0.875)
    low = 0.875 - math.hypot(0.25 * (0.5 - clopper_pearson(10, 20)[0]), 0.75 * (1 - clopper_pearson(40, 40)[0]))
    assert total.low == pytest.approx(low)


@pytest.mark.parametrize("truth", PRECISIONS)
@pytest.mark.parametrize("sizes", [(150, 150), (50, 250), (50, 50)])
def test_the_stratified_interval_covers_exactly(truth: float, sizes: tuple[int, int]) -> None:
    """Over all outcomes, each with its probability: without the noise of a simulation."""
    odds = [
        stats.binom.pmf(np.arange(size + 1), size, truth + SHIFT[str(name)])
        for size, name in zip(sizes, ACCEPTED.index, strict=True)
    ]
    coverage = 0.0
    for clip, wikidata in product(*(np.flatnonzero(column > 1e-4) for column in odds)):
        judged = _judged(clip=(clip, sizes[0]), wikidata=(wikidata, sizes[1]))
        total = total_precision(judged, ACCEPTED)
        coverage += float(odds[0][clip] * odds[1][wikidata]) * (total.low <= truth <= total.high)
    assert coverage >= 0.95


def _campaign(seed: int, truth: float, errors: float) -> pd.DataFrame:
    """The `confirmations` of 300 verdicts on 250 controls, half of each source: all three annotators judge 25."""
    generator = np.random.default_rng(seed)
    accepted, verdicts = [], []
    for number in range(250):
        source = str(ACCEPTED.index[number % 2])
        true = int(generator.integers(LABELS))
        correct = generator.random() < truth + SHIFT[source]
        suggested = true if correct else _other(true, generator)
        accepted.append((str(number), str(suggested), source))
        for annotator in ("ana", "ben", "eve") if number % 10 < 1 else ("ana",):
            label = _other(true, generator) if generator.random() < errors else true
            verdicts.append((str(number), str(label), str(suggested), source, annotator))
    assert len(verdicts) == 300
    table = _accepted(*accepted)
    return confirmations(_rows(*verdicts), table, set(table["category"]))


def _other(label: int, generator: np.random.Generator) -> int:
    """Any label but this one."""
    return (label + 1 + int(generator.integers(LABELS - 1))) % LABELS


@cache
def _runs(truth: float, errors: float) -> list[pd.DataFrame]:
    return [_campaign(seed, truth, errors) for seed in range(RUNS)]


def _covered(results: list[Precision], target: float) -> int:
    """How many intervals contain `target`."""
    return sum(result.low <= target <= result.high for result in results)


def _totals(truth: float, errors: float) -> list[Precision]:
    return [total_precision(judged, ACCEPTED) for judged in _runs(truth, errors)]


@pytest.mark.parametrize("truth", PRECISIONS)
def test_the_corrected_interval_contains_the_truth_with_an_oracle_that_errs(truth: float) -> None:
    assert _covered([corrected_precision(judged, ACCEPTED) for judged in _runs(truth, 0.05)], truth) >= LEAST_COVERED


@pytest.mark.parametrize("truth", PRECISIONS)
def test_the_interval_contains_the_truth_with_an_oracle_that_does_not_err(truth: float) -> None:
    assert _covered(_totals(truth, 0.0), truth) >= LEAST_COVERED


@pytest.mark.parametrize("truth", PRECISIONS)
def test_with_errors_the_interval_is_about_what_annotators_confirm(truth: float) -> None:
    confirmed = 0.95 * truth + 0.05 * (1 - truth) / (LABELS - 1)
    assert _covered(_totals(truth, 0.05), confirmed) >= LEAST_COVERED


def test_uncorrected_the_errors_of_annotators_count_against_the_labels() -> None:
    assert _covered(_totals(0.99, 0.05), 0.99) < RUNS / 2
