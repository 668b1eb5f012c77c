"""`hgld export`: the tables of a release in another format, or its images with their labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.files import check_output, replacing
from hgld.pipeline.release.export.database import write_database
from hgld.pipeline.release.export.sources import Source, sources
from hgld.pipeline.release.export.text_files import write_csv, write_jsonl, write_parquet
from hgld.pipeline.release.export.webdataset import SPLITS, ShardCounts, write_shards
from hgld.pipeline.release.verification.release_tables import read_document

_WRITERS: Mapping[str, Callable[[Source, Path], None]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}

# What identifies a release, in its metadata.json.
_ABOUT: Sequence[str] = ("name", "version", "made_with")


@dataclass(frozen=True)
class Request:
    """What to export: table None for all; images: the folder of the tars, for webdataset; force: replace `out`."""

    form: str
    out: Path
    table: str | None = None
    images: Path | None = None
    shard_mb: int = 1000
    force: bool = False


def export(release: Path, request: Request) -> list[str]:
    """Write the release in `release` as `request` says; returns what was written, a line each.

    One table becomes a file, all tables a folder with a file each; sqlite is always one file, webdataset a folder.

    Raises HgldError for a damaged or unknown table, for an output that exists or is in the release, and when it cannot
    be written; then nothing is written.
    """
    tables = sources(release, request.table)
    _check_out(request, release)
    if request.form == "sqlite":
        document = read_document(release / "metadata.json")
        about = {name: str(document[name]) for name in _ABOUT if name in document}
        with replacing(request.out) as part:
            write_database(tables, part, about)
        return [f"written to {request.out}: {', '.join(source.name for source in tables)}"]
    if request.form == "webdataset":
        return _shards(tables, request)
    write = _WRITERS[request.form]
    if request.table is not None:
        with replacing(request.out) as part:
            write(tables[0], part)
        return [f"written to {request.out}"]
    with replacing(request.out, directory=True) as folder:
        for source in tables:
            write(source, folder / f"{source.name}.{request.form}")
    return [f"written to {request.out}/: {', '.join(f'{source.name}.{request.form}' for source in tables)}"]


def _check_out(request: Request, release: Path) -> None:
    """Raise HgldError for an output that exists, or that would become a part of the release."""
    check_output(request.out, release, request.images)
    out = request.out.resolve()
    if release.resolve() in out.parents:
        raise HgldError(
            f"{request.out} is in the release {release}, whose files are listed there; choose another place"
        )
    if out.exists() and not request.force:
        raise HgldError(f"{request.out} exists; choose another name, or replace it with --force")


def _shards(tables: Sequence[Source], request: Request) -> list[str]:
    chosen = [source for source in tables if source.name in SPLITS]
    if not chosen:
        raise HgldError(f"{request.table} has no images; webdataset is for --table {', '.join(SPLITS)}, or all of them")
    if request.images is None:
        raise HgldError("no image tars: give the folder of images.parquet and the tars with --images")
    with replacing(request.out, directory=True) as folder:
        counts = write_shards(chosen, request.images, folder, request.shard_mb * 1_000_000)
    return [f"written to {request.out}/", *(_count_line(name, count) for name, count in counts.items())]


def _count_line(name: str, count: ShardCounts) -> str:
    absent = f", {count.absent:,} left out: not in the tars" if count.absent else ""
    unreadable = f", {count.unreadable:,} left out: too large" if count.unreadable else ""
    return f"  {name}: {count.written:,} images{absent}{unreadable}"
