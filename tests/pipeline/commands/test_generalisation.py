"""Accuracy of `hgld classify` on names that were not used to develop it."""

import csv
import dataclasses

import pandas as pd
import pytest

from hgld.hierarchy.fusion.proposals import top_two
from hgld.hierarchy.names.class_names import load_class_names, tokenize
from hgld.hierarchy.names.name_classifier import Lexicon, fit_classifier
from hgld.hierarchy.names.name_rules import NameRules, build_name_rules
from hgld.hierarchy.names.name_words import load_name_words
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from tests.held_out import MIN_MISTAKES, accuracy, confusion_shares, fold, labelled, published
from tests.paths import PUBLISHED_LABELS

WITH_PUBLISHED = pytest.mark.skipif(not PUBLISHED_LABELS.is_file(), reason="no published labels beside this checkout")


@WITH_PUBLISHED
def test_held_out_names_reach_the_accuracy_floors(tmp_path):
    """One fold of `python -m tests.held_out`; the floors are a standard error below its result."""
    rows = published()
    test = [row for row in rows if fold(row[0]) == 0]
    training = [row for row in rows if fold(row[0]) != 0]
    result = labelled(training, test, tmp_path)
    assert len(result) > 1500
    assert accuracy(result) >= 0.73
    assert accuracy(result, 0.5) >= 0.912


def test_the_mistakes_of_a_label_are_counted_by_the_rank_of_the_wrong_one() -> None:
    """Two labels with 30 and 20 mistakes; one with fewer than MIN_MISTAKES does not count."""
    mistakes = [("lake", "pond", 15), ("lake", "sea", 10), ("lake", "zoo", 5), ("church", "castle", 12)]
    mistakes += [("church", "house", 8), ("tower", "house", MIN_MISTAKES - 1)]
    rows = [(label, wrong, False) for label, wrong, count in mistakes for _ in range(count)]
    rows += [("lake", "lake", True)] * 9
    result = pd.DataFrame(rows, columns=["published", "hierarchical_label", "correct"])
    assert confusion_shares(result, 4) == [(15 + 12) / 50, (10 + 8) / 50, 5 / 50, 0]


@WITH_PUBLISHED
def test_supercategories_are_labelled_without_their_own_rows():
    """The published supercategories, with their names removed from the lexicon."""
    with PUBLISHED_LABELS.with_name("supercategory_pairs.csv").open(encoding="utf-8") as handle:
        pairs = [(row["supercategory"], row["hierarchical_label"]) for row in csv.DictReader(handle)]
    rules = build_name_rules(load_class_names(), load_taxonomy())
    predictions = [_without(rules, [name]).predict(name) for name, _ in pairs]
    labels = [prediction.hierarchical_label for prediction in predictions]
    unmatched = [index for index, prediction in enumerate(predictions) if not prediction.evidence]
    lexicon = Lexicon(_without(rules, [name for name, _ in pairs]), load_name_words())
    model = fit_classifier([], [], lexicon)
    best = top_two(model.probabilities([pairs[index][0] for index in unmatched])).best
    for index, column in zip(unmatched, best, strict=True):
        labels[index] = model.labels[column]
    correct = [label == truth for label, (_, truth) in zip(labels, pairs, strict=True)]
    assert sum(correct) / len(correct) >= 0.82


def _without(rules: NameRules, names: list[str]) -> NameRules:
    """The rules without these names, with and without their text in parentheses."""
    removed = {tokenize(part) for name in names for part in (name, name.split(" (")[0])}
    return dataclasses.replace(
        rules,
        names={tokens: entry for tokens, entry in rules.names.items() if tokens not in removed},
        anchors={tokens: anchor for tokens, anchor in rules.anchors.items() if tokens not in removed},
    )


# Kinds of places by their English name, listed from memory before the lexicon was consulted; only undisputed labels.
KINDS = {
    "church": ["Romanesque church", "castle chapel", "Baptist church", "pro-cathedral", "filial church", "hall church"],
    "castle / fort": ["hill castle", "promontory fort", "moated castle", "burgwall", "redoubt", "coastal fort"],
    "monastery": ["Franciscan monastery", "charterhouse", "nunnery", "Cistercian abbey", "skete", "commandry"],
    "museum": ["railway museum", "wax museum", "memorial museum", "science center", "diocesan museum"],
    "house": ["burgher house", "machiya", "detached house", "Vierkanthof", "half-timbered house", "vicarage"],
    "school": ["grammar school", "technical university", "lyceum", "medical school", "residential college"],
    "government building": ["county courthouse", "city hall", "police station", "guildhall", "fire station"],
    "sports venue": ["ice hockey arena", "velodrome", "ski jumping hill", "cricket ground", "baseball park"],
    "bridge": ["pontoon bridge", "deck arch bridge", "swing bridge", "extradosed bridge", "Roman bridge"],
    "boat": ["aircraft carrier", "steamship", "museum ship", "tugboat", "boat lift"],
    "factory": ["brickyard", "blast furnace", "cotton mill", "lime kiln", "sugar refinery"],
    "rail transportation": ["narrow-gauge railway", "tram stop", "rack railway", "union station", "monorail"],
    "tower": ["radio mast", "lookout tower", "campanile", "round tower", "water tower"],
    "cemetery": ["passage grave", "charnel house", "war cemetery", "columbarium", "kofun"],
    "mountain": ["massif", "ridge", "mountain range", "valley", "hill"],
    "ocean area ": ["bay", "fjord", "strait", "gulf", "inlet"],
    "parks": ["provincial park", "landscape park", "wildlife refuge", "nature reserve", "urban park"],
    "lake": ["tarn", "loch", "crater lake", "reservoir", "pond"],
    "stairs": ["stairway", "escalator"],
}  # fmt: skip


def test_kinds_listed_from_memory_have_their_label():
    rules = build_name_rules(load_class_names(), load_taxonomy())
    wrong = [
        (name, label.strip(), prediction.hierarchical_label.strip())
        for label, names in KINDS.items()
        for name in names
        if (prediction := rules.predict(name)).hierarchical_label != label
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "text", ["branch of physics", "directory", "episcopate", "borrowing", "collaboratory", "Ludovicus"]
)
def test_the_ending_of_an_unrelated_word_is_not_a_kind(text):
    assert build_name_rules(load_class_names(), load_taxonomy()).predict(text).hierarchical_label == ""
