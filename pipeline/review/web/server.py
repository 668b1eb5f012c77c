"""`hgld review` in the browser: a server on this machine that ends with Ctrl-C."""

import gc
import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import uvicorn
from fastapi import FastAPI

from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.hierarchy.curation.verdicts import REVIEW_FOLDER, verdict_file
from hgld.pipeline.review.candidate_tables import CandidateTables
from hgld.pipeline.review.class_evidence import ClassEvidence
from hgld.pipeline.review.desk import Desk
from hgld.pipeline.review.label_help import LabelHelp
from hgld.pipeline.review.landmark_evidence import LandmarkEvidence
from hgld.pipeline.review.landmark_pictures import LandmarkPictures
from hgld.pipeline.review.quality import quality
from hgld.pipeline.review.queue_items import Selection, chosen_items
from hgld.pipeline.review.web.adjudication import Adjudication
from hgld.pipeline.review.web.app import Sources, make_app
from hgld.pipeline.review.web.guard import Guard

HOST = "127.0.0.1"


def review(
    params: Params,
    annotator: str,
    selection: Selection | None = None,
    *,
    folder: Path = REVIEW_FOLDER,
    port: int | None = None,
    browser: bool = True,
    ready: Callable[[str], None] = echo,
) -> int:
    """Serve the review page until Ctrl-C; returns the number of verdicts written.

    selection: which items; by default all of the queue. port: on 127.0.0.1, by default a free one.
    browser: open the page. ready: is called with the address, which has the key of this run.

    Raises HgldError for an invalid name of the annotator, a missing queue, a malformed verdict file, an unknown
    landmark, and a port in use.
    """
    path = verdict_file(folder, annotator)
    labels = LabelHelp(params)
    names = list(labels.natures)
    with _lasting_objects():
        items = chosen_items(params, selection or Selection(), folder, names, annotator)
        desk = Desk(items, names, annotator, folder, params.profile)
    if not items:
        echo("Nothing to review.")
        return 0
    pictures = LandmarkPictures(params)
    listener = listen(port)
    token = secrets.token_urlsafe(24)
    guard = Guard(listener.getsockname()[1], token)
    evidence, classes, tables = LandmarkEvidence(params, names), ClassEvidence(params), CandidateTables(params, folder)
    adjudication = Adjudication(tables, desk)
    sources = Sources(desk, evidence, classes, pictures, labels, lambda: quality(params, folder, tables), adjudication)
    app = make_app(sources, guard)
    Thread(target=sources.read, daemon=True).start()
    try:
        run(app, listener, token, browser=browser, ready=ready)
    finally:
        pictures.close()
        count = desk.written
        hint = f" in {path}; commit it and run: dvc repro" if count else ""
        echo(f"{count} verdict{'' if count == 1 else 's'}{hint}")
    return count


@contextmanager
def _lasting_objects() -> Iterator[None]:
    """Nothing that is made here will be garbage: to look for some takes a third of the time of reading a long queue."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def run(app: FastAPI, listener: socket.socket, token: str, *, browser: bool, ready: Callable[[str], None]) -> None:
    """Serve an application until Ctrl-C, and open its page; `ready` is called with the address."""
    address = f"http://{HOST}:{listener.getsockname()[1]}/?token={token}"
    ready(address)
    if browser and _has_screen():
        webbrowser.open(address)
    try:
        config = uvicorn.Config(app, log_level="error", access_log=False, server_header=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()


def _has_screen() -> bool:
    """Whether a window can be opened; without one, a text browser would take over the terminal."""
    return sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


def listen(port: int | None) -> socket.socket:
    """A listening socket on the loopback address."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # asyncio sets this on sockets of its own only; without it, each answer waits 40 ms for an acknowledgement
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((HOST, port or 0))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise HgldError(f"port {port}: {error.strerror}; give another --port, or none") from None
    return listener
