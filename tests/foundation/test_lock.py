"""One run at a time per folder."""

import fcntl
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.lock import exclusive


def test_second_run_is_refused_and_leftovers_are_deleted(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / ".manifest.json.x1.part").mkdir(parents=True)
    (tmp_path / ".out.x2.part").mkdir()
    with exclusive(out):
        with pytest.raises(HgldError, match="another run is writing there"), exclusive(out):
            pass
        assert list(out.iterdir()) == [] and not (tmp_path / ".out.x2.part").exists()
    with exclusive(out), (tmp_path / ".out.lock").open() as handle, pytest.raises(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
