"""Stage `download`: GLDv2's metadata, verified and turned into typed Parquet."""

import json
from pathlib import Path

from hgld.hierarchy.files import replacing, sha256, write_text
from hgld.hierarchy.params import Params
from hgld.hierarchy.tables import write_parquet
from hgld.pipeline.fetch import Source, fetch_verified
from hgld.pipeline.metadata import TABLES, read_table


def run(params: Params) -> None:
    """Fetch the nine CSVs into `data/P/downloads` (kept between runs) and write `data/P/metadata`.

    Raises HgldError; then `data/P/metadata` is what it was, and what was fetched whole is not fetched again.
    """
    settings = params.download
    source = Source(settings.source, settings.timeout_s, settings.retries)
    manifest, rows, verified = [], {}, 0
    with replacing(params.data / "metadata", directory=True) as folder:
        for name, table in TABLES.items():
            path = params.data / "downloads" / table.file
            found = fetch_verified(source, f"metadata/{table.file}", path, require_md5=settings.require_md5)
            frame = read_table(name, path)
            write_parquet(frame, folder / f"{name}.parquet")
            rows[name] = len(frame)
            verified += found.verified
            manifest.append(_entry(source, table.file, path, found.md5))
        write_text(json.dumps(rows, indent=2) + "\n", folder / "metrics.json")
    write_text(json.dumps(manifest, indent=2) + "\n", params.data / "downloads" / "manifest.json")
    print(f"{len(rows)} tables, {sum(rows.values()):,} rows, {verified} verified by their published MD5")


def _entry(source: Source, file: str, path: Path, found: str) -> dict[str, object]:
    return {
        "file": file,
        "url": source.place(f"metadata/{file}"),
        "bytes": path.stat().st_size,
        "md5": found,
        "sha256": sha256(path),
    }
