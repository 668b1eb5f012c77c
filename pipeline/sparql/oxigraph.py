"""A SPARQL server on this machine: the oxigraph binary of the PyPI package, on a free loopback port."""

import ctypes
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.pipeline.sparql.kgtk import is_subset, subset_to_ntriples

RDF = (".ttl", ".nt", ".ttl.gz", ".nt.gz")

_STARTS_WITHIN_S = 30.0
_STOPS_WITHIN_S = 10.0
_PR_SET_PDEATHSIG = 1


@contextmanager
def serving(facts: Sequence[Path], port: int | None = None) -> Iterator[str]:
    """The URL of a SPARQL endpoint that serves `facts` while the block runs; stopped and cleaned up in any case.

    facts: Turtle or N-Triples files (gzipped, if you like), folders of them, or folders that hold a subset's tables
    (see `subset`).
    port: on 127.0.0.1; None takes a free one.

    Raises HgldError when there are no facts, a file is not valid RDF, or the server does not start.
    """
    with tempfile.TemporaryDirectory(prefix="hgld-oxigraph-") as scratch:
        store = Path(scratch) / "store"
        _load(facts_files(facts, Path(scratch)), store)
        with _server(store, port, Path(scratch) / "server.log") as endpoint:
            yield endpoint


def facts_files(facts: Sequence[Path], scratch: Path) -> list[Path]:
    """The RDF files that `facts` stand for, in a fixed order; tables are converted into `scratch`."""
    files: list[Path] = []
    for number, path in enumerate(map(Path, facts)):
        if path.is_dir() and is_subset(path):
            converted = scratch / f"subset-{number}.nt"
            subset_to_ntriples(path, converted)
            files.append(converted)
        elif path.is_dir():
            files += sorted(one for one in path.iterdir() if is_rdf(one))
        elif is_rdf(path):
            files.append(path)
    if not files:
        raise HgldError(
            f"no facts in {', '.join(map(str, facts)) or 'nothing'}: expected files {', '.join(RDF)}"
        )
    return files


def is_rdf(path: Path) -> bool:
    """Whether a file is one of those that are served, by its name."""
    return path.name.endswith(RDF)


def stop_request() -> threading.Event:
    """An event that is set when the user presses Ctrl-C or the process is told to end.

    Installed outright: a shell starts its background jobs with SIGINT ignored, and they would never hear of it.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _binary() -> str:
    beside = Path(sys.executable).with_name("oxigraph")
    found = str(beside) if beside.is_file() else shutil.which("oxigraph")
    if not found:
        raise HgldError("no oxigraph program; install it with: pip install oxigraph")
    return found


def _load(files: list[Path], store: Path) -> None:
    # one load per file: an error then names the file that it is in
    for path in files:
        if not path.is_file():
            raise HgldError(f"no file {path}")
        command = [_binary(), "load", "--location", str(store), "--file", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HgldError(f"{path}: not valid RDF: {_tail(done.stderr)}")


@contextmanager
def _server(store: Path, port: int | None, log: Path) -> Iterator[str]:
    # a free port may be taken between finding it and using it: another one is tried
    for attempts_left in (2, 1, 0):
        chosen = _free_port(port or 0)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [_binary(), "serve-read-only", "--location", str(store), "--bind", f"127.0.0.1:{chosen}"],
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,
            )
        try:
            if _is_up(process, chosen):
                yield f"http://127.0.0.1:{chosen}/query"
                return
        finally:
            _stop(process)
        if port or not attempts_left:
            raise HgldError(
                f"oxigraph did not start on port {chosen}: {_tail(log.read_text(errors='replace'))}"
            )


def _die_with_parent() -> None:
    """In the server's process: end when the process that started it does, even when that one is killed (on Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port(port: int = 0) -> int:
    """`port`, or any free one for 0. Asked here: oxigraph itself would share a port that another one serves."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise HgldError(f"port {port} cannot be used: {error.strerror}; choose another one") from None
        return int(probe.getsockname()[1])


def _is_up(process: "subprocess.Popen[bytes]", port: int) -> bool:
    """Whether the server accepts connections before it ends or the time is over."""
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            time.sleep(0.05)  # another program may hold the port: then ours ends at once
            return process.poll() is None
        time.sleep(0.02)
    return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(text: str) -> str:
    return " ".join(text.split())[-200:]
