"""Class names as evidence."""

import numpy as np
import pytest

from hgld.hierarchy.names.class_evidence import (
    align_labels,
    best_class_by_name,
    mean_by_category,
    propose_classes,
)
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.name_rules import build_name_rules
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy


def test_aligned_probabilities_drop_labels_and_sum_to_one():
    aligned = align_labels(np.array([[0.2, 0.2, 0.6], [0.0, 0.0, 1.0]]), ["a", "b", "c"], ["b", "a", "d"])
    assert aligned.sum(axis=1) == pytest.approx(1.0)
    assert aligned[0] == pytest.approx([0.5, 0.5, 0.0], abs=1e-6)
    assert aligned[1] == pytest.approx([1 / 3] * 3)


def test_a_category_has_the_mean_of_its_informative_classes():
    probabilities = {"Q1": np.array([0.8, 0.2]), "Q2": np.array([0.4, 0.6])}
    means = mean_by_category(["x", "y"], {"x": ["Q2", "Q1", "Q3"], "y": ["Q3"]}, probabilities, 2)
    assert means.tolist() == [pytest.approx([0.6, 0.4]), [0.5, 0.5]]


def test_a_class_without_a_lead_has_no_proposal():
    rows = np.array([[0.7, 0.3], [0.5, 0.5]])
    table = propose_classes(["Q1", "Q2"], ["loch", "thing"], rows, ["a", ""], ["lake", "zoo"], {"Q1": 3})
    assert table.to_numpy().tolist() == [["Q1", "loch", "lake", 0.7, 0.4, "a", 3]]


def test_the_class_name_with_the_lowest_precedence_decides():
    taxonomy = load_taxonomy()
    rules = build_name_rules(load_class_names(), taxonomy)
    match = best_class_by_name({"Q1": "hydraulic sawmill", "Q2": "xyzzy", "Q3": "chapel of ease"}, rules, taxonomy)
    assert match is not None
    assert (match[0], match[1].hierarchical_label) == ("Q3", "church")
    assert best_class_by_name({"Q2": "xyzzy"}, rules, taxonomy) is None
