"""docs/train.md: its commands run, and its table names every setting."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation.settings import Params, Train
from tests.benchmarks.conftest import make_world, tiny
from tests.benchmarks.run_files.coloured_table import write_table
from tests.benchmarks.training.test_checkpoint import write_params
from tests.paths import ROOT

TEXT = (ROOT / "docs" / "train.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]
# A network that trains in seconds, for the recipe that the page shows in full.
SMALL = [f"--set={name}" for name in ("backbone=test_resnet", "pretrained=false", "image_size=32", "batch_size=16")]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_command_runs(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Params) -> None:
    monkeypatch.chdir(tmp_path)
    table = write_table(tmp_path)
    table.write_text(table.read_text().replace("shade,hue", "fine,coarse", 1), encoding="utf-8")
    table.rename("photos.csv")
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    Path("my_run.yaml").write_text(example, encoding="utf-8")
    assert command[:2] == ["hgld", "train"]
    arguments = command[1:]
    if arguments == ["train"]:
        params = tiny(settings, epochs=1)
        make_world(params.data)
        write_params(params, tmp_path)
    elif "happier" in arguments and "--set" not in arguments:
        arguments = [*arguments, *SMALL, "--set=epochs=1", "--set=warmup_epochs=0"]
    if len(arguments) > 1:  # params.yaml says so itself
        arguments = [*arguments, "--set=threads=1"]  # on a busy machine two threads wait for each other
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert next(Path().rglob("model.pt")).stat().st_size > 10_000


def test_every_setting_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`.*?) \|", TEXT[TEXT.index("## Settings") :], re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", " ".join(rows))) | {"milestones", "gamma"}
    assert named == set(Train.model_fields) - {"levels", "clean_only"}
