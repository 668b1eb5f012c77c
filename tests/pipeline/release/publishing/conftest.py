"""A hub and a Zenodo on this machine, and `hgld publish` as a user runs it, with its tokens."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from huggingface_hub import constants

from hgld.cli import main
from hgld.pipeline.acquisition import retry
from tests.paths import ROOT
from tests.pipeline.release.publishing import hub as hugging_face
from tests.pipeline.release.publishing import zenodo_server

Publish = Callable[..., Result]


TOKENS = (hugging_face.TOKEN, hugging_face.READ_ONLY, zenodo_server.TOKEN)


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path) -> Iterator[Publish]:
    """Run `hgld publish` in this process on the release; retries do not wait, and no token is printed or stored."""
    monkeypatch.setattr(retry, "full_jitter", lambda failures: 0.0)

    def run(*arguments: str) -> Result:
        done = CliRunner().invoke(main, ["publish", str(folder), *arguments])
        assert not [token for token in TOKENS if token in done.output]
        return done

    yield run
    check_files(tmp_path)


def check_files(folder: Path) -> None:
    """No file below the folder has a token."""
    for path in folder.rglob("*"):
        if path.is_file():
            assert not [token for token in TOKENS if token.encode() in path.read_bytes()], path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[hugging_face.Hub]:
    """A hub; its token is in HF_TOKEN."""
    with hugging_face.Hub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.server.base)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
        monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hugging_face"))
        monkeypatch.setenv("HF_TOKEN", hugging_face.TOKEN)
        yield server


@pytest.fixture
def zenodo(monkeypatch: pytest.MonkeyPatch) -> Iterator[zenodo_server.Zenodo]:
    """A Zenodo; its token is in ZENODO_TOKEN."""
    with zenodo_server.Zenodo() as server:
        monkeypatch.setenv("ZENODO_ENDPOINT", server.server.base)
        monkeypatch.setenv("ZENODO_TOKEN", zenodo_server.TOKEN)
        yield server


def started(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """`hgld publish` on a release in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "hgld.cli", "publish", str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".typing"), "HF_HUB_DISABLE_XET": "1", **environment},
    )


def contents(folder: Path) -> dict[str, bytes]:
    """File name → bytes of the release."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
