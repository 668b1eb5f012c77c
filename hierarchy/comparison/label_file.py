"""A CSV file of labels, one row per landmark, with optional columns for the score and the evidence of each label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import pandas as pd

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, shortened, suggest
from hgld.foundation.tables import check_unique, read_csv_with_lines

# The default columns; the first that a file has is used.
SCORE_COLUMNS = ("probability", "score")
EVIDENCE_COLUMNS = ("source", "evidence", "method")


@dataclass(frozen=True)
class LabelFile:
    """Landmark → label ("" for none), → score (only where there is one), and → evidence ("" for none).

    score_column and evidence_column name the columns that were read; "" where the file has none.
    """

    labels: Mapping[str, str]
    scores: Mapping[str, float]
    evidence: Mapping[str, str]
    score_column: str = ""
    evidence_column: str = ""


def read_label_file(path: Path, score: str | None = None, evidence: str | None = None) -> LabelFile:
    """Read a CSV with the columns landmark_id and hierarchical_label; other columns are allowed.

    White space around a label is ignored. score, evidence: the columns to read, by default the first of SCORE_COLUMNS
    and of EVIDENCE_COLUMNS that exists, if any.

    Raises HgldError for a malformed file, a duplicate landmark, a missing column, and scores that are not finite
    numbers (each with file:line).
    """
    table, lines = _read_table(Path(path))
    labels = _labels(table)
    score_column = _choose_column(path, table, score, SCORE_COLUMNS)
    evidence_column = _choose_column(path, table, evidence, EVIDENCE_COLUMNS)
    scores, kinds = {}, {}
    if score_column:
        scores = _scores(path, list(labels), table[score_column].tolist(), lines, score_column)
    if evidence_column:
        kinds = dict(zip(labels, table[evidence_column].str.strip().tolist(), strict=True))
    return LabelFile(labels, scores, kinds, score_column, evidence_column)


def read_labels(path: Path) -> dict[str, str]:
    """Landmark → label, as in `read_label_file`; other columns are not checked."""
    return _labels(_read_table(Path(path))[0])


def _read_table(path: Path) -> tuple[pd.DataFrame, tuple[int, ...]]:
    table, lines = read_csv_with_lines(path, ["landmark_id", "hierarchical_label"], extra=True)
    check_unique(path, "landmark_id", table["landmark_id"], lines)
    return table, lines


def _labels(table: pd.DataFrame) -> dict[str, str]:
    # upstream, one label ends in a space, which spreadsheets and editors remove
    labels = table["hierarchical_label"].str.strip().tolist()
    return dict(zip(table["landmark_id"].tolist(), labels, strict=True))


def _choose_column(path: Path, table: pd.DataFrame, wanted: str | None, defaults: Sequence[str]) -> str:
    if wanted is None:
        return next((name for name in defaults if name in table), "")
    if wanted not in table:
        names = [str(name) for name in table.columns]
        known = visible(", ".join(names))
        raise HgldError(f"{path}: no column {wanted!r} (there are: {known}){suggest(wanted, names)}")
    return wanted


def _scores(
    path: Path, ids: Sequence[str], values: Sequence[str], lines: Sequence[int], column: str
) -> dict[str, float]:
    scores, problems = {}, []
    for landmark, text, line in zip(ids, values, lines, strict=True):
        if not text.strip():
            continue
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if isfinite(number) and "_" not in text:
            scores[landmark] = number
        else:
            problems.append(f"{path}:{line}: {column} {text[:40]!r} is not a number")
    if problems:
        raise HgldError(
            f"{len(problems)} row(s) with an invalid {column}; correct them, or name another column of scores:",
            *shortened(problems),
        )
    return scores
