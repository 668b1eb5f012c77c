"""The published baselines, in which images vote for labels."""

import numpy as np

from hgld.hierarchy.fusion.voting_baselines import neighbour_votes, prompt_votes, vote_fractions


def test_an_image_votes_for_the_nearest_prompt_and_ties_go_to_the_first() -> None:
    images = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [2**-0.5, 2**-0.5]])
    assert prompt_votes(images, np.eye(2)).tolist() == [0, 1, 1, 0]


def test_fractions_leave_out_categories_without_votes() -> None:
    names, fractions, counts = vote_fractions(np.array([0, 1, 1, -1]), ["a", "a", "b", "c"], 2)
    assert (names, fractions.tolist(), counts.tolist()) == (["a", "b"], [[0.5, 0.5], [0.0, 1.0]], [2, 1])


def test_neighbours_are_images_of_other_landmarks() -> None:
    images = np.array([[1.0, 0.0], [1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    known = np.array([0, 0, 1, 1])
    votes = neighbour_votes(images, ["a", "a", "b", "c"], known, 2, 1)
    assert votes.tolist() == [1, 1, 0, 1]
    assert neighbour_votes(images, ["a"] * 4, known, 2, 3).tolist() == [-1] * 4
    assert neighbour_votes(images, ["a", "a", "b", "c"], np.full(4, -1), 2, 3).tolist() == [-1] * 4


def test_of_two_equally_frequent_labels_that_of_the_nearest_image_wins() -> None:
    images = np.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
    assert neighbour_votes(images, ["a", "b", "c"], np.array([-1, 0, 1]), 2, 2)[0] == 1
