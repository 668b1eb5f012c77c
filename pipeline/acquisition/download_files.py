"""Many files from GLDv2's server or from a folder laid out like it: room made sure of, in parallel, each verified."""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from tqdm import tqdm

from hgld.foundation.errors import HgldError, suggest
from hgld.pipeline.acquisition.http_resume import DiskError, Part, Progress, transfer
from hgld.pipeline.acquisition.manifest import Entry, Manifest
from hgld.pipeline.acquisition.retry import StoppedError
from hgld.pipeline.acquisition.source import Facts, MissingError, Source, published_md5

# So many files that fail one after the other: the server is gone, or the line is.
_HOPELESS = 5
_SHOWN = 20

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Wanted:
    """A file to fetch: its name below the source, and where it shall stand."""

    name: str
    target: Path
    optional: bool = False


@dataclass(frozen=True)
class _Plan:
    wanted: Wanted
    facts: Facts
    published: str | None
    accepted: str | None

    @property
    def good(self) -> set[str]:
        """The MD5s that the file may have; empty: any."""
        return {one for one in (self.published, self.accepted) if one}


def fetch_all(
    source: Source,
    wanted: Sequence[Wanted],
    folder: Path,
    *,
    require_md5: bool,
    accept: Mapping[str, str] | None = None,
) -> dict[str, Entry]:
    """Bring every file to its place, whole and with the published MD5 where there is one; what each is, by name.

    A file that already stands there verified is left; a part of one is continued. `folder` gets `manifest.json`.
    accept: the MD5 that a file may have beside the published one; it is noted in the manifest, and holds from then on.
    An optional file that the source does not have is left out.

    Raises HgldError that lists the files that could not be had; the others are there, and the next run finds them.
    """
    accept = dict(accept or {})
    for name in accept:
        if name not in (names := [one.name for one in wanted]):
            raise HgldError(f"--accept-md5: no file '{name}' is fetched here{suggest(name, names)}")
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(folder / "manifest.json")

    def plan(one: Wanted) -> _Plan | None:
        return _plan(source, one, manifest, accept.get(one.name), require_md5)

    plans = [one for one in _in_parallel(source, plan, wanted) if one]
    _make_sure_of_room(plans, folder)
    with _byte_bar(sum(one.facts.size or 0 for one in plans)) as progress:
        _in_parallel(source, lambda one: manifest.add(_bring(source, one, manifest, progress)), plans)
    return {entry.file: entry for entry in manifest.keep_only([one.wanted.name for one in plans])}


def _plan(
    source: Source, wanted: Wanted, manifest: Manifest, accept: str | None, require_md5: bool
) -> _Plan | None:
    """What the source says of the file; None: it has none and none is needed."""
    try:
        facts = source.facts(wanted.name)
    except MissingError:
        if wanted.optional:
            return None
        raise
    published, known = published_md5(source, wanted.name), manifest.get(wanted.name)
    accepted = accept or (known.md5_accepted if known else None)
    if not (published or accepted) and require_md5:
        raise HgldError(
            f"{source.place(wanted.name)}: no MD5 is published for it; give one with "
            f"--accept-md5 {wanted.name}=MD5, or set require_md5: false where params.yaml has it"
        )
    return _Plan(wanted, facts, published, accepted)


def _bring(source: Source, plan: _Plan, manifest: Manifest, progress: Progress) -> Entry:
    name, target = plan.wanted.name, plan.wanted.target
    known = manifest.get(name)
    if target.is_file() and (plan.good or (known and known.etag and known.etag == plan.facts.etag)):
        md5, sha256 = digests(target)
        if md5 in plan.good or (not plan.good and known and known.sha256 == sha256):
            progress(target.stat().st_size)
            return _entry(source, plan, plan.facts.etag or (known.etag if known else None), md5, sha256)
    part = Part(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    etag = None
    if not source.remote:
        _copy(source.path(name), part, progress)
        md5, sha256 = digests(part.path)
    else:
        progress(part.size)
        etag, md5, sha256 = _transferred(source, plan, part, progress)
    if plan.good and md5 not in plan.good:
        raise HgldError(_disagreement(source, plan, md5, part.path.stat().st_size))
    with part.path.open("rb") as handle:
        os.fsync(handle.fileno())
    part.finish(target)
    return _entry(source, plan, etag, md5, sha256)


def _transferred(source: Source, plan: _Plan, part: Part, progress: Progress) -> tuple[str | None, str, str]:
    """Bring the part over HTTP: its ETag, MD5 and SHA-256.

    It is brought once more, from nothing, when the transfer went well and the file is wrong all the same in a way that
    may pass: it came in pieces, which may be of different versions, or its size is not what was announced before (a
    page that asks to log in, say).

    Raises HgldError when the size is wrong again and there is no MD5 that would tell whether that matters.
    """
    name, announced = plan.wanted.name, plan.facts.size
    for once_more in (True, False):
        etag, continued = transfer(source, name, part, sure=bool(plan.good), progress=progress)
        md5, sha256 = digests(part.path)
        size = part.path.stat().st_size
        other = announced not in (None, size)
        if md5 in plan.good or not (other or (continued and plan.good)):
            break
        if once_more:
            progress(-size)
            part.discard()
        elif not plan.good:
            raise HgldError(f"{source.place(name)}: {size:,} bytes came, {announced:,} were announced")
    return etag, md5, sha256


def _entry(source: Source, plan: _Plan, etag: str | None, md5: str, sha256: str) -> Entry:
    name, size = plan.wanted.name, plan.wanted.target.stat().st_size
    return Entry(name, source.place(name), size, etag, plan.published, plan.accepted, md5, sha256)


def _disagreement(source: Source, plan: _Plan, found: str, size: int) -> str:
    name = plan.wanted.name
    said = f"published is {plan.published}" if plan.published else "none is published"
    accepted = f" and accepted {plan.accepted}" if plan.accepted else ""
    if plan.facts.size not in (None, size):
        return (
            f"{source.place(name)}: MD5 is {found}, {said}{accepted}; {size:,} bytes came and {plan.facts.size:,} were "
            "announced, twice: something else answers for the source; look what it is, and run the stage again"
        )
    return (
        f"{source.place(name)}: MD5 is {found}, {said}{accepted}; the file at the source is damaged or was replaced, "
        f"and fetching it again will not help before it is repaired there. If you trust the file as it is: "
        f"--accept-md5 {name}={found}"
    )


def _copy(path: Path, part: Part, progress: Progress) -> None:
    try:
        shutil.copyfile(path, part.path)
    except OSError as error:
        part.discard()
        raise DiskError(f"cannot copy {path} to {part.path}: {error.strerror}") from None
    progress(part.path.stat().st_size)


def digests(path: Path) -> tuple[str, str]:
    """MD5 and SHA-256 of a file, read once."""
    both = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            for one in both:
                one.update(chunk)
    return both[0].hexdigest(), both[1].hexdigest()


def _make_sure_of_room(plans: list[_Plan], folder: Path) -> None:
    """Raise HgldError when the disk has less room than the files that are still to come."""
    needed = 0
    for one in plans:
        target, size = one.wanted.target, one.facts.size or 0
        # a file of another size is an old one, and stays until the new one is whole
        if not (target.is_file() and target.stat().st_size == size):
            needed += max(size - Part(target).size, 0)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise HgldError(
            f"{folder}: {needed / 1e9:,.1f} GB are still to come and the disk has {free / 1e9:,.1f} GB free; "
            "make room, or have fewer files fetched"
        )


@contextmanager
def _byte_bar(total: int) -> Iterator[Progress]:
    """A bar of bytes with rate and remaining time; nothing where nobody watches."""
    lock = threading.Lock()
    with tqdm(total=total, unit="B", unit_scale=True, desc="fetch", disable=None) as bar:

        def progress(count: int) -> None:
            with lock:
                bar.update(count)

        yield progress


def _in_parallel(source: Source, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The results, in order, of `source.parallel` workers.

    Raises HgldError that lists what failed, after the others are done; at once when going on is hopeless.
    """
    faults: dict[int, str] = {}
    in_a_row, lock = 0, threading.Lock()

    def one(at: int) -> Result | None:
        nonlocal in_a_row
        try:
            result = work(items[at])
        except StoppedError:
            return None
        except HgldError as error:
            with lock:
                faults[at] = str(error)
                in_a_row += 1
                if in_a_row >= _HOPELESS or isinstance(error, DiskError):
                    source.gate.stop()
            return None
        in_a_row = 0
        return result

    with ThreadPoolExecutor(source.parallel) as pool:
        try:
            results = list(pool.map(one, range(len(items))))
        except BaseException:
            source.gate.stop()
            pool.shutdown(cancel_futures=True)
            raise
    if faults:
        raise HgldError(_listed([faults[at] for at in sorted(faults)], len(items), source.gate.stopped))
    return cast(list[Result], results)  # None stands only beside a fault


def _listed(faults: list[str], total: int, stopped: bool) -> str:
    more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
    if stopped and total > len(faults):
        more.append("the others were not waited for")
    head = [f"{len(faults)} of {total} files could not be had:"] if len(faults) > 1 else []
    return "\n".join([*head, *faults[:_SHOWN], *more])
