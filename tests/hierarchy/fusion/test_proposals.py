"""Zero-shot proposals: the formula, the ties, and that no order matters."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.foundation.errors import HgldError
from hgld.hierarchy.fusion.proposals import accepted, label_vectors, mean_probabilities, propose, softmax


def test_softmax_is_the_formula() -> None:
    row = [0.3, 0.1, -0.2]
    powers = [math.exp(value / 0.05) for value in row]
    expected = [power / sum(powers) for power in powers]
    assert softmax(np.array([row]), 0.05)[0].tolist() == pytest.approx(expected)


def test_softmax_survives_a_tiny_temperature() -> None:
    assert softmax(np.array([[1.0, -1.0]]), 1e-6).tolist() == [[1.0, 0.0]]


def test_a_labels_vector_is_the_mean_of_its_prompts() -> None:
    prompts = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    names, vectors = label_vectors(prompts, ["tower", "tower", "lake"])
    assert names == ["lake", "tower"]
    assert vectors.tolist() == [[0, 1], pytest.approx([math.sqrt(0.5)] * 2)]


def test_an_images_votes_are_averaged_not_counted() -> None:
    vectors = np.eye(2)
    images = np.array([[1, 0], [0.6, 0.8], [0.6, 0.8]])
    names, probabilities, counts = mean_probabilities(images, ["a", "a", "a"], vectors, 0.1)
    expected = (softmax(images[:1], 0.1)[0] + 2 * softmax(images[1:2], 0.1)[0]) / 3
    assert (names, counts.tolist()) == (["a"], [3])
    assert probabilities[0].tolist() == pytest.approx(expected.tolist())


def test_the_margin_is_the_lead_over_the_runner_up() -> None:
    table = propose(["x"], np.array([[0.2, 0.5, 0.3]]), np.array([4]), ["a", "b", "c"], "model")
    row = table.iloc[0]
    assert (row["hierarchical_label"], row["score"], row["margin"], row["runner_up"]) == ("b", 0.5, 0.2, "c")
    assert (row["images"], row["evidence"]) == (4, "model: 4 images")


def test_equal_scores_go_to_the_first_label() -> None:
    table = propose(["x"], np.array([[0.25, 0.375 + 1e-9, 0.375]]), np.array([1]), ["a", "b", "c"], "model")
    assert tuple(table.iloc[0][["hierarchical_label", "runner_up", "margin"]]) == ("b", "c", 0.0)
    assert table.iloc[0]["evidence"] == "model: 1 image"


def test_one_label_is_no_choice() -> None:
    with pytest.raises(HgldError, match="at least two labels"):
        propose(["x"], np.array([[1.0]]), np.array([1]), ["a"], "model")


def test_a_proposal_on_both_thresholds_is_accepted() -> None:
    table = propose(
        list("xyz"), np.array([[0.6, 0.3], [0.6, 0.4], [0.5, 0.1]]), np.ones(3, int), ["a", "b"], "m"
    )
    assert accepted(table, 0.6, 0.3).tolist() == [True, False, False]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(2, 6), st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(number: int, labels: int, random) -> None:
    rng = np.random.default_rng(number)
    images, vectors = rng.normal(size=(number, 5)), rng.normal(size=(labels, 5))
    categories = [f"category {place % 3}" for place in range(number)]
    names = [f"label {place}" for place in range(labels)]

    def proposals(order: list[int]):
        found = mean_probabilities(images[order], [categories[one] for one in order], vectors, 0.7)
        return propose(*found, names, "model")

    order = list(range(number))
    expected = proposals(order)
    random.shuffle(order)
    assert proposals(order).equals(expected)
    assert ((expected["score"] >= expected["margin"]) & (expected["score"] <= 1)).all()
