"""`hgld wikidata` killed at random moments: the next runs give the same bytes, and repeat no query.

HGLD_KILLS is the number of kills (default 50). The command runs in real processes, forked from one that has imported
what the command imports, and killed with SIGKILL, which no handler can catch.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from hgld.foundation.tables import read_csv, write_parquet
from hgld.pipeline.sparql.oxigraph import serving
from hgld.pipeline.sparql.response_cache import response_path
from tests.fault_table import FaultTable
from tests.hostile_server import HostileServer
from tests.paths import ROOT
from tests.pipeline.sparql_answers import PATH, passing_on, queries
from tests.pipeline.stages.test_wikidata import hashes

KILLS = int(os.environ.get("HGLD_KILLS", "50"))
IN_FLIGHT = 3

# Reads lines "FOLDER SECONDS"; runs the command in the folder, kills it after that time, and prints its exit code.
_RUNNER = """
import os, signal, sys, time
import hgld.pipeline.stages.wikidata, hgld.foundation.settings, pandera.pandas, ruamel.yaml, pydantic, hgld.cli
for line in sys.stdin:
    folder, seconds = line.split()
    child = os.fork()
    if not child:
        os.chdir(folder)
        os.dup2(os.open("log", os.O_CREAT | os.O_WRONLY | os.O_APPEND), 1)
        hgld.cli.main(["wikidata"])
    deadline = time.monotonic() + float(seconds)
    done, status = os.waitpid(child, os.WNOHANG)
    while not done:
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            done, status = os.waitpid(child, 0)
            break
        time.sleep(0.001)
        done, status = os.waitpid(child, os.WNOHANG)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Runner:
    """Runs `hgld wikidata` in a folder, for a limited time."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / ".typing")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _RUNNER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, folder: Path, seconds: float = 100.0) -> int:
        """The exit code; -9 when it was killed."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{folder} {seconds}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


def sample(folder: Path, endpoint: str) -> Path:
    """A folder with the sample's landmarks, whose params.yaml names `endpoint`."""
    table = read_csv(ROOT / "sources/sample/landmarks.csv", ["category"], extra=True)
    for split in ("train", "index"):
        rows = table[table[f"{split}_landmark_id"] != ""]
        frame = rows[[f"{split}_landmark_id", "category"]].set_axis(["landmark_id", "category"], axis=1)
        write_parquet(frame, folder / "data/sample/metadata" / f"{split}_label_to_category.parquet")
    yaml = YAML()
    document = yaml.load(ROOT / "params.yaml")
    document["sample"]["wikidata"].update(endpoint=endpoint, facts=None, batch=10, in_flight=IN_FLIGHT)
    yaml.dump(document, folder / "params.yaml")
    return folder


def cached(folder: Path, url: str, texts: set[str]) -> set[str]:
    """The queries whose responses are in the cache of a run."""
    answers = folder / "data/sample/wikidata-answers"
    return {text for text in texts if response_path(answers, url, text).is_file()}


@pytest.mark.timeout(600)
def test_killed_run_is_resumed_and_repeats_no_query(
    hostile: HostileServer, tmp_path: Path, fault_table: FaultTable
) -> None:
    runner = Runner()
    try:
        with serving([ROOT / "sources/sample/wikidata"]) as real:
            outcome = _kill_and_compare(hostile, real, runner, tmp_path)
            fault_table.add("wikidata", f"SIGKILL at {KILLS} random moments", outcome)
    finally:
        runner.close()


def _kill_and_compare(server: HostileServer, real: str, runner: Runner, tmp_path: Path) -> str:
    """Kill and resume runs; the outcome in one line."""
    server.always = passing_on(real)
    url = server.base + PATH
    undisturbed = sample(tmp_path / "undisturbed", url)
    start = time.monotonic()
    assert runner.run(undisturbed) == 0
    duration = time.monotonic() - start
    expected, every = hashes(undisturbed / "data/sample/wikidata"), Counter(queries(server))
    assert set(every.values()) == {1}
    rng, folders, kills = random.Random(0), 0, 0
    while kills < KILLS:
        folders += 1
        folder = sample(tmp_path / f"killed-{folders}", url)
        server.requests.clear()
        own_kills, code = 0, -9
        while code == -9:
            # after six kills the run may end; it may also end before a kill that comes too late
            last = own_kills == 6 or kills + own_kills == KILLS
            moment = duration * rng.choice((0.3, 1.0)) * rng.random()
            sent, stored = len(server.requests), cached(folder, url, set(every))
            code = runner.run(folder, 100.0 if last else moment)
            assert code in (0, -9), (folder / "log").read_text()
            own_kills += code == -9
            assert not stored & set(queries(server)[sent:]), "a query with a cached response was repeated"
            tables = folder / "data/sample/wikidata"
            assert not tables.exists() or hashes(tables) == expected, "incomplete tables"
        assert hashes(folder / "data/sample/wikidata") == expected
        sent_queries = Counter(queries(server))
        assert set(sent_queries) == set(every)
        # only the queries in flight at a kill can have been repeated
        assert sent_queries.total() <= every.total() + own_kills * IN_FLIGHT
        kills += own_kills
    return f"the same bytes in each of {folders} folders; no query with a cached response was repeated"
