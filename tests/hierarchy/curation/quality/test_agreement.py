"""Agreement of annotators: against the package krippendorff, a slow loop, a published example, and properties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgld.hierarchy.curation.quality.agreement import (
    coincidences,
    confusions,
    hierarchy_distance,
    judged_twice,
    krippendorff_alpha,
    nominal_distance,
    pairwise_agreement,
)

NATURES = {"lake": "natural", "cave": "natural", "church": "human-made", "house": "human-made"}
LABELS = ["", *sorted(NATURES)]

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: 4 observers, 12 units, * is missing.
TEXTBOOK = ["123321412***", "1233224125*3", "*3332342251*", "123324412" + "51*"]
THIRD = 1 / 3
TEXTBOOK_COINCIDENCES = [
    [7, 4 * THIRD, THIRD, THIRD, 0],
    [4 * THIRD, 10, 4 * THIRD, THIRD, 0],
    [THIRD, 4 * THIRD, 8, THIRD, 0],
    [THIRD, THIRD, THIRD, 4, 0],
    [0, 0, 0, 0, 3],
]


def _verdicts(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["annotator", "category", "hierarchical_label"], dtype="str")


def _table(opinions: list[list[str | None]]) -> pd.DataFrame:
    """Verdicts from one list of labels per annotator, by category; None for none."""
    return _verdicts(
        [
            (f"annotator-{number}", f"category {unit}", label)
            for number, labels in enumerate(opinions)
            for unit, label in enumerate(labels)
            if label is not None
        ]
    )


def _alpha(verdicts: pd.DataFrame, *, weighted: bool = False) -> float:
    labels, matrix = coincidences(verdicts)
    return krippendorff_alpha(matrix, hierarchy_distance(labels, NATURES) if weighted else nominal_distance(labels))


def _slow_alpha(opinions: list[list[str | None]], distance) -> float:
    """Krippendorff's definition, pair by pair: D_o within the units, D_e over all pairable values."""
    units = [[label for label in unit if label is not None] for unit in zip(*opinions, strict=True)]
    units = [unit for unit in units if len(unit) > 1]
    values = [label for unit in units for label in unit]
    count = len(values)
    if not count:
        return math.nan
    observed = sum(
        sum(distance(a, b) ** 2 for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in units
    )
    expected = sum(distance(a, b) ** 2 for a, b in itertools.permutations(values, 2))
    return 1 - (observed / count) / (expected / (count * (count - 1))) if expected else math.nan


def _distance(first: str, second: str) -> float:
    if first == second:
        return 0.0
    return 0.5 if first and second and NATURES[first] == NATURES[second] else 1.0


def _same(first: float, second: float) -> bool:
    return (math.isnan(first) and math.isnan(second)) or first == pytest.approx(second, abs=1e-12)


def _random_opinions(seed: int, annotators: int = 3, units: int = 40) -> list[list[str | None]]:
    generator = np.random.default_rng(seed)
    truth = generator.choice(LABELS, units)
    return [
        [
            None if generator.random() < 0.3 else str(label if generator.random() < 0.7 else generator.choice(LABELS))
            for label in truth
        ]
        for _ in range(annotators)
    ]


def test_krippendorffs_textbook_example() -> None:
    verdicts = _table([[None if mark == "*" else mark for mark in row] for row in TEXTBOOK])
    labels, matrix = coincidences(verdicts)
    assert labels == ["1", "2", "3", "4", "5"]
    np.testing.assert_allclose(matrix, TEXTBOOK_COINCIDENCES, atol=1e-12)
    assert matrix.sum() == pytest.approx(40)
    # by hand: 1 - 39 (40 - 32) / (40² - 9² - 13² - 10² - 5² - 3²)
    assert _alpha(verdicts) == pytest.approx(1 - 39 * 8 / 1216, abs=1e-12)
    assert round(_alpha(verdicts), 3) == 0.743


@pytest.mark.parametrize("seed", range(20))
def test_alpha_is_that_of_the_package_krippendorff(seed: int) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    opinions = _random_opinions(seed)
    verdicts = _table(opinions)
    data = np.array([[np.nan if label is None else LABELS.index(label) for label in row] for row in opinions])
    domain = np.arange(len(LABELS), dtype="float64")
    assert _alpha(verdicts) == pytest.approx(
        krippendorff.alpha(data, level_of_measurement="nominal", value_domain=domain), abs=1e-12
    )
    distances = hierarchy_distance(LABELS, NATURES)

    def metric(v1, v2, **others):
        return distances[np.asarray(v1, dtype=int), np.asarray(v2, dtype=int)] ** 2

    weighted = krippendorff.alpha(data, level_of_measurement=metric, value_domain=domain)
    assert _alpha(verdicts, weighted=True) == pytest.approx(weighted, abs=1e-12)


_opinion = st.one_of(st.none(), st.sampled_from(LABELS))
_tables = st.integers(1, 12).flatmap(
    lambda units: st.lists(st.lists(_opinion, min_size=units, max_size=units), min_size=1, max_size=4)
)


@given(_tables)
def test_alpha_is_that_of_the_slow_loop(opinions) -> None:
    verdicts = _table(opinions)
    assert _same(_alpha(verdicts), _slow_alpha(opinions, lambda a, b: float(a != b)))
    assert _same(_alpha(verdicts, weighted=True), _slow_alpha(opinions, _distance))


@given(_tables, st.randoms())
def test_names_of_annotators_and_order_of_rows_do_not_matter(opinions, random) -> None:
    shuffled = list(opinions)
    random.shuffle(shuffled)
    verdicts = _table(shuffled).iloc[::-1]
    for weighted in (False, True):
        assert _same(_alpha(_table(opinions), weighted=weighted), _alpha(verdicts, weighted=weighted))
    assert sorted(pairwise_agreement(_table(opinions))["agreement"].dropna()) == pytest.approx(
        sorted(pairwise_agreement(verdicts)["agreement"].dropna())
    )
    pd.testing.assert_frame_equal(confusions(_table(opinions)), confusions(verdicts))


def test_perfect_agreement_is_one() -> None:
    verdicts = _table([["lake", "church", ""]] * 3)
    assert (_alpha(verdicts), _alpha(verdicts, weighted=True)) == (1.0, 1.0)


def test_systematic_disagreement_is_negative() -> None:
    verdicts = _table([["lake", "church"] * 10, ["church", "lake"] * 10])
    assert _alpha(verdicts) == pytest.approx(1 - 39 * 40 / 800)
    assert _alpha(verdicts, weighted=True) < 0


def test_confusing_labels_of_one_nature_weighs_less() -> None:
    near = _table([["lake", "cave", "church", "house"], ["cave", "cave", "church", "house"]])
    far = _table([["lake", "cave", "church", "house"], ["church", "cave", "church", "house"]])
    assert _alpha(near, weighted=True) > _alpha(far, weighted=True)


@pytest.mark.parametrize(
    "opinions", [[[None]], [["lake", "church"]], [["lake", None], [None, "church"]], [["lake"], ["lake"]]]
)
def test_alpha_is_nan_where_it_is_undefined(opinions) -> None:
    assert math.isnan(_alpha(_table(opinions)))
    assert math.isnan(_alpha(_table(opinions), weighted=True))


def test_pairs_and_confusions_are_counted() -> None:
    verdicts = _table([["lake", "cave", "", None], ["lake", "lake", "church", "lake"], ["cave", None, None, None]])
    assert judged_twice(verdicts) == 3
    pairs = pairwise_agreement(verdicts).to_numpy().tolist()
    assert pairs == [
        ["annotator-0", "annotator-1", 3, pytest.approx(1 / 3)],
        ["annotator-0", "annotator-2", 1, 0.0],
        ["annotator-1", "annotator-2", 1, 0.0],
    ]
    assert confusions(verdicts).to_numpy().tolist() == [["cave", "lake", 3], ["", "church", 1]]


def test_annotators_without_a_common_category_have_no_agreement() -> None:
    pairs = pairwise_agreement(_table([["lake", None], [None, "lake"]]))
    assert pairs["categories"].to_list() == [0]
    assert pairs["agreement"].isna().all()
