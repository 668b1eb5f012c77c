"""`hgld publish`: verify a release, show what would be sent to a destination, and send it with --yes."""

from collections.abc import Callable, Iterator
from pathlib import Path

from hgld.foundation.errors import HgldError, suggest
from hgld.pipeline.release.changes.former import opened
from hgld.pipeline.release.publishing.hugging_face import HuggingFace
from hgld.pipeline.release.publishing.local_folder import LocalFolder
from hgld.pipeline.release.publishing.plan import Destination, Request, read_release
from hgld.pipeline.release.publishing.zenodo import Zenodo
from hgld.pipeline.release.verification.verify import verify

# The word before the colon of --to, and what makes that destination.
DESTINATIONS: dict[str, Callable[[Request], Destination]] = {
    "hf": HuggingFace,
    "zenodo": Zenodo,
    "folder": LocalFolder,
}
FORMS = "hf:OWNER/NAME, zenodo, zenodo:sandbox or folder:PATH"


def publish(path: Path, target: str, *, yes: bool = False, concept: str = "") -> Iterator[str]:
    """Lines that say what would be sent; with `yes` it is sent, and further lines say what was done.

    path: the folder of a release, or its archive, whose files are sent. concept: for Zenodo, the ID of all versions of
    a data set that is there already.

    Raises HgldError for a release with faults, for a version that is there with other content, and when sending fails:
    the same call again does what is left.
    """
    kind, _, rest = target.partition(":")
    if kind not in DESTINATIONS:
        raise HgldError(f"--to {target}: unknown destination; give {FORMS}{suggest(kind, DESTINATIONS)}")
    if concept and kind != "zenodo":
        raise HgldError(f"--concept belongs to --to zenodo; leave it out for {kind}:")
    with opened(path) as folder:
        faults = verify(folder).faults
        if faults:
            raise HgldError(f"{path}: {len(faults)} fault(s), so it is not published; `hgld verify {path}` shows them")
        release = read_release(folder)
        destination = DESTINATIONS[kind](Request(release, rest, concept))
        plan = destination.plan(must_read=yes)
        yield from plan.lines()
        if plan.complete:
            yield f"nothing to send: {plan.target} has version {release.version} with the same content"
        elif yes:
            yield from destination.send()
        else:
            yield "nothing was sent; add --yes to send this"
