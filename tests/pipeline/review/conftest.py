"""A checkout with a queue, pictures and a taxonomy, and `hgld review` as a process that serves it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests

from hgld.foundation.tables import write_parquet
from hgld.pipeline.stages import queue
from tests.paths import ROOT


@dataclass
class Served:
    """A running `hgld review`: its address with the key, and a client that has the cookie."""

    process: subprocess.Popen[str]
    address: str
    client: requests.Session

    @property
    def root(self) -> str:
        return self.address.partition("/?")[0]

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.client.get(self.root + path, timeout=60, **more)

    def post(self, path: str, body: object, **more: Any) -> requests.Response:
        return self.client.post(self.root + path, json=body, timeout=60, **more)

    def judge(self, position: int, label: str, comment: str = "") -> requests.Response:
        category = self.get(f"/api/items/{position}").json()["category"]
        body = {"category": category, "label": label, "comment": comment}
        return self.post(f"/api/items/{position}/verdict", body)

    def stop(self) -> str:
        """End it as Ctrl-C does; what it printed."""
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=60)[0]


@pytest.fixture
def checkout(pictured, proposed) -> Path:
    """The working directory: a params.yaml with a profile, and the outputs of the stages up to the queue."""
    queue.run(proposed.params)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text, encoding="utf-8")
    shutil.copytree(ROOT / "hierarchy/curated", "hierarchy/curated", dirs_exist_ok=True)
    data = proposed.params.data
    considered = {"category": ["Red Chapel"], "qid": ["Q101"], "class": ["Q16970"], "outcome": ["decides"],
                  "hierarchical_label": ["church"]}  # fmt: skip
    write_parquet(pd.DataFrame(considered), data / "build" / "considered.parquet")
    return Path.cwd()


@pytest.fixture
def serve(checkout: Path) -> Iterator[Callable[..., Served]]:
    """Start `hgld review --annotator ana`, or with other words; each server is ended with the test."""
    running: list[Served] = []

    def start(*words: str, annotator: str = "ana", setup: str = "") -> Served:
        arguments = ["review", "--annotator", annotator, "--no-browser", *words]
        code = f"{setup}\nfrom hgld.cli import main\nmain({arguments!r})"
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=checkout, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address.startswith("http://127.0.0.1:"):  # it has ended, or is about to; wait for it
            raise AssertionError(address + process.communicate(timeout=60)[0])
        client = requests.Session()
        client.trust_env = False
        assert client.get(address, timeout=60).status_code == 200
        running.append(Served(process, address, client))
        return running[-1]

    yield start
    for served in running:
        served.client.close()
        if served.process.poll() is None:
            served.process.kill()
        served.process.communicate()
