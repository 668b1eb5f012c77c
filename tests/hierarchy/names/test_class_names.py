"""The lexicon of class names: tokens, and the checks of the file."""

from hgld.hierarchy.curated import CURATED
from hgld.hierarchy.names.class_names import class_name_problems, tokenize
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy


def test_the_lexicon_is_valid():
    assert class_name_problems(CURATED, load_taxonomy().natures) == []


def test_tokens_ignore_spelling_variants():
    assert tokenize("Saint-Martin's Théâtres") == tokenize("St Martin theater")
    assert tokenize("glasses") == ("glass",)
    assert tokenize("İstanbul")[0].startswith("istanbul")


def test_invalid_rows_are_reported_with_file_and_line(tmp_path):
    rows = [
        "hierarchical_label,name,role,comment",
        "church,chapel,kind,",
        "church,Chapels,kind,",
        "lake,chapels,kind,",
    ]
    (tmp_path / "class_names.csv").write_text("\n".join([*rows, "zzz,thing,odd,"]) + "\n")
    problems = class_name_problems(tmp_path, ["church", "lake"])
    assert any(text.startswith(f"{tmp_path / 'class_names.csv'}:4: ") and "church" in text for text in problems)
    assert any(":5: role 'odd'" in text for text in problems)
    assert any("'zzz' is not a label" in text for text in problems)
