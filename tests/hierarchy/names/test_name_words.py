"""The lexicon of name words: hints, and the checks of the file."""

from hgld.hierarchy.curated import CURATED
from hgld.hierarchy.names.name_words import lexicon_hints, load_name_words, name_word_problems
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy


def test_the_lexicon_is_valid():
    assert name_word_problems(CURATED, load_taxonomy().natures) == []


def test_hints_cover_compounds_scripts_and_parentheses():
    words = load_name_words()
    assert lexicon_hints("Bergkirche", words)["out:end:church"] == 1.0
    assert "out:part:shinto shrine" in lexicon_hints("熊野神社", words)
    assert "in:only:boat" in lexicon_hints("Hope (schooner, 1960)", words)
    assert "in:word:boat" in lexicon_hints("Hope (ship)", words)
    assert not [hint for hint in lexicon_hints("Xyzzy, Kirche", words) if hint.startswith("out")]


def test_invalid_rows_are_reported_with_file_and_line(tmp_path):
    path = tmp_path / "name_words.csv"
    path.write_text("hierarchical_label,place,word\nlake,word,see\nlake,nowhere,loch\nchurch,end,kirche\nzzz,word,x\n")
    problems = name_word_problems(tmp_path, ["church", "lake"])
    assert problems[0].startswith(f"{path}:3: place 'nowhere'")
    assert problems[1].startswith(f"{path}:4: out of order: it belongs before line 2")
    assert problems[2] == f"{path}: 'zzz' is not a label of the taxonomy"
