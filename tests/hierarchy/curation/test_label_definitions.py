"""The definitions of the labels: complete, in order, and every mistake with its place."""

from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.hierarchy.curation.file_checks import file_problems, fix_files
from hgld.hierarchy.curation.label_definitions import label_definition_problems, load_label_definitions
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from tests.paths import ROOT

CURATED = ROOT / "hierarchy/curated"
HEADER = "hierarchical_label,definition,synonyms\n"


def written(folder: Path, *rows: str) -> Path:
    (folder / "label_definitions.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return folder


def test_every_label_has_a_definition_of_one_sentence() -> None:
    labels = load_taxonomy(CURATED).natures
    definitions = load_label_definitions(CURATED, labels)
    assert list(definitions) == list(labels) and len(labels) == 78
    for label, known in definitions.items():
        assert known.definition.endswith(".") and known.definition.count(". ") == 0, label
    assert "bay" in definitions["ocean area "].synonyms


def test_no_word_leads_to_two_labels() -> None:
    definitions = load_label_definitions(CURATED, load_taxonomy(CURATED).natures)
    words = [word.lower() for known in definitions.values() for word in known.synonyms]
    assert sorted({word for word in words if words.count(word) > 1}) == []


@pytest.mark.parametrize(("rows", "problem"), [
    (["lake,Water.,pond", "tree,,"], ":3: no definition of 'tree'; write a sentence"),
    (["lake,Water.,pond"], ": no definition of 'tree'; add a row hierarchical_label,definition,synonyms"),
    (["lake,Water.,", "tre,A plant.,", "tree,A plant.,"], ":3: unknown label 'tre'; did you mean 'tree'?"),
    (["tree,A plant.,", "lake,Water.,"], ": out of order"),
    (["lake,Water.,", "lake,More.,", "tree,A plant.,"], ":3: duplicate of line 2"),
])  # fmt: skip
def test_a_mistake_is_reported_with_its_place(tmp_path: Path, rows: list[str], problem: str) -> None:
    folder = written(tmp_path, *rows)
    (found, *_) = label_definition_problems(folder, ["lake", "tree"])
    assert problem in found and str(folder) in found
    with pytest.raises(HgldError, match="in the definitions of the labels"):
        load_label_definitions(folder, ["lake", "tree"])


def test_check_reports_them_and_fix_sorts_them(tmp_path: Path) -> None:
    for name in ("taxonomy.csv", "ignored_classes.csv", "cut_edges.csv"):
        (tmp_path / name).write_bytes((CURATED / name).read_bytes())
    lines = (CURATED / "label_definitions.csv").read_text(encoding="utf-8").splitlines()[1:]
    written(tmp_path, *lines[::-1])
    assert any("out of order" in problem for problem in file_problems(tmp_path, tmp_path / "review"))
    assert fix_files(tmp_path, tmp_path / "review") == [f"{tmp_path / 'label_definitions.csv'}: sorted"]
    assert (tmp_path / "label_definitions.csv").read_bytes() == (CURATED / "label_definitions.csv").read_bytes()


def test_a_taxonomy_without_definitions_is_valid(tmp_path: Path) -> None:
    assert load_label_definitions(tmp_path, ["lake"]) == {}
