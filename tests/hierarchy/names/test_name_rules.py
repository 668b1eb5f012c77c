"""Rules from English class names to labels."""

import csv

import pytest

from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.name_rules import NameRules, build_name_rules
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from tests.paths import SHARED

GLDV2 = SHARED / "gldv2"


@pytest.fixture(scope="module")
def rules() -> NameRules:
    return build_name_rules(load_class_names(), load_taxonomy())


@pytest.mark.parametrize(
    ("text", "label", "rule"),
    [
        ("church building", "church", "class Q16970"),
        ("Church Buildings", "church", "class Q16970"),
        ("ARCHAEOLOGICAL SITES", "archeological site", "class Q839954"),
        ("theatre", "theatre", "class Q24354"),
        ("ocean area", "ocean area ", "label"),
        ("cable-stayed  bridge", "bridge", "class"),
        ("Anglican or episcopal cathedral of Wales", "church", "head"),
        ("museum of lighthouses", "museum", "head"),
        ("lighthouse museum", "museum", "name"),
        ("church ruin", "ruins", "name"),
        ("minor basilica (1905)", "church", "class"),
        ("group of lakes", "lake", "class"),
        ("complex of temples", "hindu temple", "head"),
        ("house of prayer for all", "church", "head"),
        ("capital of a prefecture of Japan", "city", "general"),
        ("Hügelburghotel", "hotel", "compound"),
    ],
)
def test_the_head_of_a_name_decides(rules, text, label, rule):
    prediction = rules.predict(text)
    assert prediction.hierarchical_label == label
    assert prediction.evidence.startswith(rule)
    assert 0 < prediction.margin <= prediction.score < 1


@pytest.mark.parametrize("text", ["province of China", "embassy", "province", "federated state"])
def test_a_kind_without_a_published_label_has_none(rules, text):
    prediction = rules.predict(text)
    assert (prediction.hierarchical_label, prediction.score) == ("", 0.0)
    assert prediction.evidence.startswith("open")


@pytest.mark.parametrize("text", ["", "()", "?!", "xyzzy", "北京"])
def test_a_name_that_no_rule_matches_has_no_evidence(rules, text):
    assert rules.predict(text).evidence == ""


@pytest.mark.skipif(not GLDV2.is_dir(), reason="the published supercategories are not beside this checkout")
def test_published_supercategories_get_their_label(rules):
    with (GLDV2 / "supercategory_pairs.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    correct = [rules.predict(row["supercategory"]).hierarchical_label == row["hierarchical_label"] for row in rows]
    landmarks = [int(row["rows_seen"]) for row in rows]
    assert sum(correct) / len(rows) >= 0.95
    assert sum(n for n, good in zip(landmarks, correct, strict=True) if good) / sum(landmarks) >= 0.99
