"""The command line: every command has help and is in the README; errors are one message and exit code 1."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hgld.cli import STAGES, main
from tests.paths import ROOT


def _commands(group: click.Group, prefix: str = "") -> list[tuple[str, click.Command]]:
    commands = []
    for name, command in group.commands.items():
        commands.append((prefix + name, command))
        if isinstance(command, click.Group):
            commands += _commands(command, f"{prefix}{name} ")
    return commands


@pytest.mark.parametrize(("name", "command"), _commands(main))
def test_every_command_has_help_and_is_in_the_readme(name: str, command: click.Command) -> None:
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"hgld {name}" in readme, f"README.md does not mention `hgld {name}`"


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
        ("benchmark FOLDER", "FOLDER: is a folder; expected a checkpoint"),
    ],
)
def test_a_folder_instead_of_a_file_is_an_error(tmp_path: Path, words: str, message: str) -> None:
    (tmp_path / "file.csv").write_text("landmark_id,category,hierarchical_label\n1,Lake,lake\n")
    names = {"FOLDER": str(tmp_path), "FILE": str(tmp_path / "file.csv")}
    done = CliRunner().invoke(main, [names.get(word, word) for word in words.split()])
    assert done.exit_code == 1
    assert done.output.startswith("Error: " + message.replace("FOLDER", str(tmp_path)))
