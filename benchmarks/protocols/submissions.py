"""Kaggle-format files of the GLDv2 challenges: what a system predicts, and the solutions it is held against.

    retrieval      id,images       index image ids from best to worst, separated by spaces; may be empty
    recognition    id,landmarks    a train landmark id and a confidence separated by a space, or nothing
    solutions      id,images,Usage and id,landmarks,Usage; Usage is Public, Private or Ignored

Every reader lists what it finds wrong with file:line: rows that are none first, then what the others say.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import pandas as pd

from hgld.foundation.errors import HgldError, suggest

USAGES = ("Public", "Private")
SHOWN = 20


@dataclass(frozen=True)
class Solution:
    """Per test image id what is true of it (index image ids or landmark ids, possibly none), and its usage."""

    true: Mapping[str, frozenset[str]]
    usage: Mapping[str, str]

    def counted(self) -> list[str]:
        """Ids of the Public and Private test images, ascending."""
        return sorted(name for name, usage in self.usage.items() if usage in USAGES)


@dataclass(frozen=True)
class Guess:
    """The one landmark that a system names for a test image, and how sure it is (any finite number)."""

    landmark: str
    confidence: float


def read_solution(path: Path, column: str) -> Solution:
    """Read retrieval_solution_v2.1.csv (column "images") or recognition_solution_v2.1.csv (column "landmarks")."""
    path = Path(path)
    return _solution((f"{path}:{line}", *row) for line, row in _rows(path, ["id", column, "Usage"]))


def solution(table: pd.DataFrame) -> Solution:
    """The solution in a table of three text columns: id, what is true of it, usage; by position.

    Fits `retrieval_solution` and `recognition_solution`; for the test split of a release take
    `test[["image_id", "relevant", "usage"]]`.
    """
    rows = table.astype("str").itertuples(index=False, name=None)
    return _solution((f"row {at}", *row) for at, row in enumerate(rows))


def retrieval_submission(
    path: Path, truth: Solution, index_ids: Collection[str] | None = None
) -> dict[str, tuple[str, ...]]:
    """Read `id,images` -> index image ids by query, best first.

    Raises HgldError for malformed rows, a query that the solution does not have, comes twice or is missing, an index
    image named twice for one query, and, with `index_ids`, one that does not exist.
    """
    path, known = Path(path), None if index_ids is None else frozenset(index_ids)
    answers: dict[str, tuple[str, ...]] = {}
    bad: list[str] = []
    for line, (query, images) in _rows(path, ["id", "images"]):
        ids = tuple(images.split())
        bad += [f"{path}:{line}: {fault}" for fault in _query_faults(query, answers, truth)]
        if len(set(ids)) < len(ids):
            twice = next(name for at, name in enumerate(ids) if name in ids[:at])
            bad.append(f"{path}:{line}: query {query} names index image {twice} twice")
        if known is not None and not known.issuperset(ids):
            stranger = next(name for name in ids if name not in known)
            bad.append(f"{path}:{line}: query {query} names {stranger}, which is no index image")
        answers[query] = ids
    _raise(bad)
    check_complete(answers, truth, str(path))
    return answers


def recognition_submission(
    path: Path, truth: Solution, landmark_ids: Collection[str] | None = None
) -> dict[str, Guess | None]:
    """Read `id,landmarks` -> the guess by query, None where the file makes none.

    Raises HgldError for malformed rows, a query that the solution does not have, comes twice or is missing, and, with
    `landmark_ids`, a landmark that does not exist.
    """
    path, known = Path(path), None if landmark_ids is None else frozenset(landmark_ids)
    answers: dict[str, Guess | None] = {}
    bad: list[str] = []
    for line, (query, text) in _rows(path, ["id", "landmarks"]):
        bad += [f"{path}:{line}: {fault}" for fault in _query_faults(query, answers, truth)]
        answers[query] = guess = _guess(text)
        if text.split() and guess is None:
            bad.append(f"{path}:{line}: expected one 'landmark confidence' or nothing; found {text[:60]!r}")
        if known is not None and guess is not None and guess.landmark not in known:
            bad.append(f"{path}:{line}: {guess.landmark} is no landmark of the train set")
    _raise(bad)
    check_complete(answers, truth, str(path))
    return answers


def check_complete(answers: Collection[str], truth: Solution, where: str) -> None:
    """Raise HgldError when a Public or Private query has no answer: leaving it out must not raise a mean."""
    missing = [query for query in truth.counted() if query not in answers]
    if missing:
        raise HgldError(
            f"{where}: {len(missing)} of {len(truth.counted())} queries are missing, such as {missing[0]}; "
            "give each a row, empty where there is no prediction"
        )


def _rows(path: Path, header: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and values of every row below the header; empty lines are skipped."""
    bad: list[str] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, strict=True)
            found = next(reader, [])
            if found != header:
                raise HgldError(
                    f"{path}:1: expected the header {','.join(header)}; found {','.join(found)!r}"
                )
            for row in reader:
                if len(row) == len(header) and row[0].strip():
                    yield reader.line_num, [row[0].strip(), *row[1:]]
                elif row:
                    bad.append(
                        f"{path}:{reader.line_num}: not a row of {','.join(header)}: {','.join(row)[:60]!r}"
                    )
    except OSError as error:
        raise HgldError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise HgldError(f"{path}: not UTF-8 (byte {error.start}); save the file as UTF-8") from None
    except csv.Error as error:
        raise HgldError(f"{path}:{reader.line_num}: not a CSV row: {error}") from None
    _raise(bad)


def _solution(rows: Iterator[tuple[str, ...]]) -> Solution:
    true: dict[str, frozenset[str]] = {}
    usages: dict[str, str] = {}
    bad: list[str] = []
    for where, query, listed, usage in rows:
        if query in true:
            bad.append(f"{where}: {query} comes twice")
        if usage not in (*USAGES, "Ignored"):
            hint = suggest(usage, [*USAGES, "Ignored"])
            bad.append(f"{where}: unknown usage {usage!r}{hint}; expected Public, Private or Ignored")
        # the word None means none in these files
        true[query] = frozenset() if listed.strip() == "None" else frozenset(listed.split())
        usages[query] = usage
    _raise(bad)
    return Solution(true, usages)


def _query_faults(query: str, seen: Collection[str], truth: Solution) -> list[str]:
    faults = [f"query {query} comes twice"] if query in seen else []
    return (
        faults if query in truth.usage else [*faults, f"unknown query {query}: no test image of the solution"]
    )


def _guess(text: str) -> Guess | None:
    """The guess that a cell holds, None where it is empty or malformed."""
    try:
        landmark, confidence = text.split()
        value = float(confidence)
    except ValueError:
        return None
    return Guess(landmark, value) if isfinite(value) and "_" not in confidence else None


def _raise(bad: list[str]) -> None:
    if bad:
        more = [f"... and {len(bad) - SHOWN} more"] if len(bad) > SHOWN else []
        raise HgldError(f"{len(bad)} fault(s):\n" + "\n".join([*bad[:SHOWN], *more]))
