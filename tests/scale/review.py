"""`hgld review` at GLDv2's size: how long an annotator waits, and that no verdict is lost under load.

    python -m tests.scale.review [--fraction 1.0] [--queue 100000] [--verdicts 20000] [--folder DIR]
    python -m tests.scale.review --kills 50 --clients 4 --each 2000 --fraction 0.1

The first writes the tables of 203,094 landmarks, a queue and verdicts, and measures a real server: seconds to the
address, to the first item, for 200 items anywhere in the queue, for saving a verdict, and for the quality page.

With --kills, the server is instead killed that often (SIGKILL) at random moments while clients judge; then two servers,
of two annotators, get --each verdicts from each of the clients. Every verdict that was called saved must be in the
files exactly once, and of the others at most those that were on their way: one per client and kill.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Timer
from urllib.parse import unquote

import requests

from hgld.hierarchy.curation.verdicts import load_verdicts
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from tests.paths import ROOT
from tests.scale import review_world
from tests.scale.metadata import Size

LABEL = "lake"
ITEMS = 200
STARTS = 3


@dataclass
class Server:
    """A running `hgld review`, with the seconds, and those of CPU, that it took to print its address, and a client."""

    process: subprocess.Popen[str]
    address: str
    seconds: float
    cpu: float
    client: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.client.trust_env = False
        self.client.get(self.address, timeout=60).raise_for_status()

    def get(self, path: str) -> requests.Response:
        """A page or an answer."""
        answer = self.client.get(self.address.partition("/?")[0] + path, timeout=600)
        answer.raise_for_status()
        return answer

    def post(self, path: str, body: object) -> requests.Response:
        """Send an answer."""
        return self.client.post(self.address.partition("/?")[0] + path, json=body, timeout=600)


@contextmanager
def serving(annotator: str) -> Iterator[Server]:
    """`hgld review` of the working directory, killed at the end."""
    command = [sys.executable, "-m", "hgld.cli", "review", "--annotator", annotator, "--no-browser",
               "--profile", review_world.PROFILE]  # fmt: skip
    started = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".typing")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address.startswith("http://"):
                sys.exit(f"no address: {address}")
            yield Server(process, address, time.monotonic() - started, cpu_seconds(process.pid))
        finally:
            process.kill()


def cpu_seconds(pid: int) -> float:
    """The seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Make the world, and measure, or kill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fraction", type=float, default=1.0, help="fraction of GLDv2's size (default: 1)")
    parser.add_argument("--queue", type=int, default=100_000, help="items in the queue (default: 100,000)")
    parser.add_argument("--verdicts", type=int, default=20_000, help="verdicts of the quality page (default: 20,000)")
    parser.add_argument("--kills", type=int, default=0, help="how often to kill the server")
    parser.add_argument("--clients", type=int, default=4, help="clients that judge at the same time (default: 4)")
    parser.add_argument("--each", type=int, default=2000, help="verdicts of each client (default: 2,000)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills (default: 0)")
    parser.add_argument("--folder", type=Path, help="work in this folder, and use the tables that are there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hgld-review-") as scratch:
        folder = (arguments.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        size = Size().scaled(arguments.fraction)
        params = review_world.make(folder, size)
        table = review_world.write_queue(params, arguments.queue)
        if arguments.kills:
            kill(arguments.kills, arguments.clients, random.Random(arguments.seed))
            load(arguments.clients, arguments.each)
        else:
            measure(lambda: review_world.write_verdicts(table, arguments.verdicts))


# ---- how long it takes


def measure(write_verdicts: Callable[[], None]) -> None:
    """Print what an annotator waits for, without and with verdicts of others."""
    print(f"{'':<44}{'s':>8}{'worst s':>10}{'CPU s':>8}", flush=True)
    for heading, prepare in (("no verdicts", lambda: None), ("many verdicts", write_verdicts)):
        prepare()
        starts = []
        for _ in range(STARTS):
            with serving("dora") as server:
                starts.append((server.seconds, server.cpu))
        show(f"{heading}: to the address", starts)
        with serving("dora") as server:
            _measure_session(server)
        shutil.rmtree("review", ignore_errors=True)


def _measure_session(server: Server) -> None:
    def times(*actions: Callable[[], object]) -> list[tuple[float, float]]:
        return [timed(server, action) for action in actions]

    show("from the address to the first item", times(lambda: _open_page(server)))
    count = server.get("/api/session").json()["progress"]["items"]
    chosen = random.Random(0).sample(range(1, count), ITEMS)
    found: dict[int, str] = {}

    def item(position: int) -> None:
        found[position] = server.get(f"/api/items/{position}").json()["category"]

    show(f"an item, {ITEMS} of {count:,}", times(*(partial(item, position) for position in chosen)))
    show("a verdict", times(*(partial(judge, server, position, found[position]) for position in chosen)))
    show("the quality page", times(lambda: server.get("/quality"), lambda: server.get("/quality")))
    shown = server.get("/quality").text
    if "Open conflicts" in shown:
        names = re.findall(r'href="/[?]landmark=([^"]*)"', shown)
        opened = [partial(server.post, "/api/items", {"category": unquote(name)}) for name in names[:5]]
        show("to open a conflict", times(*opened))


def _open_page(server: Server) -> None:
    """What the page asks for before an annotator sees something."""
    for path in ("/", "/api/session", "/api/labels", "/api/outline", "/api/items/0"):
        server.get(path)


def timed(server: Server, action: Callable[[], object]) -> tuple[float, float]:
    """The seconds that an action takes, and those of the CPU of the server."""
    started, before = time.monotonic(), cpu_seconds(server.process.pid)
    action()
    return time.monotonic() - started, cpu_seconds(server.process.pid) - before


def show(name: str, samples: Sequence[tuple[float, float]]) -> None:
    """Print the median, the worst of several, and the mean of the CPU."""
    seconds = [wall for wall, _ in samples]
    worst = f"{max(seconds):>10.3f}" if len(seconds) > 1 else f"{'':>10}"
    mean = statistics.fmean(cpu for _, cpu in samples)
    print(f"{name:<44}{statistics.median(seconds):>8.3f}{worst}{mean:>8.3f}", flush=True)


def judge(server: Server, position: int, category: str) -> bool:
    """Whether a verdict is said to be saved."""
    body = {"category": category, "label": LABEL}
    return server.post(f"/api/items/{position}/verdict", body).status_code == 200


# ---- that nothing is lost


def kill(kills: int, clients: int, rng: random.Random) -> None:
    """Kill a server under load, so many times, and count its verdicts after each."""
    saved: Counter[str] = Counter()
    for number in range(kills):
        with serving("ana") as server:
            count = server.get("/api/session").json()["progress"]["items"]
            if count < 100 * clients:
                sys.exit("the queue is at an end; take a larger --fraction")
            server.get("/api/items/0")  # the tables are read now
            Timer(rng.uniform(0.05, 1.5), server.process.send_signal, [signal.SIGKILL]).start()
            with ThreadPoolExecutor(clients) as pool:
                for names in pool.map(_until_killed, [server.address] * clients, _shares(count, clients)):
                    saved.update(names)
        found = _found("ana")
        _check(saved, found, (number + 1) * clients)
    if len(saved) < kills:
        sys.exit(f"only {len(saved)} verdicts were saved before {kills} kills, which shows nothing")
    print(f"{kills} kills, {clients} clients: {sum(saved.values()):,} verdicts called saved, each found exactly once; "
          f"{sum(found.values()) - sum(saved.values())} more were on their way")  # fmt: skip


def _shares(count: int, clients: int) -> list[range]:
    return [range(number, count, clients) for number in range(clients)]


def _until_killed(address: str, positions: range) -> list[str]:
    """The categories whose verdicts were called saved before the server ended."""
    done = []
    try:
        client = _client(address)
        for position in positions:
            category = client.get(f"/api/items/{position}").json()["category"]
            if judge(client, position, category):
                done.append(category)
    except requests.RequestException:
        pass
    return done


def load(clients: int, each: int) -> None:
    """Half of the clients judge for one annotator, the others for another, all at the same time."""
    started = time.monotonic()
    with serving("bob") as first, serving("cleo") as second, ThreadPoolExecutor(clients) as pool:
        addresses = [(first, second)[number % 2].address for number in range(clients)]
        count = first.get("/api/session").json()["progress"]["items"]
        shares = [range(number // 2, count, -(-clients // 2))[:each] for number in range(clients)]
        if any(len(share) < each for share in shares):
            sys.exit(f"the queue has {count:,} items; take a larger --fraction")
        done = list(pool.map(_until_killed, addresses, shares))
    for place, annotator in enumerate(("bob", "cleo")):
        saved = Counter(category for names in done[place::2] for category in names)
        _check(saved, _found(annotator), 0)
    total = sum(map(len, done))
    if total != clients * each:
        sys.exit(f"{total:,} of {clients * each:,} verdicts were saved")
    print(f"{clients} clients: {total:,} verdicts in {time.monotonic() - started:.0f} s, each found exactly once")


def _client(address: str) -> Server:
    """Another browser of a server that runs elsewhere."""
    return Server(None, address, 0.0, 0.0)  # type: ignore[arg-type]


def _found(annotator: str) -> Counter[str]:
    table = load_verdicts(Path("review"), load_taxonomy(review_world.CURATED).natures)
    return Counter(table.loc[table["annotator"] == annotator, "category"])


def _check(saved: Counter[str], found: Counter[str], on_their_way: int) -> None:
    """Exit unless what was called saved is there once, and hardly anything else."""
    lost = sum(name not in found for name in saved)
    twice = sum(count > 1 for count in found.values())
    more = len(found) - len(saved)
    if lost or twice or more > on_their_way:
        sys.exit(f"{lost} verdicts are lost, {twice} are there twice, {more} were never called saved")


if __name__ == "__main__":
    main()
