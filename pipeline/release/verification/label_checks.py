"""Do the labels of a release agree: with its taxonomy and class graph, its evidence, and its landmarks?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.tables import read_csv
from hgld.foundation.text_input import whole_number
from hgld.hierarchy.fusion.evidence_kinds import trust_order
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.release.verification.release_tables import LABEL, LANDMARK_COLUMNS, ReleaseTable

_NATURES = ("natural", "human-made")
_SHOWN, _LONGEST = 3, 120  # of the values in a message, and of the characters in one


@dataclass(frozen=True)
class Labels:
    """The labels that there may be with their natures, their anchor classes, and where they were read."""

    natures: Mapping[str, str]
    anchors: Mapping[str, str]
    place: str


def fault(path: Path, what: str, values: Sequence[object], hint: str = "") -> list[str]:
    """One message about all rows with the same fault: how many there are, and the first ones; none for no rows.

    >>> fault(Path("a.csv"), "rows without a label", ["x", "y"])
    ["a.csv: rows without a label (2): 'x', 'y'"]
    >>> fault(Path("a.csv"), "rows without a label", [])
    []
    """
    if not len(values):
        return []
    shown = [repr(str(value)[:_LONGEST]) for value in list(values[:_SHOWN])]
    more = ["…"] if len(values) > _SHOWN else []
    return [f"{path}: {what} ({len(values):,}): {', '.join([*shown, *more])}{hint}"]


def among(values: "pd.Series[str]", known: "pd.Series[str]") -> npt.NDArray[np.bool_]:
    """Which of the values are known. Ten times as fast as `isin` on texts of Arrow."""
    marks = pc.is_in(pa.array(values, pa.string()), value_set=pa.array(known, pa.string()))
    found: npt.NDArray[np.bool_] = marks.to_numpy(zero_copy_only=False)
    return found


def read_labels(folder: Path) -> Labels:
    """The release's own taxonomy.csv, where it has one, else that of this package.

    Raises HgldError for a file that is no taxonomy.
    """
    path = folder / "taxonomy.csv"
    if not path.exists():
        taxonomy = load_taxonomy()
        anchors = {qid: anchor.hierarchical_label for qid, anchor in taxonomy.anchors.items()}
        return Labels(taxonomy.natures, anchors, "the taxonomy of this version of hgld")
    table = read_csv(path, ["hierarchical_label", "natural_or_human_made", "anchor_qid"], extra=True)
    natures = dict(zip(table["hierarchical_label"], table["natural_or_human_made"], strict=True))
    several = table.groupby("hierarchical_label")["natural_or_human_made"].nunique()
    wrong = {*several[several > 1].index, *(label for label, nature in natures.items() if nature not in _NATURES)}
    if faults := fault(path, "labels that are not one of natural and human-made", sorted(wrong)):
        raise HgldError(*faults)
    if not natures or "" in natures:
        raise HgldError(f"{path}: not a taxonomy: {'a row without a label' if natures else 'no rows'}")
    return Labels(natures, dict(zip(table["anchor_qid"], table["hierarchical_label"], strict=True)), str(path))


def label_faults(path: Path, table: pd.DataFrame, key: str, labels: Labels) -> list[str]:
    """Labels that are unknown, that have another nature, or that are missing beside a nature or a supercategory."""
    faults = []
    known = table["hierarchical_label"].isin({*labels.natures, ""})
    for label, rows in table[~known].groupby("hierarchical_label"):
        hint = suggest(str(label), labels.natures)
        what = f"rows of the label {str(label)[:_LONGEST]!r}, which {labels.place} does not have"
        faults += fault(path, what, rows[key].tolist(), hint)
    if "natural_or_human_made" in table:
        expected = table["hierarchical_label"].map({**labels.natures, "": ""})
        rows = table[known & (expected != table["natural_or_human_made"])]
        pairs = (rows["hierarchical_label"] + " is " + rows["natural_or_human_made"].replace("", "nothing")).tolist()
        faults += fault(path, "rows whose label has another nature", pairs)
    stray = table[(table["hierarchical_label"] == "") & (table["supercategory"] != "")]
    return faults + fault(path, "rows with a supercategory and no label", stray[key].tolist())


def unique_faults(path: Path, table: pd.DataFrame, key: Sequence[str]) -> list[str]:
    """Rows that have the key of an earlier one."""
    rows = table[table.duplicated(list(key))]
    return fault(path, f"rows with the same {' and '.join(key)} as an earlier one", rows[key[0]].tolist())


def category_faults(path: Path, table: pd.DataFrame) -> list[str]:
    """Categories that are not written as everywhere else, so that they could not be joined."""
    wrong = [name for name in table["category"] if _normal(name) != name]
    return fault(path, "categories that are not in their normal form", wrong)


def _normal(text: str, *, stored: bool = True) -> str:
    """The normal form of a category, "" for what is none."""
    try:
        return normalise(text, stored=stored)
    except HgldError:
        return ""


def number_faults(path: Path, table: pd.DataFrame) -> list[str]:
    """Scores and margins that are not between 0 and 1; a missing one is none."""
    faults = []
    for name in ("score", "margin"):
        rows = table[table[name].notna() & ~table[name].between(0, 1)]
        faults += fault(path, f"rows whose {name} is not between 0 and 1", rows["category"].tolist())
    return faults


def evidence_faults(path: Path, evidence: pd.DataFrame, labels: pd.DataFrame) -> list[str]:
    """Evidence for unknown categories or of unknown kinds, and labels that no evidence of their source supports."""
    strangers = evidence.loc[~among(evidence["category"], labels["category"]), "category"]
    columns = ["category", "source", "hierarchical_label"]
    decided = labels.loc[labels["source"] != "", columns]
    found = decided.merge(evidence[columns].drop_duplicates(), on=columns, how="left", indicator=True)
    alone = found.loc[found["_merge"] == "left_only", "category"]
    unsaid = labels.loc[(labels["source"] == "") & (labels["hierarchical_label"] != ""), "category"]
    return [
        *fault(path, "unknown kinds of evidence", sorted({*evidence["source"]} - {*trust_order()})),
        *fault(path, "rows on a category that labels.parquet lacks", strangers.tolist()),
        *fault(path, "labels of labels.parquet without evidence of their source", alone.tolist()),
        *fault(path.with_name("labels.parquet"), "rows with a label and no source", unsaid.tolist()),
    ]


def path_faults(path: Path, table: pd.DataFrame, labels: Labels, graph: ReleaseTable | None) -> list[str]:
    """Paths that do not lead, over statements of the class graph, from the class to an anchor of the label.

    graph: class_graph.parquet (class, parent); without one, the ends alone are checked.
    """
    edges = _edges(graph) if graph else None
    rows = table[table["path"] != ""]
    faults = dict[str, list[str]]()
    for category, item_class, way, label in zip(
        rows["category"], rows["class"], rows["path"], rows["hierarchical_label"], strict=True
    ):
        steps = way.split(">")
        if problem := _path_problem(steps, item_class, label, labels.anchors, edges):
            faults.setdefault(problem, []).append(f"{category}: {way}")
    return [line for problem, ways in faults.items() for line in fault(path, f"paths that {problem}", ways)]


def _edges(graph: ReleaseTable) -> set[tuple[str, str]]:
    columns = graph.read(["class", "parent"])
    return set(zip(columns["class"].to_pylist(), columns["parent"].to_pylist(), strict=True))


def _path_problem(
    steps: Sequence[str],
    item_class: str,
    label: str,
    anchors: Mapping[str, str],
    edges: Collection[tuple[str, str]] | None,
) -> str:
    if steps[0] != item_class:
        return "do not begin with the class of their row"
    if label and anchors.get(steps[-1]) != label:
        return "do not end at an anchor class of their label"
    if edges is not None and any(pair not in edges for pair in pairwise(steps)):
        return "take a step that class_graph.parquet does not have"
    return ""


def read_landmarks(path: Path) -> pd.DataFrame:
    """The landmarks of a split (LANDMARK_COLUMNS, and `name`, the category in its normal form).

    Raises HgldError for a file that is missing or malformed.
    """
    table = read_csv(path, LANDMARK_COLUMNS)
    table["name"] = pd.Series([_normal(text, stored=False) for text in table["category"]], dtype="str")
    return table


def landmark_faults(path: Path, landmarks: pd.DataFrame, labels: pd.DataFrame) -> list[str]:
    """Landmarks with another id than a number, twice, of an unknown category, or with other labels than it has."""
    own = landmarks[["landmark_id", "category", *LABEL]].assign(key=landmarks["name"])
    known = among(own["key"], labels["category"])
    strangers, own = own[~known], own[known]
    expected = labels.drop_duplicates("category").set_index("category").loc[own["key"], list(LABEL)]
    differ = (own[list(LABEL)].to_numpy() != expected.to_numpy()).any(axis=1)
    no_numbers = [text for text in landmarks["landmark_id"] if whole_number(text) is None]
    return [
        *unique_faults(path, landmarks, ["landmark_id"]),
        *fault(path, "landmarks whose id is no number", no_numbers),
        *fault(path, "landmarks of a category that labels.parquet lacks", strangers["category"].tolist()),
        *fault(path, "landmarks with other labels than labels.parquet has", own.loc[differ, "landmark_id"].tolist()),
    ]
