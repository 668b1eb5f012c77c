"""Kaggle-format files of the GLDv2 challenges: submissions, and the solutions they are scored against.

    retrieval      id,images       index image ids from best to worst, separated by spaces; may be empty
    recognition    id,landmarks    a train landmark id and a confidence separated by a space, or nothing
    solutions      id,images,Usage and id,landmarks,Usage; Usage is Public, Private or Ignored

Every reader reports all problems of a file with file:line, malformed rows first. An id in another form than those of
the solution (`0123456789abcdef.jpg`, `138982.0`) could never be right, and is one of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from hgld.foundation.errors import HgldError, shortened, suggest
from hgld.foundation.tables import read_csv_with_lines

USAGES = ("Public", "Private")


class Form(NamedTuple):
    """How ids are written."""

    name: str
    one: str  # a regular expression

    def misfit(self, ids: Iterable[object]) -> object | None:
        """The first id of another form, None without one."""
        ids = list(ids)
        if all(isinstance(name, str) for name in ids) and re.fullmatch(
            f"(?:(?:{self.one}) )*", "".join(f"{name} " for name in ids)
        ):
            return None  # one match for all: a submission lists millions
        return next((name for name in ids if not isinstance(name, str) or not re.fullmatch(self.one, name)), None)


FORMS = (Form("16 hex digits", "[0-9a-f]{16}"), Form("whole numbers", "0|[1-9][0-9]*"))


def form_of(answers: Collection[str]) -> Form | None:
    """The form of most of the answers: GLDv2's index images and landmarks have one; None for ids of another kind."""
    for form in FORMS:
        if 2 * sum(bool(re.fullmatch(form.one, answer)) for answer in answers) > len(answers):
            return form
    return None


@dataclass(frozen=True)
class Solution:
    """By test image id: the correct answers (index image ids or landmark ids, possibly none), and the usage."""

    correct: Mapping[str, frozenset[str]]
    usage: Mapping[str, str]

    def scored_queries(self) -> list[str]:
        """Ids of the Public and Private test images, ascending."""
        return sorted(query for query, usage in self.usage.items() if usage in USAGES)

    @cached_property
    def answers(self) -> frozenset[str]:
        """The correct answers of all queries."""
        return frozenset().union(*self.correct.values())

    @cached_property
    def form(self) -> Form | None:
        """How the correct answers are written."""
        return form_of(self.answers)

    def form_problems(self, answers: Iterable[object]) -> list[str]:
        """What is wrong with the form of these answers to a query: nothing, or the first that cannot be correct."""
        wrong = None if self.form is None else self.form.misfit(answers)
        if self.form is None or wrong is None:
            return []
        return [f"{str(wrong)[:60]!r} can be no correct answer: those of the solution are {self.form.name}"]


@dataclass(frozen=True)
class Prediction:
    """The landmark predicted for a test image, and a confidence (any finite number)."""

    landmark: str
    confidence: float


def read_solution(path: Path, column: str) -> Solution:
    """Read retrieval_solution_v2.1.csv (column "images") or recognition_solution_v2.1.csv (column "landmarks")."""
    return _solution((f"{path}:{line}", *row) for line, row in _rows(path, ["id", column, "Usage"]))


def solution(table: pd.DataFrame) -> Solution:
    """A solution from a table of three text columns, by position: id, correct answers, usage.

    For the test split of a release use `test[["image_id", "relevant", "usage"]]`.
    """
    if not isinstance(table, pd.DataFrame) or table.shape[1] != 3:
        raise HgldError("a solution is a table of three columns, in this order: id, correct answers, usage")
    rows = list(table.itertuples(index=False, name=None))
    for n, row in enumerate(rows):
        if not all(isinstance(value, str) for value in row):
            raise HgldError(f"row {n}: {row} is not all text; 5.0 for 5 would never match, so read all columns as text")
    return _solution((f"row {n}", *row) for n, row in enumerate(rows))


def retrieval_submission(
    path: Path, truth: Solution, index_ids: Collection[str] | None = None
) -> dict[str, tuple[str, ...]]:
    """Read `id,images`: index image ids by query, best first.

    Raises HgldError for malformed rows; unknown, duplicate and missing queries; an index image listed twice for a
    query; test images; ids in another form than the solution's; and, with `index_ids`, unknown index images.
    """
    known = None if index_ids is None else frozenset(index_ids)
    rankings: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    for line, (query, images) in _rows(path, ["id", "images"]):
        ids = tuple(images.split())
        problems += [f"{path}:{line}: {problem}" for problem in _query_problems(query, rankings, truth)]
        if len(set(ids)) < len(ids):
            duplicate = next(name for n, name in enumerate(ids) if name in ids[:n])
            problems.append(f"{path}:{line}: query {query} lists index image {duplicate} twice")
        problems += [f"{path}:{line}: query {query}: {problem}" for problem in truth.form_problems(ids)]
        if queries := truth.usage.keys() & set(ids) - truth.answers:
            problems.append(f"{path}:{line}: query {query} lists {min(queries)}, a test image; expected index images")
        if known is not None and not known.issuperset(ids):
            unknown = next(name for name in ids if name not in known)
            problems.append(f"{path}:{line}: query {query} lists {unknown}, which is not an index image")
        rankings[query] = ids
    _raise(problems)
    check_complete(rankings, truth, str(path))
    return rankings


def recognition_submission(
    path: Path, truth: Solution, landmark_ids: Collection[str] | None = None
) -> dict[str, Prediction | None]:
    """Read `id,landmarks`: the prediction by query, None where the cell is empty.

    Raises HgldError for malformed rows; unknown, duplicate and missing queries; ids in another form than those of
    the solution; and, with `landmark_ids`, unknown landmarks.
    """
    known = None if landmark_ids is None else frozenset(landmark_ids)
    predictions: dict[str, Prediction | None] = {}
    problems: list[str] = []
    for line, (query, text) in _rows(path, ["id", "landmarks"]):
        problems += [f"{path}:{line}: {problem}" for problem in _query_problems(query, predictions, truth)]
        predictions[query] = prediction = _parse_prediction(text)
        if text.split() and prediction is None:
            problems.append(f"{path}:{line}: expected one 'landmark confidence' or nothing; found {text[:60]!r}")
        landmarks = [] if prediction is None else [prediction.landmark]
        problems += [f"{path}:{line}: query {query}: {problem}" for problem in truth.form_problems(landmarks)]
        if known is not None and not known.issuperset(landmarks):
            problems.append(f"{path}:{line}: {landmarks[0]} is not a landmark of the train set")
    _raise(problems)
    check_complete(predictions, truth, str(path))
    return predictions


def check_complete(predictions: Collection[str], truth: Solution, where: str) -> None:
    """Raise HgldError when a Public or Private query is missing: leaving queries out must not raise a mean."""
    queries = truth.scored_queries()
    missing = [query for query in queries if query not in predictions]
    if missing:
        raise HgldError(
            f"{where}: {len(missing)} of {len(queries)} queries are missing, such as {missing[0]}; "
            "add a row for each, empty where there is no prediction"
        )


def _rows(path: Path, header: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and values of every row; the id without surrounding spaces."""
    table, lines = read_csv_with_lines(path, header)
    table["id"] = table["id"].str.strip()
    _raise([f"{path}:{line}: the id is empty" for line, name in zip(lines, table["id"], strict=True) if not name])
    yield from zip(lines, table.to_numpy().tolist(), strict=True)


def _solution(rows: Iterable[tuple[str, ...]]) -> Solution:
    correct: dict[str, frozenset[str]] = {}
    usages: dict[str, str] = {}
    lines: dict[str, str] = {}
    problems: list[str] = []
    for where, query, answers, usage in rows:
        if query in correct:
            problems.append(f"{where}: duplicate query {query}")
        if usage not in (*USAGES, "Ignored"):
            hint = suggest(usage, [*USAGES, "Ignored"])
            problems.append(f"{where}: unknown usage {usage!r}{hint}; expected Public, Private or Ignored")
        # in these files the word None stands for an empty list
        correct[query] = frozenset() if answers.strip() == "None" else frozenset(answers.split())
        usages[query] = usage
        lines[query] = where
    truth = Solution(correct, usages)
    for query, names in correct.items():
        problems += [f"{lines[query]}: {problem}" for problem in truth.form_problems(sorted(names))]
    _raise(problems)
    return truth


def _query_problems(query: str, seen: Collection[str], truth: Solution) -> list[str]:
    problems = [f"duplicate query {query}"] if query in seen else []
    if query not in truth.usage:
        problems.append(f"unknown query {query}: not a test image of the solution")
    return problems


def _parse_prediction(text: str) -> Prediction | None:
    """The prediction in a cell, None where it is empty or malformed."""
    try:
        landmark, confidence = text.split()
        value = float(confidence)
    except ValueError:
        return None
    return Prediction(landmark, value) if isfinite(value) and "_" not in confidence else None


def _raise(problems: list[str]) -> None:
    if problems:
        raise HgldError(f"{len(problems)} problem(s):", *shortened(problems))
