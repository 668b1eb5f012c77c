"""The local SPARQL server serves facts, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.sparql.client import Endpoint, select
from hgld.pipeline.sparql.oxigraph import serving

COUNT = "SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }"


def count(url: str) -> str:
    return select(Endpoint(url, "test"), COUNT, ("n",))[0][0]


def test_files_and_folders_are_served_until_the_block_ends(tmp_path: Path) -> None:
    (tmp_path / "a.ttl").write_text("<urn:a> <urn:b> <urn:c>, <urn:d> .")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.nt").write_text("<urn:a> <urn:b> <urn:e> .\n")
    (tmp_path / "more" / "notes.txt").write_text("not RDF")
    with serving([tmp_path / "a.ttl", tmp_path / "more"]) as url:
        assert count(url) == "3"
    with pytest.raises(OSError, match="refused"):
        urlopen(url, timeout=2)


def test_server_stops_when_the_block_raises(tmp_path: Path) -> None:
    (tmp_path / "a.nt").write_text("<urn:a> <urn:b> <urn:c> .\n")
    with pytest.raises(RuntimeError, match="inside"), serving([tmp_path]) as url:
        raise RuntimeError("inside")
    with pytest.raises(OSError, match="refused"):
        urlopen(url, timeout=2)


def test_invalid_facts_are_errors(tmp_path: Path) -> None:
    with pytest.raises(HgldError, match="no facts in"), serving([tmp_path]):
        pass
    (tmp_path / "bad.ttl").write_text("this is no Turtle")
    with pytest.raises(HgldError, match=r"bad\.ttl: not valid RDF"), serving([tmp_path]):
        pass
    with pytest.raises(HgldError, match="no file"), serving([tmp_path / "none.ttl"]):
        pass


def test_port_in_use_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.nt").write_text("<urn:a> <urn:b> <urn:c> .\n")
    with serving([tmp_path]) as url:
        port = int(re.search(r":(\d+)/", url)[1])  # type: ignore[index]
        with pytest.raises(HgldError, match=f"port {port} cannot be used"), serving([tmp_path], port):
            pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_command_prints_its_endpoint_and_ends_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "a.nt").write_text("<urn:a> <urn:b> <urn:c> .\n")
    command = [sys.executable, "-m", "hgld.cli", "serve", str(tmp_path)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    # a shell starts its background jobs with SIGINT ignored, and so does this test
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert count(url) == "1"
            process.send_signal(number)
            assert process.wait(20) == 0
        finally:
            process.kill()
    with pytest.raises(OSError, match="refused"):
        urlopen(url, timeout=2)
