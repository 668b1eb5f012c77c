"""The manifest records every file, without a timestamp."""

import hashlib
import json
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from tests.hostile_server import HostileServer
from tests.pipeline.acquisition.served_file import BODY, MD5, NAME, URL, fetch, source_of


def test_manifest_has_the_origin_size_and_checksums(server: HostileServer, tmp_path: Path) -> None:
    fetch(source_of(server), tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text()) == [{
        "file": NAME, "url": server.base + URL, "bytes": len(BODY), "etag": server.etag(URL), "md5_published": MD5,
        "md5_accepted": None, "md5": MD5, "sha256": hashlib.sha256(BODY).hexdigest(),
    }]  # fmt: skip


@pytest.mark.parametrize("text", ["[{", f"[{'9' * 5000}]", "[" * 100_000, "\0"])
def test_invalid_manifest_is_named(server: HostileServer, tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(HgldError, match=r"manifest\.json: not a manifest"):
        fetch(source_of(server), tmp_path)


FOREIGN = dict.fromkeys(["file", "url", "etag", "md5_published", "md5_accepted", "md5", "sha256"], 3) | {"bytes": "x"}


@pytest.mark.parametrize("text", ["5", "null", "[7]", json.dumps([FOREIGN])])
def test_foreign_entries_of_a_manifest_are_dropped(server: HostileServer, tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    fetch(source_of(server), tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text())[0]["md5"] == MD5
