"""Files from GLDv2's server or from a folder laid out like it: verified, resumed, several at a time.

What happens to one file is in `_download`: temporary file, hash, compare, move.
"""

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from tqdm import tqdm

from hgld.foundation.errors import HgldError, suggest
from hgld.pipeline.acquisition.http_resume import DiskError, PartialFile, Progress, transfer
from hgld.pipeline.acquisition.manifest import Entry, Manifest
from hgld.pipeline.acquisition.retry import StoppedError
from hgld.pipeline.acquisition.source import MissingError, RemoteFile, Source, published_md5

# After this many failures in a row the server or the connection is down.
_MAX_CONSECUTIVE_FAILURES = 5
_MAX_LISTED = 20

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Download:
    """A file to download: its name below the source, and its path on disk."""

    name: str
    target: Path
    optional: bool = False


@dataclass(frozen=True)
class _Job:
    """A download, and all that is known of the file beforehand."""

    download: Download
    announced: RemoteFile
    previous: Entry | None
    md5_published: str | None
    md5_accepted: str | None

    @property
    def valid_md5s(self) -> set[str]:
        """The MD5s that the file may have; empty when any will do."""
        return {md5 for md5 in (self.md5_published, self.md5_accepted) if md5}


class _Digests(NamedTuple):
    md5: str
    sha256: str
    size: int


def fetch_all(
    source: Source,
    downloads: Sequence[Download],
    folder: Path,
    *,
    require_md5: bool,
    accept: Mapping[str, str] | None = None,
) -> dict[str, Entry]:
    """Download the files and verify them by their published MD5, where there is one; the manifest entries by name.

    A verified file that is already there is not downloaded again, a partial one is resumed. `folder` gets
    `manifest.json`.
    accept: name → an MD5 accepted besides the published one; the manifest records it for later runs.
    An optional file that the source does not have is left out.

    Raises HgldError that lists the files that failed; the others are there, and the next run starts from them.
    """
    accept = dict(accept or {})
    names = [download.name for download in downloads]
    for name in accept:
        if name not in names:
            raise HgldError(f"--accept-md5: no file '{name}' is downloaded here{suggest(name, names)}")
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(folder / "manifest.json")

    def prepare(download: Download) -> _Job | None:
        return _prepare(source, download, manifest.get(download.name), accept.get(download.name), require_md5)

    jobs = [job for job in _in_parallel(source, prepare, downloads) if job]
    _check_free_space(jobs, folder)
    with _byte_bar(sum(job.announced.size or 0 for job in jobs)) as progress:
        _in_parallel(source, lambda job: manifest.add(_download(source, job, progress)), jobs)
    return {entry.file: entry for entry in manifest.keep_only([job.download.name for job in jobs])}


def _prepare(
    source: Source, download: Download, previous: Entry | None, accept: str | None, require_md5: bool
) -> _Job | None:
    """What is known of the file; None for an optional one that the source does not have."""
    try:
        announced = source.stat(download.name)
    except MissingError:
        if download.optional:
            return None
        raise
    published = published_md5(source, download.name)
    accepted = accept or (previous.md5_accepted if previous else None)
    if not (published or accepted) and require_md5:
        raise HgldError(
            f"{source.location(download.name)}: no MD5 is published for it; give one with "
            f"--accept-md5 {download.name}=MD5, or set require_md5: false where params.yaml has it"
        )
    return _Job(download, announced, previous, published, accepted)


def _download(source: Source, job: _Job, progress: Progress) -> Entry:
    """Bring one file to its target: temporary file, hash, compare, move."""
    name, target = job.download.name, job.download.target
    if entry := _verify_existing(source, job):
        progress(entry.bytes)
        return entry
    partial = PartialFile(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.remote:
        etag, digests = _transfer_whole(source, job, partial, progress)
    else:
        _copy(source.path(name), partial, progress)
        etag, digests = None, _hash(partial.path)
    if job.valid_md5s and digests.md5 not in job.valid_md5s:
        raise HgldError(_md5_mismatch(source, job, digests))
    partial.move_to_target()
    return _entry(source, job, etag, digests)


def _verify_existing(source: Source, job: _Job) -> Entry | None:
    """The entry of the file at the target if it is a valid one: by its MD5, or else by its ETag and SHA-256."""
    target, previous, etag = job.download.target, job.previous, job.announced.etag
    unchanged = previous and previous.etag and previous.etag == etag
    if not target.is_file() or not (job.valid_md5s or unchanged):
        return None
    digests = _hash(target)
    if job.valid_md5s:
        valid = digests.md5 in job.valid_md5s
    else:
        valid = previous is not None and previous.sha256 == digests.sha256
    return _entry(source, job, etag or (previous.etag if previous else None), digests) if valid else None


def _transfer_whole(source: Source, job: _Job, partial: PartialFile, progress: Progress) -> tuple[str | None, _Digests]:
    """Complete the partial file over HTTP; its ETag and digests.

    A transfer that succeeds can still give a wrong file: its pieces may belong to different versions, or its size is
    not the announced one (a login page, say). Such a file is downloaded once more, from the start.

    Raises HgldError when the size is wrong again and there is no MD5 that could decide.
    """
    name, announced = job.download.name, job.announced.size
    progress(partial.size)
    for attempts_left in (1, 0):
        etag, resumed = transfer(source, name, partial, has_md5=bool(job.valid_md5s), progress=progress)
        digests = _hash(partial.path)
        wrong_size = announced not in (None, digests.size)
        if digests.md5 in job.valid_md5s or not (wrong_size or (resumed and job.valid_md5s)):
            break
        if attempts_left:
            progress(-digests.size)
            partial.discard()
        elif not job.valid_md5s:
            raise HgldError(
                f"{source.location(name)}: received {digests.size:,} bytes, {announced:,} were announced; a proxy or a "
                "login page may be answering; check the URL"
            )
    return etag, digests


def _copy(path: Path, partial: PartialFile, progress: Progress) -> None:
    try:
        shutil.copyfile(path, partial.path)
    except OSError as error:
        partial.discard()
        raise DiskError(f"cannot copy {path} to {partial.path}: {error.strerror}; free some space") from None
    progress(partial.path.stat().st_size)


def _hash(path: Path) -> _Digests:
    """MD5, SHA-256 and size of a file, read once."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            md5.update(chunk)
            sha256.update(chunk)
    return _Digests(md5.hexdigest(), sha256.hexdigest(), path.stat().st_size)


def _entry(source: Source, job: _Job, etag: str | None, digests: _Digests) -> Entry:
    return Entry(
        file=job.download.name, url=source.location(job.download.name), bytes=digests.size, etag=etag,
        md5_published=job.md5_published, md5_accepted=job.md5_accepted, md5=digests.md5, sha256=digests.sha256,
    )  # fmt: skip


def _md5_mismatch(source: Source, job: _Job, found: _Digests) -> str:
    name = job.download.name
    expected = f"the published MD5 {job.md5_published}" if job.md5_published else "an MD5 (none is published)"
    accepted = f" or the accepted {job.md5_accepted}" if job.md5_accepted else ""
    message = f"{source.location(name)}: expected {expected}{accepted}, found {found.md5}"
    if job.announced.size not in (None, found.size):
        return (
            f"{message}; received {found.size:,} bytes and {job.announced.size:,} were announced, twice: a proxy or a "
            "login page may be answering; check the URL"
        )
    return (
        f"{message}; the file is damaged at the source or was replaced there, so downloading it again will not help. "
        f"If you trust it as it is: --accept-md5 {name}={found.md5}"
    )


def _check_free_space(jobs: list[_Job], folder: Path) -> None:
    """Raise HgldError when the disk has less free space than the remaining files need."""
    needed = 0
    for job in jobs:
        target, size = job.download.target, job.announced.size or 0
        # a file of another size is an old version, which stays until the new one is complete
        if not (target.is_file() and target.stat().st_size == size):
            needed += max(size - PartialFile(target).size, 0)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise HgldError(
            f"{folder}: the download needs {_size(needed)} and the disk has {_size(free)} free; "
            "free some space, or download fewer files"
        )


def _size(count: int) -> str:
    """A number of bytes in the largest unit that leaves at least 1.

    >>> _size(0), _size(999), _size(12_345), _size(5_000_000_000_000)
    ('0 B', '999 B', '12.3 kB', '5,000.0 GB')
    """
    for factor, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count} B"


@contextmanager
def _byte_bar(total: int) -> Iterator[Progress]:
    """A progress bar on a terminal, nothing in a log."""
    lock = threading.Lock()
    with tqdm(total=total, unit="B", unit_scale=True, desc="download", disable=None) as bar:

        def progress(count: int) -> None:
            with lock:
                bar.update(count)

        yield progress


def _in_parallel(source: Source, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The results, in order, from `source.parallel` threads.

    Raises HgldError that lists the failures, once the other items are done; at once when the server or the disk fails.
    """
    errors: dict[int, str] = {}
    consecutive, lock = 0, threading.Lock()

    def guarded(index: int) -> Result | None:
        nonlocal consecutive
        try:
            result = work(items[index])
        except StoppedError:
            return None
        except HgldError as error:
            with lock:
                errors[index] = str(error)
                consecutive += 1
                if consecutive >= _MAX_CONSECUTIVE_FAILURES or isinstance(error, DiskError):
                    source.limiter.stop()
            return None
        consecutive = 0
        return result

    with ThreadPoolExecutor(source.parallel) as pool:
        try:
            results = list(pool.map(guarded, range(len(items))))
        except BaseException:
            source.limiter.stop()
            pool.shutdown(cancel_futures=True)
            raise
    if errors:
        raise HgldError(*_summary([errors[index] for index in sorted(errors)], len(items), source))
    return cast(list[Result], results)  # None only stands beside an error


def _summary(errors: list[str], total: int, source: Source) -> list[str]:
    lines = [f"{len(errors)} of {total} downloads failed:"] if len(errors) > 1 else []
    lines += errors[:_MAX_LISTED]
    if len(errors) > _MAX_LISTED:
        lines.append(f"and {len(errors) - _MAX_LISTED} more")
    if source.limiter.stopped and total > len(errors):
        lines.append("the others were cancelled")
    return lines
