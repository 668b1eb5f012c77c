"""The files that people edit: those in the repository are valid, and problems are reported with file and line."""

import shutil
from pathlib import Path

from hgld.hierarchy.curation.file_checks import file_problems
from hgld.hierarchy.curation.verdicts import COLUMNS
from tests.paths import ROOT


def test_files_of_the_repository_are_valid() -> None:
    assert file_problems(ROOT / "hierarchy/curated", ROOT / "review") == []


def test_invalid_verdict_is_reported(tmp_path: Path) -> None:
    (tmp_path / "ana.csv").write_text(f"{','.join(COLUMNS)}\nAbbey,chruch,,,,ana,2026-01-03,\n")
    assert file_problems(ROOT / "hierarchy/curated", tmp_path) == [
        f"{tmp_path}/ana.csv:2: unknown label 'chruch'; did you mean 'church'?"
    ]


def test_invalid_taxonomy_is_reported(tmp_path: Path) -> None:
    for path in (ROOT / "hierarchy/curated").glob("*.csv"):
        shutil.copy(path, tmp_path)
    text = (tmp_path / "taxonomy.csv").read_text().replace(",natural,Q22715,", ",wild,Q22715,")
    (tmp_path / "taxonomy.csv").write_text(text)
    problems = file_problems(tmp_path, tmp_path / "review")
    assert problems[0].startswith(f"{tmp_path}/taxonomy.csv:2: 'wild' is neither natural nor human-made")


def test_missing_file_is_reported(tmp_path: Path) -> None:
    assert file_problems(tmp_path, tmp_path) == [f"no file {tmp_path}/taxonomy.csv"]
