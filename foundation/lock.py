"""One run at a time per folder."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hgld.foundation.errors import HgldError


@contextmanager
def exclusive(*folders: Path) -> Iterator[None]:
    """Lock the folders against other runs, and delete the temporary files that killed runs left in them.

    The operating system releases the locks when the process ends, however it ends.

    Raises HgldError when another run holds one of the locks.
    """
    with ExitStack() as locks:
        for folder in folders:
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                handle = locks.enter_context((folder.parent / f".{folder.name}.lock").open("a"))
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HgldError(f"{folder}: another run is writing there; wait until it ends") from None
            except OSError as error:
                raise HgldError(
                    f"{folder}: cannot be written or locked ({error.strerror}); use a local disk with free space"
                ) from None
            for leftover in [*folder.parent.glob(f".{folder.name}.*.part"), *folder.rglob(".*.part")]:
                shutil.rmtree(leftover, ignore_errors=True)
        yield
