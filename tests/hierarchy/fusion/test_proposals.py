"""CLIP zero-shot proposals: the softmax, ties, and independence of the order."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.foundation.errors import HgldError
from hgld.hierarchy.fusion.proposals import accepted, label_vectors, mean_probabilities, propose, top_two


def _softmax(row: list[float], temperature: float) -> list[float]:
    powers = [math.exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def _of_one_image(similarities: list[float], temperature: float) -> list[float]:
    """The probabilities of an image with these similarities to orthogonal labels."""
    labels = np.eye(len(similarities))
    _, probabilities, _ = mean_probabilities(np.array([similarities]), ["a"], labels, temperature)
    return probabilities[0].tolist()


def test_one_image_has_the_softmax_of_its_similarities() -> None:
    row = [0.3, 0.1, -0.2]
    assert _of_one_image(row, 0.05) == pytest.approx(_softmax(row, 0.05))


def test_a_tiny_temperature_does_not_overflow() -> None:
    assert _of_one_image([1.0, -1.0], 1e-6) == [1.0, 0.0]


def test_the_vector_of_a_label_is_the_normalised_mean_of_its_prompts() -> None:
    prompts = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    names, vectors = label_vectors(prompts, ["tower", "tower", "lake"])
    assert names == ["lake", "tower"]
    assert vectors.tolist() == [[0, 1], pytest.approx([math.sqrt(0.5)] * 2)]


def test_probabilities_of_images_are_averaged_not_counted_as_votes() -> None:
    images = np.array([[1, 0], [0.6, 0.8], [0.6, 0.8]])
    names, probabilities, counts = mean_probabilities(images, ["a", "a", "a"], np.eye(2), 0.1)
    expected = (np.array(_softmax([1, 0], 0.1)) + 2 * np.array(_softmax([0.6, 0.8], 0.1))) / 3
    assert (names, counts.tolist()) == (["a"], [3])
    assert probabilities[0].tolist() == pytest.approx(expected.tolist())


def test_the_margin_is_the_lead_over_the_runner_up() -> None:
    table = propose(["x"], np.array([[0.2, 0.5, 0.3]]), np.array([4]), ["a", "b", "c"], "model")
    row = table.iloc[0]
    assert (row["hierarchical_label"], row["score"], row["margin"], row["runner_up"]) == ("b", 0.5, 0.2, "c")
    assert (row["images"], row["evidence"]) == (4, "model: 4 images")


def test_scores_equal_to_four_decimals_go_to_the_first_label() -> None:
    table = propose(["x"], np.array([[0.25, 0.375 + 1e-9, 0.375]]), np.array([1]), ["a", "b", "c"], "model")
    assert tuple(table.iloc[0][["hierarchical_label", "runner_up", "margin"]]) == ("b", "c", 0.0)
    assert table.iloc[0]["evidence"] == "model: 1 image"


@pytest.mark.parametrize("rows", [0, 1, 50])
def test_the_top_two_are_those_of_a_sort_of_each_row(rows: int) -> None:
    probabilities = np.random.default_rng(rows).dirichlet(np.ones(5), size=rows).round(1)
    best, score, margin, runner_up = top_two(probabilities)
    for row, values in enumerate(probabilities.tolist()):
        first, second = sorted(range(5), key=lambda column: (-values[column], column))[:2]
        assert (best[row], runner_up[row], score[row]) == (first, second, values[first])
        assert margin[row] == round(values[first] - values[second], 4)


def test_fewer_than_two_labels_are_an_error() -> None:
    with pytest.raises(HgldError, match="at least two labels"):
        propose(["x"], np.array([[1.0]]), np.array([1]), ["a"], "model")


def test_a_proposal_that_equals_both_thresholds_is_accepted() -> None:
    table = propose(list("xyz"), np.array([[0.6, 0.3], [0.6, 0.4], [0.5, 0.1]]), np.ones(3, int), ["a", "b"], "m")
    assert accepted(table, 0.6, 0.3).tolist() == [True, False, False]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(2, 6), st.randoms(use_true_random=False))
def test_proposals_do_not_depend_on_the_order_of_images(count: int, labels: int, random) -> None:
    rng = np.random.default_rng(count)
    images, vectors = rng.normal(size=(count, 5)), rng.normal(size=(labels, 5))
    categories = [f"category {index % 3}" for index in range(count)]
    names = [f"label {index}" for index in range(labels)]

    def proposals(order: list[int]):
        probabilities = mean_probabilities(images[order], [categories[index] for index in order], vectors, 0.7)
        return propose(*probabilities, names, "model")

    order = list(range(count))
    expected = proposals(order)
    random.shuffle(order)
    assert proposals(order).equals(expected)
    assert ((expected["score"] >= expected["margin"]) & (expected["score"] <= 1)).all()
