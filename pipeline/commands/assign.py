"""`hgld assign`: resolve and build for anybody's list of landmarks, against any SPARQL endpoint.

Where no path leads from a landmark's classes to a label, the English names of these classes are read: an endpoint may
hold few subclass statements, or Wikidata lack one. Such a label has no path, and the note says what was read.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import check_unique, read_numbered, write_csv
from hgld.hierarchy.names.class_evidence import told_by_name
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.name_rules import class_reader
from hgld.hierarchy.taxonomy.class_labels import NO_LABEL, spellings
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy, load_taxonomy
from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.stages.build import Built, build
from hgld.pipeline.stages.wikidata import fetch
from hgld.pipeline.wikidata.queries import canary

COLUMNS = ["landmark_id", "category", "supercategory", "hierarchical_label", "natural_or_human_made"]
# of an endpoint of whatever size: it holds classes, at all
_LEAST = {"P31": 1, "P279": 1}
EVIDENCE = ["qid", "method", "candidates", "class", "path", "note"]


def assign(
    landmarks: Path,
    endpoint: str,
    out: Path,
    *,
    user_agent: str = "hgld",
    taxonomy: Taxonomy | None = None,
    timeout_s: float = 60.0,
    retries: int = 3,
    batch: int = 200,
    in_flight: int = 2,
    pause_s: float = 0.0,
    cache: Path | None = None,
) -> str:
    """Label the landmarks of a CSV with the columns landmark_id and category (others are left out of `out`).

    cache: a folder that keeps the answers, so that a killed run does not ask again.

    Writes GLDv2's five columns and the evidence to `out`, atomically, in the order of the input; returns a summary.

    Raises HgldError for a malformed input (all bad rows with file:line), for an id that is there twice, and for an
    endpoint that gives no rows.
    """
    if out.resolve() == landmarks.resolve():
        raise HgldError(f"{out} is the input; choose another file for the labels")
    if out.is_dir():
        raise HgldError(f"{out} is a folder; give the file that the labels are to be written to")
    table, lines = read_numbered(landmarks, ["landmark_id", "category"], extra=True)
    table = table[["landmark_id", "category"]]
    check_unique(landmarks, "landmark_id", table["landmark_id"], lines)
    names = _names(landmarks, table["category"], lines)
    asked = Endpoint(
        endpoint, user_agent, timeout_s=timeout_s, retries=retries, batch=batch, in_flight=in_flight,
        pause_s=pause_s, cache=cache,
    )  # fmt: skip
    canary(asked, _LEAST)
    found, taxonomy = fetch(asked, names), taxonomy or load_taxonomy()
    spelled = spellings(dict(zip(found.class_labels["qid"], found.class_labels["label"], strict=True)))
    labels = (
        _read_classes(build(found, taxonomy), spelled, taxonomy)
        .set_index("category")
        .loc[names]
        .reset_index(drop=True)
    )
    labels["candidates"] = labels["candidates"].astype("str")
    frame = pd.concat([table, labels], axis=1)[COLUMNS + EVIDENCE]
    write_csv(frame, out)
    count = int((frame["hierarchical_label"] != "").sum())
    return f"{out}: {count} of {len(frame)} landmarks labelled"


def _read_classes(built: Built, spelled: dict[str, str], taxonomy: Taxonomy) -> pd.DataFrame:
    """The labels of `built`; those that no path gives, by the names of the item's classes.

    Not where a class is closed (a province): there no label is the answer.
    """
    reader = class_reader(load_class_names(), taxonomy)
    labels = built.labels.copy()
    unheard = built.considered[built.considered["outcome"] == NO_LABEL]
    closed = set(unheard.loc[unheard["path"] != "", "qid"])
    classes = unheard.groupby("qid")["class"].agg(list)
    for row in labels.index[(labels["hierarchical_label"] == "") & labels["qid"].isin(classes.index)]:
        qid = str(labels.at[row, "qid"])
        own = {one: spelled[one] for one in classes[qid] if one in spelled}
        if qid not in closed and (told := told_by_name(own, reader, taxonomy)):
            one, reading = told
            label = reading.hierarchical_label
            labels.loc[row, ["class", "supercategory"]] = one, spelled[one]
            labels.loc[row, ["hierarchical_label", "natural_or_human_made"]] = label, taxonomy.natures[label]
            labels.at[row, "note"] = f"no path; read in the name of {one}: {reading.evidence}"
    return labels


def _names(path: Path, categories: "pd.Series[str]", lines: Sequence[int]) -> list[str]:
    """The normalised name of every row."""
    names, bad = [], []
    for line, text in zip(lines, categories, strict=True):
        try:
            names.append(normalise(text))
        except HgldError as error:
            bad.append(f"{path}:{line}: {error}")
    if bad:
        raise HgldError("\n".join(bad))
    return names
