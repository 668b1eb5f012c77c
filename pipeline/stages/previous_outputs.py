"""The outputs of the previous run, put back at the start of a stage, so that a run that fails does not lose them.

DVC deletes the outputs of a stage before it starts its command. `persist: true` would prevent that, but a stage with
such outputs is never restored from the run cache: each change of the profile would train again. So the command itself
begins by copying the version of dvc.lock from DVC's cache, and later replaces it as a whole.
"""

import os
from pathlib import Path
from typing import Any

from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError, reason
from hgld.foundation.files import replacing

# The stages whose outputs people work with, all of moderate size.
STAGES = ("build", "refine", "queue", "release", "train", "benchmark")


def put_back() -> None:
    """Copy those outputs of this stage that DVC has deleted back from its cache; nothing unless DVC runs the stage.

    What the cache does not have (in a fresh clone, nothing) stays away; a copy that fails is reported, and does not
    stop the stage.
    """
    root, stage = os.environ.get("DVC_ROOT"), os.environ.get("DVC_STAGE")
    if root is None or stage not in STAGES:
        return
    missing = [path for path in recorded_outputs(Path(root), stage) if not Path(root, path).exists()]
    if not missing:
        return
    from dvc.api import DVCFileSystem  # slow to import
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexError

    try:
        cache = DVCFileSystem(root)
        for path in missing:
            _copy(cache, path, Path(root, path))
    except (FileNotFoundError, DataIndexError):
        return
    except (DvcException, HgldError) as error:
        echo(f"the outputs of the previous run cannot be put back while this one lasts: {reason(error)}")


def _copy(cache: Any, path: str, target: Path) -> None:
    """Copy a file or a folder of DVC's cache, as a whole or not at all."""
    folder = bool(cache.isdir(path))
    contents = {file: cache.read_bytes(file) for file in (cache.find(path) if folder else [path])}
    with replacing(target, directory=folder) as part:
        for file, content in contents.items():
            own = part / Path(file).relative_to(path) if folder else part
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_bytes(content)


def recorded_outputs(root: Path, stage: str) -> list[str]:
    """The outputs of a stage that dvc.lock records, relative to `root`; none where it does not know the stage."""
    from ruamel.yaml import YAML

    path = root / "dvc.lock"
    document = YAML(typ="safe", pure=True).load(path) if path.is_file() else {}
    outputs = document.get("stages", {}).get(stage, {}).get("outs", [])
    return [str(output["path"]) for output in outputs]
