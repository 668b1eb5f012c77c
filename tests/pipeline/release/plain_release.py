"""A release of the world of eight landmarks with nothing but the files that every release has."""

import json
from pathlib import Path

from hgld.foundation.files import sha256
from hgld.pipeline.release.verification.release_tables import COLUMNS, LANDMARK_FILES
from hgld.pipeline.stages.release import run

FILES = {*COLUMNS, *LANDMARK_FILES.values(), "metadata.json", "card.json", "SHA256SUMS"}


def make_release(world) -> Path:
    """Run the stage, and leave out all other files; the folder."""
    run(world.params)
    folder = world.data / "release"
    for path in [*folder.iterdir()]:
        if path.name not in FILES:
            path.unlink()
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["rows"] = {name: rows for name, rows in metadata["rows"].items() if name in FILES}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    sign(folder)
    return folder


def sign(folder: Path) -> None:
    """Write SHA256SUMS for the files as they are now."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    lines = [f"{sha256(folder / name)}  {name}\n" for name in names if name != "SHA256SUMS"]
    (folder / "SHA256SUMS").write_text("".join(lines))
