"""folder:PATH, a copy of the release as PATH/NAME-VERSION: a shared disk, or the root of a web server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing, sha256
from hgld.pipeline.release.publishing.plan import SAME, Plan, Request, check_unchanged, compare


class LocalFolder:
    """The folder PATH/NAME-VERSION, which is written in one step or not at all."""

    def __init__(self, request: Request) -> None:
        release, place = request.release, request.place
        if not place:
            raise HgldError("folder: without a path; give the folder of the published versions, as in folder:published")
        self._release, self._place = release, place
        self._path = Path(place).expanduser() / release.title
        if self._path.resolve().is_relative_to(release.folder.resolve()):
            raise HgldError(f"{self._path} is inside the release {release.folder}; choose another folder")

    def plan(self, *, must_read: bool) -> Plan:
        """Compare the files; raises HgldError when this version is there with other content."""
        changes = compare(self._release, self._there())
        exists = self._path.exists()
        if exists:
            check_unchanged(str(self._path), changes)
        complete = exists and all(change.action == SAME for change in changes)
        return Plan(f"folder:{self._place}", str(self._path), self._release.version, changes, complete=complete)

    def _there(self) -> dict[str, tuple[int, bool]]:
        try:
            if self._path.exists() and not self._path.is_dir():
                raise HgldError(f"{self._path} is no folder; move it away")
            paths = [path for path in self._path.rglob("*") if not path.is_dir()] if self._path.exists() else []
            return {
                (name := path.relative_to(self._path).as_posix()): (path.stat().st_size, self._equal(name, path))
                for path in paths
                if not path.relative_to(self._path).parts[0].startswith(".")
            }
        except OSError as error:
            raise HgldError(f"{error.filename or self._path}: cannot be read: {error.strerror}") from None

    def _equal(self, name: str, path: Path) -> bool:
        own = self._release.files.get(name)
        return own is not None and own.bytes == path.stat().st_size and own.sha256 == sha256(path)

    def send(self) -> Iterator[str]:
        """Copy the files into a temporary folder, verify the copies, and rename it."""
        with replacing(self._path, directory=True) as part:
            for name, file in self._release.files.items():
                shutil.copyfile(file.path, part / name)
                if sha256(part / name) != file.sha256:
                    raise HgldError(f"{file.path}: changed while it was copied; nothing was published; run it again")
        yield f"published {self._path}"
