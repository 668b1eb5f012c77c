"""Stage `download`: GLDv2's metadata, verified and converted to typed Parquet."""

import json
from collections.abc import Mapping

from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.files import replacing, write_text
from hgld.foundation.lock import exclusive
from hgld.foundation.settings import Params
from hgld.pipeline.acquisition.csv_to_parquet import empty_parquet, to_parquet
from hgld.pipeline.acquisition.download_files import Download, fetch_all
from hgld.pipeline.acquisition.gldv2_tables import TABLES
from hgld.pipeline.acquisition.source import Source


def run(params: Params, accept: Mapping[str, str] | None = None) -> None:
    """Download the CSVs to `data/P/downloads`, which is kept between runs, and write `data/P/metadata`.

    An optional table (see params.yaml) that the source lacks is written without rows.
    accept: file → an MD5 accepted besides the published one.

    Raises HgldError; then `data/P/metadata` is unchanged, and a further run does not repeat complete downloads.
    """
    settings = params.download
    for name in settings.optional:
        if name not in TABLES:
            raise HgldError(
                f"params.yaml: {params.profile}.download.optional: no table '{name}'{suggest(name, TABLES)}"
            )
    source = Source(settings.source, settings.timeout_s, settings.retries, settings.parallel)
    downloads = params.data / "downloads"
    requested = [
        Download(f"metadata/{table.file}", downloads / table.file, name in settings.optional)
        for name, table in TABLES.items()
    ]
    with exclusive(downloads, params.data / "metadata"):
        entries = fetch_all(source, requested, downloads, require_md5=settings.require_md5, accept=accept)
        rows = {}
        with replacing(params.data / "metadata", directory=True) as folder:
            for (name, table), download in zip(TABLES.items(), requested, strict=True):
                target = folder / f"{name}.parquet"
                if download.name in entries:
                    rows[name] = to_parquet(table, download.target, target)
                else:
                    rows[name] = 0
                    empty_parquet(table, target)
            write_text(json.dumps(rows, indent=2) + "\n", folder / "metrics.json")
    absent = [download.target.name for download in requested if download.name not in entries]
    echo(
        f"{len(entries)} tables, {sum(rows.values()):,} rows, "
        f"{sum(entry.verified for entry in entries.values())} verified by their published MD5"
        + (f"; not at the source: {', '.join(absent)}" if absent else "")
    )
