"""A local SPARQL server: the oxigraph binary of the PyPI package, on a loopback port."""

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

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_PR_SET_PDEATHSIG = 1


@contextmanager
def serving(facts: Sequence[Path], port: int | None = None) -> Iterator[str]:
    """The URL of a SPARQL endpoint that serves `facts` while the block runs.

    facts: Turtle or N-Triples files (may be gzipped), folders of them, or folders with the tables of a KGTK subset.
    port: on 127.0.0.1; None takes a free one.

    Raises HgldError when there are no facts, a file is not valid RDF, or the server does not start.
    """
    with tempfile.TemporaryDirectory(prefix="hgld-oxigraph-") as scratch:
        store = Path(scratch) / "store"
        _load(facts_files(facts, Path(scratch)), store)
        with _server(store, port, Path(scratch) / "server.log") as endpoint:
            yield endpoint


def facts_files(facts: Sequence[Path], scratch: Path) -> list[Path]:
    """The RDF files in `facts`, in a fixed order; KGTK tables are converted to a file in `scratch`."""
    files: list[Path] = []
    for number, path in enumerate(map(Path, facts)):
        if path.is_dir() and is_subset(path):
            converted = scratch / f"subset-{number}.nt"
            subset_to_ntriples(path, converted)
            files.append(converted)
        elif path.is_dir():
            files += sorted(file for file in path.iterdir() if is_rdf(file))
        elif is_rdf(path):
            files.append(path)
    if not files:
        raise HgldError(f"no facts in {', '.join(map(str, facts))}: expected files {', '.join(RDF)}")
    return files


def is_rdf(path: Path) -> bool:
    """Whether the name of a file is that of an RDF file."""
    return path.name.endswith(RDF)


def stop_request() -> threading.Event:
    """An event that is set on SIGINT (Ctrl-C) or SIGTERM.

    The handlers replace any other disposition: a shell starts its background jobs with SIGINT ignored.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _binary() -> str:
    beside = Path(sys.executable).with_name("oxigraph")
    binary = str(beside) if beside.is_file() else shutil.which("oxigraph")
    if not binary:
        raise HgldError("no oxigraph program; install it with: pip install oxigraph")
    return binary


def _load(files: list[Path], store: Path) -> None:
    # one process per file, so that an error names its file
    for path in files:
        if not path.is_file():
            raise HgldError(f"no file {path}")
        command = [_binary(), "load", "--location", str(store), "--file", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HgldError(f"{path}: not valid RDF: {_tail(done.stderr)}")


@contextmanager
def _server(store: Path, port: int | None, log: Path) -> Iterator[str]:
    # another program may take a free port before the server does: then another port is tried
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
            raise HgldError(f"oxigraph did not start on port {chosen}: {_tail(log.read_text(errors='replace'))}")


def _die_with_parent() -> None:
    """Runs in the server's process: on Linux the kernel kills it when its parent ends, however that ends."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port(port: int = 0) -> int:
    """`port`, or any free one for 0. Checked here, as oxigraph would share a port with another server."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise HgldError(f"port {port} cannot be used: {error.strerror}; choose another port") from None
        return int(probe.getsockname()[1])


def _is_up(process: "subprocess.Popen[bytes]", port: int) -> bool:
    """Whether the server accepts connections before it exits or the time is over."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            time.sleep(0.05)  # if another program has the port, our server exits at once
            return process.poll() is None
        time.sleep(0.02)
    return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(text: str) -> str:
    return " ".join(text.split())[-200:]
