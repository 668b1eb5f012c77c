"""Does what a release says about the version before it agree with the release: CHANGES.md and the files beside it?"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hgld.foundation.tables import read_csv
from hgld.hierarchy.comparison.drift.causes import CAUSES
from hgld.hierarchy.comparison.drift.report import CHANGE_COLUMNS
from hgld.hierarchy.comparison.release_diff import KINDS
from hgld.pipeline.release.changes import deprecations, history
from hgld.pipeline.release.changes.folder import CHANGES, FILES
from hgld.pipeline.release.verification.label_checks import fault


def change_faults(folder: Path, metadata: Mapping[str, Any], landmarks: Mapping[str, pd.DataFrame]) -> list[str]:
    """What is wrong with these files, if the release has any of them; landmarks: split → its landmarks.

    Raises HgldError for a malformed file.
    """
    present = [name for name in FILES if (folder / name).exists()]
    if not present:
        return []
    if missing := [name for name in FILES if name not in present]:
        return [f"{folder / name}: missing beside {present[0]}" for name in missing]
    changes = read_csv(folder / CHANGES, list(CHANGE_COLUMNS))
    gone = read_csv(folder / deprecations.FILE, list(deprecations.COLUMNS))
    return [
        *_number_faults(folder, changes, str(metadata.get("version", ""))),
        *_change_faults(folder / CHANGES, changes, landmarks),
        *_deprecation_faults(folder / deprecations.FILE, gone, landmarks),
    ]


def _number_faults(folder: Path, changes: pd.DataFrame, version: str) -> list[str]:
    path, entries = folder / history.FILE, history.earlier(folder)
    if not entries:
        return [f"{path}: no version"]
    newest = entries[0]
    faults = []
    if newest.version != version:
        faults.append(f"{path}: its newest version is {newest.version[:40]}; metadata.json says {version[:40]}")
    for name, stated in (("kind", newest.kinds), ("cause", newest.causes)):
        found = Counter(changes[name].tolist())
        if found != Counter({key: count for key, count in stated.items() if count}):
            faults.append(f"{path}: counts the {name}s of changes otherwise than {CHANGES} has them")
    return faults


def _change_faults(path: Path, changes: pd.DataFrame, landmarks: Mapping[str, pd.DataFrame]) -> list[str]:
    names = changes["split"] + " " + changes["landmark_id"]
    unknown = ~(changes["kind"].isin(list(KINDS)) & changes["cause"].isin(list(CAUSES)))
    labels = {
        f"{split} {landmark}": label.strip()
        for split, table in landmarks.items()
        for landmark, label in zip(table["landmark_id"], table["hierarchical_label"], strict=True)
    }
    removed = changes["kind"] == "removed"
    found = names.map(labels)
    differ = ~removed & (found.fillna("\0") != changes["new_label"])
    return [
        *fault(path, "rows of an unknown kind or cause", names[unknown].tolist()),
        *fault(path, "landmarks with another new label than the release", names[differ].tolist()),
        *fault(path, "landmarks that are removed, and in the release", names[removed & found.notna()].tolist()),
        *fault(path, "landmarks that are listed twice", names[names.duplicated()].tolist()),
    ]


def _deprecation_faults(path: Path, gone: pd.DataFrame, landmarks: Mapping[str, pd.DataFrame]) -> list[str]:
    faults = []
    for split, table in landmarks.items():
        own = gone.loc[(gone["kind"] == "landmark") & (gone["split"] == split), "id"]
        still = own[own.isin(table["landmark_id"].tolist())]
        faults += fault(path, f"landmarks of {split} that are gone, and in the release", still.tolist())
    return faults
