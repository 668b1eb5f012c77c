"""The outputs of the previous run, put back at the start of a stage, so that a run that fails does not lose them.

DVC deletes the outputs of a stage before it starts its command. `persist: true` would prevent that, but a stage with
such outputs is never restored from the run cache: each change of the profile, and back, would train again. So the
command itself begins by copying the previous version from DVC's cache, and later replaces it as a whole. When DVC is
killed in the half second before that, the next `dvc repro` begins so, or `dvc checkout` restores the files. Invalid
settings, curated files and verdicts stop the pipeline before anything is deleted: see the stage `check`.
"""

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import configobj
import platformdirs
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError, reason
from hgld.foundation.files import STAGE_OF_FOLDER, replacing

# Left out: `embed`, whose vectors may be many gigabytes, which no person reads, and which are also in data/P/cache.
# `check` is not: DVC deletes the outputs of a stage even if it then cannot run it because the file that `check` writes
# is missing.
STAGES = frozenset(STAGE_OF_FOLDER.values()) - {"embed"}

# The outputs of a stage as DVC records them: each has a path, and a checksum (md5).
_Outputs = list[dict[str, Any]]
# What an unreadable lock file, cache or configuration (a SyntaxError of configobj) raises.
_FAULTS = (HgldError, OSError, ValueError, KeyError, TypeError, RuntimeError, SyntaxError, YAMLError)


def put_back(profile: str | None) -> None:
    """Copy those outputs of this stage that DVC has deleted back from its cache; nothing unless DVC runs the stage.

    An output that the cache does not have (in a fresh clone, none is there) stays away. A copy that fails is reported,
    and so is a cache folder that somebody chose and that does not exist; neither stops the stage. Ctrl-C takes effect
    when all are back.
    """
    root, stage = os.environ.get("DVC_ROOT"), os.environ.get("DVC_STAGE")
    if root is None or profile is None or stage not in STAGES:
        return
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        cache = _chosen_cache(Path(root)) or Path(root, ".dvc", "cache")
        missing = [output for output in _previous(Path(root), cache, stage, profile) if not _exists(root, output)]
        if missing and not cache.is_dir() and cache != Path(root, ".dvc", "cache"):
            _report(f"{cache}, the cache folder in DVC's configuration, does not exist")
        for output in missing:
            _try_to_copy(cache, output, Path(root, output["path"]))
    except FileNotFoundError:  # no dvc.lock
        return
    except _FAULTS as error:
        _report(reason(error))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _report(why: str) -> None:
    echo(f"the outputs of the previous run cannot be put back while this one lasts: {why}")


def _exists(root: str, output: dict[str, Any]) -> bool:
    return Path(root, output["path"]).exists()


def _try_to_copy(cache: Path, output: dict[str, Any], target: Path) -> None:
    """Copy an output; one that the cache does not have, or that cannot be written, keeps no other away."""
    try:
        _copy(cache, output, target)
    except FileNotFoundError:
        return
    except _FAULTS as error:
        _report(f"{target}: {reason(error)}")


def _chosen_cache(root: Path) -> Path | None:
    """The folder of DVC's cache, as the first of DVC's configurations that names one says; None where none does.

    The files are read as DVC reads them, but without DVC, whose import takes longer than all else here: the outputs
    are away until this is read.
    """
    folders = [root / ".dvc", root / ".dvc"]
    for variable, folder_of in (
        ("DVC_GLOBAL_CONFIG_DIR", platformdirs.user_config_dir),
        ("DVC_SYSTEM_CONFIG_DIR", platformdirs.site_config_dir),
    ):
        folders.append(Path(os.environ.get(variable) or folder_of("dvc", "iterative")))
    for folder, name in zip(folders, ("config.local", "config", "config", "config"), strict=True):
        config = configobj.ConfigObj(str(folder / name), encoding="utf-8")
        sections = {section.lower(): values for section, values in config.items() if isinstance(values, dict)}
        keys = {key.lower(): value for key, value in sections.get("cache", {}).items()}
        if chosen := keys.get("dir"):
            return folder / Path(str(chosen)).expanduser()
    return None


def _previous(root: Path, cache: Path, stage: str, profile: str) -> _Outputs:
    """The outputs of the last run of the stage for this profile.

    dvc.lock knows the profile that ran last; after a change of the profile, the run cache knows the other one.
    """
    lock = (root / "dvc.lock").read_text(encoding="utf-8")
    own_section = re.search(rf"(?m)^  {stage}:\n(    .*\n)*", lock)  # all of it would take half of the time
    recorded: _Outputs = _read(own_section[0])[stage]["outs"] if own_section else []
    paths = {str(output["path"]) for output in recorded}
    own = {"/".join(["data", profile, *path.split("/")[2:]]) for path in paths}
    return recorded if own == paths else next(_runs(cache, own), [])


def _runs(cache: Path, paths: set[str]) -> Iterator[_Outputs]:
    """What finished runs gave, the newest first, of those with these outputs."""
    files = sorted((cache / "runs").glob("??/*/*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for file in files:
        text = file.read_text(encoding="utf-8")
        if all(path in text for path in paths):
            outputs: _Outputs = _read(text)["outs"]
            if {output["path"] for output in outputs} == paths:
                yield outputs


def _read(text: str) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return content


def _copy(cache: Path, output: dict[str, Any], target: Path) -> None:
    """Copy a file or a folder of DVC's cache, as a whole or not at all. Raises FileNotFoundError if it is not there."""
    source = _object(cache, output["md5"])
    if not output["md5"].endswith(".dir"):
        with replacing(target) as part:
            shutil.copyfile(source, part)
        return
    files = {file["relpath"]: _object(cache, file["md5"]) for file in json.loads(source.read_bytes())}
    with replacing(target, directory=True) as part:
        for name, file in files.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, part / name)


def _object(cache: Path, md5: str) -> Path:
    path = cache / "files" / "md5" / md5[:2] / md5[2:]
    path.stat()  # raises FileNotFoundError
    return path
