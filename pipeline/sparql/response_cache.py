"""Responses of a SPARQL endpoint on disk, so that a run that was killed at any point repeats no query.

One file per response, named by the SHA-256 of the endpoint's URL and the query text: compressed, written to a temporary
file and renamed. A file that is damaged, or of another query, counts as missing.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from hgld.foundation.files import replacing
from hgld.pipeline.sparql.rdf_terms import Row

_GZIP_LEVEL = 3  # a third of the time of the default level, files 10 % larger


def response_path(folder: Path, url: str, query: str) -> Path:
    """The file of the response of the endpoint `url` to `query`, whether or not it exists."""
    return folder / f"{_key(url, query)}.json.gz"


def store(folder: Path, url: str, query: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Write the response to `query`, atomically."""
    entry = {"endpoint": url, "key": _key(url, query), "columns": list(columns), "rows": rows}
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    with replacing(response_path(folder, url, query)) as part:
        part.write_bytes(gzip.compress(text.encode("utf-8"), _GZIP_LEVEL, mtime=0))


def load(folder: Path, url: str, query: str, columns: Sequence[str]) -> list[Row] | None:
    """The stored response to `query`; None where there is no valid one."""
    try:
        entry = json.loads(gzip.decompress(response_path(folder, url, query).read_bytes()))
        rows = [tuple(row) for row in entry["rows"]]
        matches = entry["key"] == _key(url, query) and entry["columns"] == list(columns)
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, RecursionError):
        return None
    valid = set(map(len, rows)) <= {len(columns)} and set(map(type, chain.from_iterable(rows))) <= {str}
    return rows if matches and valid else None


def _key(url: str, query: str) -> str:
    return hashlib.sha256(f"{url}\n{query}".encode()).hexdigest()
