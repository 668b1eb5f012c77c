"""The files that people edit: those in the repository are valid, and problems are reported with file and line."""

import random
import shutil
from pathlib import Path

from hgld.hierarchy.curation.file_checks import file_problems, fix_files
from hgld.hierarchy.curation.verdict import COLUMNS
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


def test_invalid_places_are_reported_and_may_be_absent(tmp_path: Path) -> None:
    for path in (ROOT / "hierarchy/curated").glob("*.csv"):
        shutil.copy(path, tmp_path)
    parts, countries = tmp_path / "continent_parts.csv", tmp_path / "countries.csv"
    parts.write_text(parts.read_text(encoding="utf-8").replace("\nYE,Africa,", "\nYE,Afrika,"), encoding="utf-8")
    [problem] = file_problems(tmp_path, tmp_path / "review")
    assert problem.startswith(f"{parts}:") and "unknown continent 'Afrika'; did you mean 'Africa'?" in problem
    countries.write_text(countries.read_text(encoding="utf-8").replace(",YE,country,Asia", ",YE,country,Azia"))
    [problem] = file_problems(tmp_path, tmp_path / "review")
    assert problem.startswith(f"{countries}:") and "unknown continent 'Azia'; did you mean 'Asia'?" in problem
    countries.unlink()
    assert file_problems(tmp_path, tmp_path / "review") == []


def test_fix_sorts_every_curated_file_and_keeps_each_row(tmp_path: Path) -> None:
    curated = ROOT / "hierarchy/curated"
    for path in sorted(curated.glob("*.csv")):
        header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
        (tmp_path / path.name).write_text(
            "".join([header, *random.Random(0).sample(rows, len(rows))]), encoding="utf-8"
        )
    assert len(file_problems(tmp_path, tmp_path / "review")) > 20
    messages = fix_files(tmp_path, tmp_path / "review")
    assert sorted(messages) == sorted(f"{tmp_path / path.name}: sorted" for path in curated.glob("*.csv"))
    for path in curated.glob("*.csv"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert fix_files(tmp_path, tmp_path / "review") == []


def test_fix_leaves_a_file_with_an_invalid_row(tmp_path: Path) -> None:
    for path in (ROOT / "hierarchy/curated").glob("*.csv"):
        shutil.copy(path, tmp_path)
    review = tmp_path / "review"
    review.mkdir()
    broken = {
        tmp_path
        / "cut_edges.csv": "child,child_label,parent,parent_label,reason,decided_by\nQ9,a,Q8,b,c,d\nx,a,Q8,b,c,d\n",
        review / "ana.csv": f"{','.join(COLUMNS)}\nB,church,,,,ana,2026-01-04,\nA,church,,,,ana,4.1.2026,\n",
        review / "bob.csv": f"{','.join(COLUMNS)}\n<<<<<<< HEAD\nB,church,,,,bob,2026-01-04,\n",
    }
    for path, text in broken.items():
        path.write_text(text)
    assert fix_files(tmp_path, review) == []
    assert {path: path.read_text() for path in broken} == broken


def test_missing_file_is_reported(tmp_path: Path) -> None:
    assert file_problems(tmp_path, tmp_path) == [f"no file {tmp_path}/taxonomy.csv"]
