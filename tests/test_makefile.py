"""`make`: a source archive without .git works, and what cannot work is said before gigabytes are installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

STAGE = """stages:
  scores:
    cmd: mkdir -p data/sample/benchmark && echo scored > data/sample/benchmark/table.txt
    outs: [data/sample/benchmark/table.txt]
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """What an archive of the source has for `make`, with one quick stage; dvc is installed in its environment."""
    for name in ("Makefile", "pyproject.toml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, tmp_path / ".dvc" / name)
    (tmp_path / "dvc.yaml").write_text(STAGE)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    dvc = tmp_path / ".venv" / "bin" / "dvc"
    dvc.write_text(f'#!/bin/sh\nexec {sys.executable} -m dvc "$@"\n')
    dvc.chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()
    return tmp_path


def _make(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    # what a make that runs these tests hands down
    outer = ("GIT_", "MAKE", "VENV", "PYTHON")
    env = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    return subprocess.run(["make", *words], cwd=folder, env=env, capture_output=True, text=True)


def test_the_demo_runs_in_an_archive_without_git(archive: Path) -> None:
    done = _make(archive, "demo")
    assert done.returncode == 0, done.stderr
    assert "scored" in done.stdout and (archive / "dvc.lock").is_file()


@pytest.fixture
def clone(archive: Path) -> Path:
    """A clone whose committed lock is of a machine on which the stage gave another result."""
    (archive / ".gitignore").write_text((archive / ".gitignore").read_text() + "/machine.txt\n")
    (archive / "dvc.yaml").write_text(STAGE.replace("echo scored", "echo scored on $(cat machine.txt)"))
    (archive / "machine.txt").write_text("one")
    _git(archive, "init", "--quiet")
    assert _make(archive, "demo").returncode == 0
    _git(archive, "add", "--all")
    _git(archive, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", "first")
    for folder in ("data", ".dvc/tmp", ".dvc/cache"):
        shutil.rmtree(archive / folder)
    (archive / "machine.txt").write_text("another")
    return archive


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_fresh_clone_is_clean_after_the_demo_also_on_another_machine(clone: Path) -> None:
    done = _make(clone, "demo")
    assert done.returncode == 0 and "scored on another" in done.stdout, done.stderr
    assert _git(clone, "status", "--porcelain") == ""
    assert _git(clone, "show", "HEAD:dvc.lock") != (clone / "dvc.lock").read_text()
    again = _make(clone, "demo")
    assert "Data and pipelines are up to date." in again.stdout
    assert _git(clone, "status", "--porcelain") == ""


def test_make_lock_shows_the_lock_for_a_commit(clone: Path) -> None:
    _make(clone, "demo")
    done = _make(clone, "lock")
    assert done.returncode == 0 and " M dvc.lock" in done.stdout
    assert _git(clone, "status", "--porcelain") == " M dvc.lock\n"
    _git(clone, "checkout", "dvc.lock")
    assert _git(clone, "status", "--porcelain") == ""


def test_the_demo_hides_no_lock_from_who_changes_something(clone: Path) -> None:
    (clone / "Makefile").write_text((clone / "Makefile").read_text() + "# mine\n")
    assert _make(clone, "demo").returncode == 0
    assert _git(clone, "status", "--porcelain").splitlines() == [" M Makefile", " M dvc.lock"]


def test_a_path_with_spaces_is_fine(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("with") / "a name with spaces"
    shutil.copytree(archive, folder)
    done = _make(folder, "demo")
    assert done.returncode == 0 and "scored" in done.stdout, done.stderr


@pytest.mark.parametrize("python", ["false", "no-such-python"])
def test_an_old_or_absent_python_is_said_with_the_remedy(archive: Path, python: str) -> None:
    (archive / ".venv" / ".installed").unlink()
    done = _make(archive, "demo", f"PYTHON={python}")
    assert done.returncode
    assert f"hgld needs Python 3.11 or newer, and {python} is not: make PYTHON=python3.11 demo" in done.stderr


def test_what_cannot_work_is_said_in_one_line_before_the_installation(archive: Path) -> None:
    (archive / ".venv" / ".installed").unlink()
    shutil.rmtree(archive / ".dvc")
    for target, message in (("demo", "no folder .dvc here: the copy is not complete"), ("reproduce", "no .git here")):
        done = _make(archive, target, "PYTHON=false")
        assert done.returncode and done.stderr.startswith(message)
        assert done.stdout == "" and not (archive / ".venv" / ".installed").exists()
