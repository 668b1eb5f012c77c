"""A file of labels: what it says of each landmark, and, where it has the columns, how surely and on what evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import pandas as pd

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.tables import check_unique, read_numbered

# The first of these that a file has is its score, and says who decided.
SCORES = ("probability", "score")
EVIDENCE = ("source", "evidence", "method")


@dataclass(frozen=True)
class LabelFile:
    """Landmark → label ("" for none); score, for those that have one; evidence ("" for none).

    The columns that score and evidence were read from are "" where the file has none.
    """

    labels: Mapping[str, str]
    scores: Mapping[str, float]
    evidence: Mapping[str, str]
    score_column: str = ""
    evidence_column: str = ""


def read_label_file(path: Path, score: str | None = None, evidence: str | None = None) -> LabelFile:
    """Read a CSV with the columns landmark_id and hierarchical_label (others may stand beside them).

    White space around a label does not count. score, evidence: the columns to take for them; by default the first
    that is there of SCORES and of EVIDENCE, if any.

    Raises HgldError for a malformed file, a landmark that is there twice, a column that is not there, and a score
    that is no finite number (all of them, with file:line).
    """
    table, lines = _table(Path(path))
    labels = _labels(table)
    score_column = _column(path, table, score, SCORES)
    evidence_column = _column(path, table, evidence, EVIDENCE)
    said = table[evidence_column].str.strip().tolist() if evidence_column else [""] * len(labels)
    return LabelFile(
        labels,
        _scores(path, list(labels), table[score_column].tolist(), lines, score_column)
        if score_column
        else {},
        dict(zip(labels, said, strict=True)) if evidence_column else {},
        score_column,
        evidence_column,
    )


def read_labels(path: Path) -> dict[str, str]:
    """Only the labels of `read_label_file`, whatever else the file says."""
    return _labels(_table(Path(path))[0])


def _table(path: Path) -> tuple[pd.DataFrame, tuple[int, ...]]:
    table, lines = read_numbered(path, ["landmark_id", "hierarchical_label"], extra=True)
    check_unique(path, "landmark_id", table["landmark_id"], lines)
    return table, lines


def _labels(table: pd.DataFrame) -> dict[str, str]:
    # one label ends in a space upstream, which spreadsheets and editors drop: it says nothing
    labels = table["hierarchical_label"].str.strip().tolist()
    return dict(zip(table["landmark_id"].tolist(), labels, strict=True))


def _column(path: Path, table: pd.DataFrame, wanted: str | None, known: Sequence[str]) -> str:
    if wanted is None:
        return next((name for name in known if name in table), "")
    if wanted not in table:
        names = [str(name) for name in table.columns]
        raise HgldError(
            f"{path}: no column {wanted!r} (there are: {', '.join(names)}){suggest(wanted, names)}"
        )
    return wanted


def _scores(
    path: Path, ids: Sequence[str], values: Sequence[str], lines: Sequence[int], column: str
) -> dict[str, float]:
    found, bad = {}, []
    for landmark, text, line in zip(ids, values, lines, strict=True):
        if not text.strip():
            continue
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if isfinite(number) and "_" not in text:
            found[landmark] = number
        else:
            bad.append(f"{path}:{line}: {column} {text[:40]!r} is not a number")
    if bad:
        more = [f"... and {len(bad) - 20} more"] if len(bad) > 20 else []
        raise HgldError(
            f"{len(bad)} row(s) without a usable {column}; correct them, or name the column of the score:\n"
            + "\n".join([*bad[:20], *more])
        )
    return found
