import csv
from pathlib import Path

import pytest

from hgld.hierarchy.names.class_names import class_name_problems, key, load_class_names
from hgld.hierarchy.names.name_rules import ClassReader, class_reader
from hgld.hierarchy.names.name_words import hints, load_name_words, name_word_problems
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from tests.paths import SHARED

GLDV2 = SHARED / "gldv2"


@pytest.fixture(scope="module")
def reader() -> ClassReader:
    return class_reader(load_class_names(), load_taxonomy())


def test_the_lexicons_are_valid():
    labels = load_taxonomy().natures
    assert class_name_problems(Path("hierarchy"), labels) == []
    assert name_word_problems(Path("hierarchy"), labels) == []


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
def test_a_name_is_read_by_its_head(reader, text, label, rule):
    reading = reader.read(text)
    assert reading.hierarchical_label == label
    assert reading.evidence.startswith(rule)
    assert 0 < reading.margin <= reading.score < 1


@pytest.mark.parametrize("text", ["province of China", "embassy", "province", "federated state"])
def test_a_kind_that_is_published_without_a_label_stays_open(reader, text):
    reading = reader.read(text)
    assert (reading.hierarchical_label, reading.score) == ("", 0.0)
    assert reading.evidence.startswith("open")


@pytest.mark.parametrize("text", ["", "()", "?!", "xyzzy", "北京"])
def test_what_no_rule_reads_is_left_to_the_model(reader, text):
    assert reader.read(text).evidence == ""


def test_keys_put_spelling_aside():
    assert key("Saint-Martin's Théâtres") == key("St Martin theater")
    assert key("glasses") == ("glass",)
    assert key("İstanbul")[0].startswith("istanbul")


def test_hints_know_compounds_scripts_and_parentheses():
    words = load_name_words()
    assert hints("Bergkirche", words)["out:end:church"] == 1.0
    assert "out:part:shinto shrine" in hints("熊野神社", words)
    assert "in:only:boat" in hints("Hope (schooner, 1960)", words) or "in:word:boat" in hints(
        "Hope (ship)", words
    )
    assert not [one for one in hints("Xyzzy, Kirche", words) if one.startswith("out")]


def test_bad_rows_are_named_with_file_and_line(tmp_path):
    rows = [
        "hierarchical_label,name,role,comment",
        "church,chapel,kind,",
        "church,Chapels,kind,",
        "lake,chapels,kind,",
    ]
    (tmp_path / "class_names.csv").write_text("\n".join([*rows, "zzz,thing,odd,"]) + "\n")
    problems = class_name_problems(tmp_path, ["church", "lake"])
    assert any(one.startswith(f"{tmp_path / 'class_names.csv'}:4: ") and "church" in one for one in problems)
    assert any(":5: role 'odd'" in one for one in problems)
    assert any("'zzz' is no label" in one for one in problems)


@pytest.mark.skipif(not GLDV2.is_dir(), reason="the published supercategories are not beside this checkout")
def test_published_supercategories_get_their_label(reader):
    with (GLDV2 / "supercategory_pairs.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    right = [
        reader.read(row["supercategory"]).hierarchical_label == row["hierarchical_label"] for row in rows
    ]
    seen = [int(row["rows_seen"]) for row in rows]
    assert sum(right) / len(rows) >= 0.95
    assert sum(n for n, good in zip(seen, right, strict=True) if good) / sum(seen) >= 0.99
