"""Finished runs of `hgld benchmark --out DIR`: their scores per query, and whether they can be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hgld.benchmarks.metrics import parse
from hgld.benchmarks.metrics.macro import class_column, class_means, is_macro, per_query_metric
from hgld.benchmarks.metrics.per_query import MACRO
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.files import read_json
from hgld.foundation.tables import read_parquet

_ANY_LEVEL = 10**9
_ROUNDING = 1e-6  # metrics.json has six digits
_EXAMPLES = 3
REMEDY = "score the models again with the same hgld benchmark options and --data"


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """The scores of one model.

    name: for tables. path: per_query.parquet. per_query: its rows by image id, ascending. metrics: what can be
    compared, in the order of the file; macro metrics last. summary: metrics.json.
    """

    name: str
    path: Path
    per_query: pd.DataFrame
    metrics: tuple[str, ...]
    summary: Mapping[str, Any]


def read_runs(results: Sequence[str]) -> list[FinishedRun]:
    """The runs in these folders of --out, in order; NAME=FOLDER names one.

    Raises HgldError, one line: missing, unfinished or damaged results, the same folder twice, runs that do not belong
    together (`check_comparable`).
    """
    names, folders = zip(*map(_named, results), strict=True) if results else ((), ())
    runs = [_read(folder, name) for name, folder in zip(_distinct(names, folders), folders, strict=True)]
    for run in runs[1:]:
        check_comparable(runs[0], run)
    return runs


def _named(result: str) -> tuple[str, Path]:
    """The name, "" if none is given, and the folder."""
    name, equals, folder = result.partition("=")
    path = Path(folder) if equals and name and not Path(result).exists() else Path(result)
    path = path.parent if path.name == "per_query.parquet" else path
    return (name if folder and not Path(result).exists() and equals else ""), path


def _distinct(names: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """A name for each: as given, or else the shortest end of its path that no other run has."""
    parts = [(name,) if name else folder.resolve().parts for name, folder in zip(names, folders, strict=True)]
    chosen = []
    for number, own in enumerate(parts):
        others = [other for place, other in enumerate(parts) if place != number]
        lengths = [n for n in range(1, len(own) + 1) if own[-n:] not in [other[-n:] for other in others]]
        if not lengths:
            what = f"the name {own[0]!r}" if names[number] else str(folders[number])
            raise HgldError(f"{what} is given twice; give each result once, or a name: NAME=FOLDER")
        chosen.append("/".join(own[-lengths[0] :]))
    return chosen


def _read(folder: Path, name: str) -> FinishedRun:
    path = folder / "per_query.parquet"
    for file in (path, folder / "metrics.json"):
        if not file.is_file():
            raise HgldError(
                f"{file}: no such file; expected the folder that `hgld benchmark MODEL --out {folder}` has finished"
            )
    table, summary = read_parquet(path), read_json(folder / "metrics.json")
    if "image_id" not in table or table["image_id"].duplicated().any() or table["image_id"].isna().any():
        raise HgldError(f"{path}: expected a column image_id with one id per row; not a result of hgld benchmark")
    if table.empty:
        raise HgldError(f"{path}: no queries; run hgld benchmark again")
    own = [str(column) for column in table if _is_metric(str(column))]
    for metric in own:
        _check_values(table[metric], metric, path, summary)
    macro = [metric + MACRO for metric in own if class_column(metric) in table and f"{metric}_macro" in summary]
    if not own:
        raise HgldError(f"{path}: no column is a metric; not a result of hgld benchmark")
    per_query = table.set_index("image_id").sort_index()
    return FinishedRun(name=name, path=path, per_query=per_query, metrics=(*own, *macro), summary=summary)


def _is_metric(column: str) -> bool:
    try:
        parse(column, _ANY_LEVEL)
    except HgldError:
        return False
    return column != "ties"


def _check_values(values: pd.Series, metric: str, path: Path, summary: Mapping[str, Any]) -> None:
    """Raise HgldError unless they are scores whose mean is that of metrics.json."""
    if not pd.api.types.is_float_dtype(values) or not values.dropna().between(-_ROUNDING, 1 + _ROUNDING).all():
        raise HgldError(
            f"{path}: column {metric!r} has values that are not scores from 0 to 1; run hgld benchmark again"
        )
    stated = summary.get(metric)
    mean = float(values.mean())
    if isinstance(stated, int | float) and not abs(stated - mean) <= _ROUNDING:
        raise HgldError(
            f"{path}: the mean {metric} of its rows is {mean:.6f}, metrics.json beside it says {stated:.6f}: the files "
            "are of different runs; run hgld benchmark again"
        )


def check_comparable(first: FinishedRun, other: FinishedRun) -> None:
    """Raise HgldError unless both were scored on the same queries, labels and gallery."""
    both = f"{first.path} and {other.path}"
    ids, other_ids = first.per_query.index, other.per_query.index
    if not ids.equals(other_ids):
        less, more = ids.difference(other_ids), other_ids.difference(ids)
        parts = [
            f"{len(extra)} only in {run.name}, such as {', '.join(map(repr, extra[:_EXAMPLES]))}"
            for run, extra in ((first, less), (other, more))
            if len(extra)
        ]
        counts = f"{len(ids)} and {len(other_ids)} queries"
        raise HgldError(f"{both} are not of the same queries ({counts}): {'; '.join(parts)}; {REMEDY}")
    sizes = [run.summary.get("gallery") for run in (first, other)]
    if None not in sizes and sizes[0] != sizes[1]:
        raise HgldError(f"{both}: scored against {sizes[0]} and {sizes[1]} index images; {REMEDY}")
    levels = [_levels(run) for run in (first, other)]
    if None not in levels and levels[0] != levels[1]:
        raise HgldError(f"{both}: scored with {levels[0]} and {levels[1]} levels of labels; {REMEDY}")
    for column in first.per_query.columns.intersection(other.per_query.columns):
        mine, theirs = first.per_query[column], other.per_query[column]
        if _is_metric(str(column)):
            mine, theirs = mine.isna(), theirs.isna()
        elif str(column) == "ties":
            continue
        differing = mine.index[(mine.to_numpy() != theirs.to_numpy()) & ~(mine.isna() & theirs.isna()).to_numpy()]
        if len(differing):
            what = "are defined for different queries" if _is_metric(str(column)) else "differ"
            raise HgldError(
                f"{both}: the values of {column!r} {what}, {len(differing)} in all, such as {differing[0]!r}: the "
                f"labels or the gallery were others; {REMEDY}"
            )


def _levels(run: FinishedRun) -> int | None:
    """How many levels the labels have; None for the release, whose rows describe the queries in other columns."""
    others = [str(column) for column in run.per_query if column != "ties" and not _is_metric(str(column))]
    return len(others) if others and all(re.fullmatch(r"class_l\d+", column) for column in others) else None


def chosen_metrics(runs: Sequence[FinishedRun], wanted: Sequence[str] | None) -> list[str]:
    """The metrics to compare: as wanted, else all that every run has. Raises HgldError for one that a run lacks."""
    common = [metric for metric in runs[0].metrics if all(metric in run.metrics for run in runs)]
    for metric in wanted or []:
        for run in runs:
            if metric not in run.metrics:
                raise HgldError(
                    f"{run.name}: has no metric {metric!r}{suggest(metric, run.metrics)} (it has "
                    f"{', '.join(run.metrics)}); others: hgld benchmark … --metrics"
                )
    if not common:
        raise HgldError("the runs have no metric in common: score them with the same hgld benchmark … --metrics")
    return list(dict.fromkeys(wanted or common))


def scores_of(run: FinishedRun, metric: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The values of which a metric is the mean: one per query, NaN where undefined; for a macro metric, per class."""
    values = run.per_query[per_query_metric(metric)]
    if is_macro(metric):
        values = class_means(values, run.per_query[class_column(metric)])
    return values.to_numpy(dtype=np.float64)
