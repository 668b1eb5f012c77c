"""Stage `download`: GLDv2's metadata, verified and turned into typed Parquet."""

import json
from collections.abc import Mapping

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.files import replacing, write_text
from hgld.foundation.settings import Params
from hgld.pipeline.acquisition.csv_to_parquet import empty_parquet, to_parquet
from hgld.pipeline.acquisition.download_files import Wanted, fetch_all
from hgld.pipeline.acquisition.gldv2_tables import TABLES
from hgld.pipeline.acquisition.lock import alone
from hgld.pipeline.acquisition.source import Source


def run(params: Params, accept: Mapping[str, str] | None = None) -> None:
    """Fetch the CSVs into `data/P/downloads` (kept between runs) and write `data/P/metadata`.

    A table that params call optional and that the source does not have becomes a table without rows.
    accept: file → the MD5 that it may have beside the published one.

    Raises HgldError; then `data/P/metadata` is what it was, and what was fetched whole is not fetched again.
    """
    settings = params.download
    for name in settings.optional:
        if name not in TABLES:
            raise HgldError(
                f"params.yaml: {params.profile}.download.optional: no table '{name}'{suggest(name, TABLES)}"
            )
    source = Source(settings.source, settings.timeout_s, settings.retries, settings.parallel)
    downloads = params.data / "downloads"
    wanted = [
        Wanted(f"metadata/{table.file}", downloads / table.file, name in settings.optional)
        for name, table in TABLES.items()
    ]
    with alone(downloads, params.data / "metadata"):
        entries = fetch_all(source, wanted, downloads, require_md5=settings.require_md5, accept=accept)
        rows = {}
        with replacing(params.data / "metadata", directory=True) as folder:
            for (name, table), one in zip(TABLES.items(), wanted, strict=True):
                target = folder / f"{name}.parquet"
                rows[name] = to_parquet(table, one.target, target) if one.name in entries else 0
                if one.name not in entries:
                    empty_parquet(table, target)
            write_text(json.dumps(rows, indent=2) + "\n", folder / "metrics.json")
    absent = [
        table.file for table, one in zip(TABLES.values(), wanted, strict=True) if one.name not in entries
    ]
    print(
        f"{len(entries)} tables, {sum(rows.values()):,} rows, "
        f"{sum(one.verified for one in entries.values())} verified by their published MD5"
        + (f"; the source does not have {', '.join(absent)}" if absent else "")
    )
