"""Every `hgld publish` of README.md and docs/release.md works as it is shown, and the page names what there is."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.pipeline.release.publishing import plan
from hgld.pipeline.release.publishing.publish import DESTINATIONS
from tests.paths import ROOT
from tests.pipeline.release.publishing.hub import Hub
from tests.pipeline.release.publishing.zenodo_server import Zenodo

PAGE, README = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/release.md", "README.md"))
SHOWN = re.compile(r"^    (hgld publish [^\n#]+)", re.MULTILINE)
COMMANDS = sorted({match[1].strip() for text in (PAGE, README) for match in SHOWN.finditer(text)})


def test_the_page_shows_every_destination_and_option() -> None:
    assert {re.search(r"--to (\w+)", command)[1] for command in COMMANDS} == set(DESTINATIONS)  # type: ignore[index]
    assert all(any(option in command for command in COMMANDS) for option in ("--yes", "--concept", ":sandbox"))
    for action in (plan.SEND, plan.REPLACE, plan.SAME, plan.DELETE, plan.CONTAINS):
        assert f"| `{action}` |" in PAGE


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_works(hub: Hub, zenodo: Zenodo, folder: Path, command: str) -> None:
    shutil.copy(ROOT / "params.yaml", folder.parent)
    zenodo.publish(zenodo.add({"title": "an older version", "version": "0.0.9"}, {}, concept=1234567))
    done = CliRunner().invoke(main, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    sent = bool(hub.writes or zenodo.writes or Path("published").exists())
    assert sent == ("--yes" in command)
