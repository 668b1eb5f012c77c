"""Class-averaged metrics, `AP_l0 macro`: the mean over classes of the mean over each class's queries ("avg of avgs").

A class with many queries then counts no more than one with few. The classes are those of the queries at the metric's
own level (`AP_l1 macro`: level 1), at the finest for metrics of all levels. Queries without a label there, and those
where the metric is undefined, do not count.
"""

from __future__ import annotations

import pandas as pd

from hgld.benchmarks.metrics.per_query import MACRO, METRICS, parse
from hgld.benchmarks.ranking.levels import UNKNOWN
from hgld.foundation.errors import HgldError, suggest


def check_metric(name: str, levels: int) -> None:
    """Raise HgldError, with a suggestion, unless this is a metric, macro or not, for labels with `levels` levels."""
    base, space, word = name.partition(" ")
    if space and (space + word != MACRO or base == "ties"):
        known = [metric + MACRO for metric in dict.fromkeys([base, *METRICS]) if metric != "ties"]
        raise HgldError(f"unknown metric {name!r}{suggest(name, known)} (the form: 'AP_l0{MACRO}')")
    parse(base, levels)


def per_query_metric(name: str) -> str:
    """The metric of which a macro metric is the mean; another metric itself.

    >>> per_query_metric("AP_l0 macro"), per_query_metric("H-AP")
    ('AP_l0', 'H-AP')
    """
    return name.removesuffix(MACRO)


def is_macro(name: str) -> bool:
    """Whether a metric is a mean over classes."""
    return name.endswith(MACRO)


def level_of(name: str) -> int | None:
    """The level in the name of a metric, macro or not; None for a metric of all levels.

    >>> level_of("R@1_l2"), level_of("AP_l1 macro"), level_of("H-AP")
    (2, 1, None)
    """
    head, _, level = per_query_metric(name).rpartition("_l")
    return int(level) if head and level.isdigit() else None


def class_column(name: str) -> str:
    """The column of per_query.parquet with the classes over which a macro metric is averaged.

    >>> class_column("AP_l1 macro"), class_column("NDCG macro")
    ('class_l1', 'class_l0')
    """
    return f"class_l{level_of(name) or 0}"


def class_means(values: pd.Series, classes: pd.Series) -> pd.Series:
    """The mean of each class over its queries where the value is defined, by class number, ascending.

    values (Q,) float, classes (Q,) integer, UNKNOWN for a query without a label.

    >>> class_means(pd.Series([1.0, 0.0, 0.5]), pd.Series([7, 7, 2])).to_dict()
    {2: 0.5, 7: 0.5}
    """
    return values[classes != UNKNOWN].groupby(classes[classes != UNKNOWN]).mean().dropna()


def macro_mean(values: pd.Series, classes: pd.Series) -> float:
    """The mean of `class_means`; NaN if no class has a defined value."""
    return float(class_means(values, classes).mean())
