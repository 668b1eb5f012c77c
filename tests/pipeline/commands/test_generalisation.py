"""What `hgld classify` says of names that were not there when it was made, as far as that can be held by a test."""

import csv
import dataclasses

import pytest

from hgld.hierarchy.names.class_names import key, load_class_names
from hgld.hierarchy.names.name_classifier import Lexicon, fit, ranked
from hgld.hierarchy.names.name_rules import ClassReader, class_reader
from hgld.hierarchy.names.name_words import load_name_words
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from tests.held_out import PUBLISHED, accuracy, fold, labelled, published

WITH_PUBLISHED = pytest.mark.skipif(
    not PUBLISHED.is_file(), reason="the published labels (../shared/data) are not beside this checkout"
)


@WITH_PUBLISHED
def test_names_of_landmarks_held_out(tmp_path):
    """One fold of `python -m tests.held_out`; the floors lie a standard error below what it finds."""
    rows = published()
    held = [row for row in rows if fold(row[0]) == 0]
    seen = [row for row in rows if fold(row[0]) != 0]
    found = labelled(seen, held, tmp_path)
    assert len(found) > 1500
    assert accuracy(found) >= 0.73
    assert accuracy(found, 0.5) >= 0.912


@WITH_PUBLISHED
def test_a_supercategory_is_read_without_its_own_row():
    """The rules and the model, not the rows: the published supercategories by a lexicon that lacks their names."""
    with PUBLISHED.with_name("supercategory_pairs.csv").open(encoding="utf-8") as handle:
        pairs = [(row["supercategory"], row["hierarchical_label"]) for row in csv.DictReader(handle)]
    reader = class_reader(load_class_names(), load_taxonomy())
    readings = [_without(reader, [name]).read(name) for name, _ in pairs]
    labels = [one.hierarchical_label for one in readings]
    unread = [place for place, one in enumerate(readings) if not one.evidence]
    model = fit([], [], Lexicon(_without(reader, [name for name, _ in pairs]), load_name_words()))
    columns = ranked(model.probabilities([pairs[place][0] for place in unread]))[0]
    for place, column in zip(unread, columns, strict=True):
        labels[place] = model.labels[column]
    right = [label == own for label, (_, own) in zip(labels, pairs, strict=True)]
    assert sum(right) / len(right) >= 0.82


def _without(reader: ClassReader, names: list[str]) -> ClassReader:
    """The reader without these names, with and without what they say in parentheses."""
    own = {key(part) for name in names for part in (name, name.split(" (")[0])}
    return dataclasses.replace(
        reader,
        names={words: one for words, one in reader.names.items() if words not in own},
        anchors={words: one for words, one in reader.anchors.items() if words not in own},
    )


# Kinds of places by their English name, written down from memory before the lexicon was looked at; only those whose
# label is beyond dispute.
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


def test_kinds_of_places_that_nobody_looked_up():
    reader = class_reader(load_class_names(), load_taxonomy())
    wrong = [
        (name, label.strip(), reading.hierarchical_label.strip())
        for label, names in KINDS.items()
        for name in names
        if (reading := reader.read(name)).hierarchical_label != label
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "text", ["branch of physics", "directory", "episcopate", "borrowing", "collaboratory", "Ludovicus"]
)
def test_the_end_of_an_english_word_is_no_kind(text):
    assert class_reader(load_class_names(), load_taxonomy()).read(text).hierarchical_label == ""
