"""The stage `download` as a command: over HTTP, killed at any moment and resumed, every malformed row listed."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation.tables import read_parquet
from hgld.pipeline.sample.pictures import all_pictures, read_landmarks
from hgld.pipeline.sample.world import metadata
from tests.fault_table import FaultTable
from tests.hostile_server import HostileServer, dripping
from tests.paths import ROOT

# 50 for a release: HGLD_KILLS=50 pytest tests/pipeline/stages/test_download.py
KILLS = int(os.environ.get("HGLD_KILLS", "8"))


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """The sample's metadata and their md5sum files, by path."""
    rows = read_landmarks(ROOT / "sources/sample/landmarks.csv")
    contents = {}
    for name, table in metadata(rows, all_pictures(rows)).items():
        contents[f"/metadata/{name}"] = table.to_csv(index=False, lineterminator="\n").encode()
        digest = hashlib.md5(contents[f"/metadata/{name}"]).hexdigest()
        contents[f"/md5sum/metadata/md5.{name}.txt"] = f"{digest}  {name}\n".encode()
    return contents


@pytest.fixture
def server(hostile: HostileServer, files: dict[str, bytes]) -> HostileServer:
    hostile.files |= files
    return hostile


@pytest.fixture
def folder(server: HostileServer, tmp_path: Path) -> Path:
    """A folder whose params.yaml names the server."""
    text = (ROOT / "params.yaml").read_text().replace("source: sources/sample/metadata", f"source: {server.base}", 1)
    (tmp_path / "params.yaml").write_text(text)
    return tmp_path


def _start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hgld.cli", "download", "--profile", "sample"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".typing")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _outputs(folder: Path) -> dict[str, str]:
    """SHA-256 of everything below data/, leftovers included."""
    data = folder / "data"
    return {
        path.relative_to(data).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(data.rglob("*"))
        if path.is_file()
    }


@pytest.mark.timeout(900)
def test_killed_run_is_resumed_and_gives_the_same_bytes(
    server: HostileServer, folder: Path, fault_table: FaultTable
) -> None:
    """Each run resumes what the killed ones left, until one ends before it is killed; then from an empty folder."""
    server.always = dripping(1500, 0.04)
    transfers = 0.04 * max(map(len, server.files.values())) / 1500
    process = _start(folder)
    while not server.requests:
        time.sleep(0.005)
    started = time.monotonic()
    output, _ = process.communicate()
    assert process.returncode == 0, output
    duration = time.monotonic() - started
    expected = _outputs(folder)
    assert "sample/metadata/train.parquet" in expected and "sample/downloads/manifest.json" in expected
    rng, kills, ends, resumed, empty = random.Random(0), 0, 0, 0, True
    shutil.rmtree(folder / "data")
    while kills < KILLS or not ends:
        server.requests.clear()
        process = _start(folder)
        while not server.requests and process.poll() is None:
            time.sleep(0.005)
        # the first kill comes during the transfers, so that there is something to resume
        moment = rng.uniform(0, transfers if empty else duration)
        try:
            output, _ = process.communicate(timeout=moment if kills < KILLS else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills, empty = kills + 1, False
        else:
            assert process.returncode == 0, output
            assert _outputs(folder) == expected
            shutil.rmtree(folder / "data")
            ends, empty = ends + 1, True
        resumed += sum("Range" in request.headers for request in server.requests)
    assert resumed
    outcome = f"the same bytes; {ends} run(s) completed, {resumed} transfers resumed"
    fault_table.add("download", f"SIGKILL at {kills} random moments", outcome)


def test_every_malformed_row_is_listed_and_the_old_tables_stay(
    server: HostileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(main, ["download"])
    assert done.exit_code == 0, done.output
    assert "10 verified by their published MD5; not at the source: train_label_to_hierarchical.csv" in done.output
    before = _outputs(folder)
    assert len(read_parquet(folder / "data/sample/metadata/train_attribution.parquet")) > 0
    assert len(read_parquet(folder / "data/sample/metadata/train_label_to_hierarchical.parquet")) == 0
    bad = server.files["/metadata/index.csv"] + b"xyz\nzzz\n"
    server.files["/metadata/index.csv"] = bad
    server.files["/md5sum/metadata/md5.index.csv.txt"] = hashlib.md5(bad).hexdigest().encode()
    done = CliRunner().invoke(main, ["download"])
    assert done.exit_code == 1
    assert "index.csv: 2 malformed row(s):" in done.output and "id is 'zzz', expected 16 hex digits" in done.output
    changed = {name for name, digest in _outputs(folder).items() if before[name] != digest}
    assert changed == {"sample/downloads/index.csv", "sample/downloads/manifest.json"}


@pytest.mark.parametrize("value", ["metadata/train.csv", "metadata/train.csv=xyz", f"={'0' * 32}"])
def test_malformed_accepted_md5_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(main, ["download", "--accept-md5", value])
    assert done.exit_code == 2 and "expected FILE=MD5 with 32 hex digits" in done.output


def test_unknown_optional_table_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    text = (folder / "params.yaml").read_text().replace("optional: [train_attribution,", "optional: [train_atribution,")
    (folder / "params.yaml").write_text(text)
    done = CliRunner().invoke(main, ["download"])
    assert done.exit_code == 1
    assert "no table 'train_atribution'; did you mean 'train_attribution'?" in done.output
