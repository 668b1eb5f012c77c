"""The server of the download tests."""

import pytest

from hgld.pipeline.acquisition import retry
from tests.hostile_server import HostileServer
from tests.pipeline.acquisition.served_file import BODY, LISTING, MD5, URL


@pytest.fixture
def server(hostile: HostileServer, monkeypatch: pytest.MonkeyPatch) -> HostileServer:
    """The hostile server with one file and its published MD5; without a backoff, which only takes time."""
    monkeypatch.setattr(retry, "full_jitter", lambda failures: 0.01)
    hostile.files[URL] = BODY
    hostile.files[LISTING] = f"{MD5}  test.csv\n".encode()
    return hostile
