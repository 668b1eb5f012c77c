"""Cross-fitted fusion, and its table of accuracies."""

import numpy as np
import pytest

from hgld.hierarchy.fusion.ablation import FUSED, ablation_table, cross_fit_fusion
from tests.hierarchy.fusion.synthetic_evidence import synthetic_evidence


def test_fused_evidence_is_better_than_each_and_a_known_row_does_not_see_its_own_label() -> None:
    rows, names = 600, [f"n{number}" for number in range(600)]
    evidence = {
        name: synthetic_evidence(seed, rows, 6, 0.75)[0] for seed, name in ((1, "class"), (2, "image"), (3, "name"))
    }
    truth = synthetic_evidence(1, rows, 6, 0.75)[1]
    probabilities, weights = cross_fit_fusion(evidence, truth, names)
    table = ablation_table(probabilities, truth)
    alone = [table[name]["accuracy"] for name in evidence]
    assert table[FUSED]["accuracy"] > max(alone) + 0.05
    assert table[FUSED]["ece"] < 0.06
    assert set(weights) == {"class+image+name"}
    changed = truth.copy()
    changed[0] = (truth[0] + 1) % 6
    again, _ = cross_fit_fusion(evidence, changed, names)
    assert again[FUSED][0] == pytest.approx(probabilities[FUSED][0])


def test_weights_are_fitted_per_combination_of_informative_evidence() -> None:
    image, truth = synthetic_evidence(1, 200, 4, 0.8)
    names = [str(number) for number in range(200)]
    partial = np.full_like(image, 0.25)
    partial[:100] = image[:100]
    probabilities, weights = cross_fit_fusion({"image": image, "class": partial}, truth, names)
    assert set(weights) == {"image", "class+image"}
    assert (probabilities[FUSED][100:].argmax(axis=1) == image[100:].argmax(axis=1)).all()


def test_without_informative_evidence_the_fusion_is_uniform() -> None:
    uniform = np.full((200, 4), 0.25)
    names = [str(number) for number in range(200)]
    probabilities, weights = cross_fit_fusion({"image": uniform}, np.zeros(200, dtype=np.int64), names)
    assert weights == {} and (probabilities[FUSED] == 0.25).all()


def test_rows_without_information_count_as_wrong_but_not_where_it_speaks() -> None:
    evidence = np.array([[0.9, 0.1], [0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    row = ablation_table({"name": evidence}, np.array([0, 1, 0, -1]))["name"]
    assert (row["speaks"], row["accuracy"], row["accuracy_where_it_speaks"]) == (0.6667, 0.3333, 0.5)
    assert ablation_table({"name": evidence}, np.full(4, -1))["name"]["ece"] is None
