"""The KGTK tables as RDF: whole, or an error that names the file."""

import gzip
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.sparql.kgtk import TABLES, subset_to_ntriples

GOOD = gzip.compress(b"child\tparent\nQ1\tQ2\n" * 50)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"child\tparent\n", "not a gzip file"),
        (GOOD[:-10], "cut short"),
        (GOOD[:12] + b"\xff\xff" + GOOD[14:], "damaged|not a gzip file"),
        (gzip.compress(b"child\tparent\nQ1\t\xff\n"), "not UTF-8"),
        (gzip.compress(b""), "found nothing"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    name = next(iter(TABLES))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HgldError, match=message) as caught:
        subset_to_ntriples(tmp_path, tmp_path / "out.nt")
    assert name in str(caught.value)
    assert not (tmp_path / "out.nt").exists()
