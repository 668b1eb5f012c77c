"""One run at a time in a stage's folders, and nothing in them that a killed run left half written."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hgld.foundation.errors import HgldError


@contextmanager
def alone(*folders: Path) -> Iterator[None]:
    """Hold the folders against other runs (the system lets go when a process dies), and clear what killed runs left.

    Raises HgldError when another run holds one of them.
    """
    with ExitStack() as held:
        for folder in folders:
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                handle = held.enter_context((folder.parent / f".{folder.name}.lock").open("a"))
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HgldError(f"{folder}: another run writes there; wait for its end") from None
            except OSError as error:
                raise HgldError(
                    f"{folder}: cannot be written to, or not be locked ({error.strerror}); it needs room on a disk of "
                    "this machine"
                ) from None
            for left in [*folder.parent.glob(f".{folder.name}.*.part"), *folder.rglob(".*.part")]:
                shutil.rmtree(left, ignore_errors=True)
        yield
