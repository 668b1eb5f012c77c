"""The command line: every command has help and is in the documentation; errors are one message and exit code 1."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hgld.cli import STAGES, main
from hgld.foundation import settings
from tests.page_blocks import pages
from tests.paths import ROOT

DOCUMENTATION = [(ROOT / page).read_text(encoding="utf-8") for page in pages()]


def _commands(group: click.Group, prefix: str = "") -> list[tuple[str, click.Command]]:
    commands = []
    for name, command in group.commands.items():
        commands.append((prefix + name, command))
        if isinstance(command, click.Group):
            commands += _commands(command, f"{prefix}{name} ")
    return commands


@pytest.mark.parametrize(("name", "command"), _commands(main))
def test_every_command_has_help_and_is_in_the_documentation(name: str, command: click.Command) -> None:
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))
    assert any(f"hgld {name}" in text for text in DOCUMENTATION), f"no page mentions `hgld {name}`"


def test_the_overview_lists_every_command() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    missing = [name for name in main.commands if f"  {name} " not in text]
    assert missing == [], "add them to _SECTIONS of cli.py"


def test_a_mistyped_command_gets_a_suggestion() -> None:
    done = CliRunner().invoke(main, ["benchmrk"])
    assert done.exit_code == 2
    assert "no command 'benchmrk'; did you mean 'benchmark'?" in done.output


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_outside_the_repository_is_an_error(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, [stage])
    assert done.exit_code == 1
    assert done.output.startswith("Error: no params.yaml here")
    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_setting_gets_a_suggestion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "params.yaml").read_text().replace("temperature:", "temprature:")
    (tmp_path / "params.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["refine"])
    assert done.exit_code == 1
    assert "unknown key 'temprature' in sample.refine; did you mean 'temperature'?" in done.output


def test_an_unknown_profile_gets_a_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(main, ["build", "--profile", "smaple"])
    assert done.exit_code == 1
    assert "no profile 'smaple' (there are: sample, gldv2); did you mean 'sample'?" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "assign FOLDER --endpoint http://127.0.0.1:9/q -o out.csv",
            "FOLDER is a folder; a CSV file was expected",
        ),
        ("assign FILE --endpoint http://127.0.0.1:9/q -o FOLDER", "FOLDER is a folder; give the file that"),
        ("compare FILE FOLDER", "FOLDER is a folder"),
        ("compare FOLDER FILE", "FOLDER is a folder"),
        ("benchmark FOLDER", "FOLDER: is a folder; give the path of the checkpoint"),
    ],
)
def test_a_folder_instead_of_a_file_is_an_error(tmp_path: Path, words: str, message: str) -> None:
    (tmp_path / "file.csv").write_text("landmark_id,category,hierarchical_label\n1,Lake,lake\n")
    names = {"FOLDER": str(tmp_path), "FILE": str(tmp_path / "file.csv")}
    done = CliRunner().invoke(main, [names.get(word, word) for word in words.split()])
    assert done.exit_code == 1
    assert done.output.startswith("Error: " + message.replace("FOLDER", str(tmp_path)))


@pytest.mark.parametrize(
    "words", ["compare LONG FILE", "compare FILE LONG", "classify FILE --column x --facts LONG -o o"]
)
def test_a_name_that_is_too_long_is_one_line(tmp_path: Path, words: str) -> None:
    (tmp_path / "file.csv").write_text("landmark_id,x,hierarchical_label\n1,Lake,lake\n")
    names = {"LONG": "a" * 5000, "FILE": str(tmp_path / "file.csv")}
    done = CliRunner().invoke(main, [names.get(word, word) for word in words.split()])
    assert isinstance(done.exception, SystemExit)
    assert done.exit_code == 1
    assert done.output.startswith("Error: aaa") and done.output.endswith(": File name too long\n")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory:\nyou tried")]
)
def test_no_memory_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def out_of_memory(**_: object) -> None:
        raise error

    monkeypatch.setattr(settings, "load_params", out_of_memory)
    done = CliRunner().invoke(main, ["show", "1"])
    assert isinstance(done.exception, SystemExit)
    assert done.output.startswith("Error: out of memory (") and done.output.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("words", "redirection", "message"),
    [
        ("--version", ">/dev/full", "Error: No space left on device\n"),
        ("--help", ">&-", "Error: standard output is closed; redirect it to a file or to /dev/null\n"),
        (
            "review --annotator ana",
            "<&- >&-",
            "Error: standard output is closed; redirect it to a file or to /dev/null\n",
        ),
        ("compare nowhere.csv nowhere.csv", "<&-", "Error: no file nowhere.csv\n"),
    ],
)
def test_standard_files_that_cannot_be_used_are_one_line(words: str, redirection: str, message: str) -> None:
    hgld = Path(sys.executable).with_name("hgld")
    done = subprocess.run(f"{hgld} {words} {redirection}", shell=True, stderr=subprocess.PIPE, text=True, cwd="/")
    assert (done.returncode, done.stderr) == (1, message)
