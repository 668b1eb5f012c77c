"""The precision of accepted labels, estimated from the verdicts on the control sample.

The controls of a source are a random sample of the labels accepted from it, so the fraction of them that annotators
confirm estimates the fraction of all of them that annotators would confirm. An annotator who errs rarely confirms a
correct label by mistake, but rejects some: the confirmed fraction is below the precision. `corrected_precision` divides
the errors out, where controls were judged twice.
"""

from dataclasses import dataclass
from math import nan, sqrt

import pandas as pd

from hgld.hierarchy.curation.settled_verdicts import newest

CONFIDENCE = 0.95

# The standard normal quantile of a two-sided interval of 95 %.
Z_95 = 1.959964


@dataclass(frozen=True)
class Precision:
    """An estimate with its 95 % interval, NaN where unknown.

    source: kind of evidence; labels: how many labels are accepted from it; controls: how many of the judged controls
    have it.
    """

    source: str
    labels: int
    controls: int
    estimate: float
    low: float
    high: float


def wilson(successes: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a binomial proportion, within [0, 1]; (NaN, NaN) for count 0. Wilson 1927.

    successes: may be a sum of fractions, for which the interval is wider than needed.

    >>> [round(bound, 4) for bound in wilson(9, 10)]
    [0.5958, 0.9821]
    """
    if not count:
        return nan, nan
    fraction, squared = successes / count, Z_95**2 / count
    centre = (fraction + squared / 2) / (1 + squared)
    half = Z_95 * sqrt(fraction * (1 - fraction) / count + squared / (4 * count)) / (1 + squared)
    return max(0.0, centre - half), min(1.0, centre + half)


def clopper_pearson(successes: float, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval of a binomial proportion, which covers at least `confidence`; (NaN, NaN) for count 0.

    successes: may be a sum of fractions. Clopper and Pearson 1934.

    >>> [round(bound, 4) for bound in clopper_pearson(9, 10)]
    [0.555, 0.9975]
    """
    from scipy.special import betaincinv  # 0.2 s

    if not count:
        return nan, nan
    tail, failures = (1 - confidence) / 2, count - successes
    low = float(betaincinv(successes, failures + 1, tail)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - tail)) if failures > 0 else 1.0
    return low, high


def confirmations(verdicts: pd.DataFrame, accepted: pd.DataFrame, drawn: set[str]) -> pd.DataFrame:
    """Per judged control: the fraction of its annotators who confirm the label, and the fraction of pairs that agree.

    A verdict counts if the suggestion that it records is the label accepted now; the newest one of each annotator
    counts. A category is the unit, whatever the number of its verdicts, as only categories are drawn independently.

    verdicts: all rows; accepted: the accepted labels (category, suggested_label, suggested_by); drawn: the controls.
    Returns columns category, source, confirmed, agreement (NaN where it has one verdict), sorted by category.
    """
    current = accepted[accepted["category"].isin(drawn)]
    current = current[["category", "suggested_label", "suggested_by"]].rename(columns={"suggested_by": "source"})
    rows = newest(verdicts).merge(current, on=["category", "suggested_label"])
    rows = rows[(rows["suggested_by"] != "") & (rows["suggested_label"] != "")]
    rows = rows.assign(confirmed=(rows["hierarchical_label"] == rows["suggested_label"]).astype("float64"))
    judged = rows.groupby("category", sort=True)
    table = pd.DataFrame(
        {
            "source": judged["source"].first(),
            "confirmed": judged["confirmed"].mean(),
            "agreement": judged["hierarchical_label"].agg(_agreeing_pairs).astype("float64"),
        }
    )
    return table.reset_index()


def _agreeing_pairs(labels: "pd.Series[str]") -> float:
    """The fraction of the pairs of verdicts that are equal."""
    count = len(labels)
    if count < 2:
        return nan
    return float(sum(size * (size - 1) for size in labels.value_counts())) / (count * (count - 1))


def precision_by_source(judged: pd.DataFrame, labels: "pd.Series[int]") -> list[Precision]:
    """The confirmed fraction of each source with Wilson's interval, sorted by source.

    judged: from `confirmations`; labels: source → number of its accepted labels.
    """
    rows = []
    for source in sorted(str(name) for name in labels.index):
        confirmed, count = _confirmed(judged, source)
        estimate = confirmed / count if count else nan
        rows.append(Precision(source, int(labels[source]), count, estimate, *wilson(confirmed, count)))
    return rows


def _confirmed(judged: pd.DataFrame, source: str) -> tuple[float, int]:
    """The confirmed controls of a source, which may be a fraction, and its judged controls."""
    confirmed = judged.loc[judged["source"] == source, "confirmed"]
    return float(confirmed.sum()), len(confirmed)


def total_precision(judged: pd.DataFrame, labels: "pd.Series[int]", confidence: float = CONFIDENCE) -> Precision:
    """The confirmed fraction of all accepted labels: each source weighs as many as it has; NaN if one was not judged.

    The interval combines the Clopper-Pearson intervals of the sources: low = p - sqrt(sum (w (p_s - low_s))²), and
    high alike (Zou, Huang and Zhang 2009, MOVER). Its coverage, computed exactly, is at least 95 % with 50 controls a
    source; combined from Wilson's intervals it is down to 92 %.

    judged, labels: as for `precision_by_source`.
    """
    total = int(labels.sum())
    estimate, below, above = 0.0 if total else nan, 0.0, 0.0
    for source in map(str, labels.index):
        confirmed, count = _confirmed(judged, source)
        fraction, weight = confirmed / count if count else nan, int(labels[source]) / total
        low, high = clopper_pearson(confirmed, count, confidence)
        estimate += weight * fraction
        below += (weight * (fraction - low)) ** 2
        above += (weight * (high - fraction)) ** 2
    return Precision("total", total, len(judged), estimate, estimate - sqrt(below), estimate + sqrt(above))


def corrected_precision(judged: pd.DataFrame, labels: "pd.Series[int]") -> Precision:
    """The precision of all accepted labels, corrected for the errors of annotators; NaN if no control is judged twice.

    If each verdict is wrong with probability e, independently, and errors differ among themselves, then two verdicts
    agree with A = (1 - e)², and a correct label is confirmed with 1 - e = sqrt(A): precision = confirmed / sqrt(A), at
    most 1. The bounds are those of two 97.5 % intervals, so at least 95 % hold both (Bonferroni). Errors that
    annotators share are not seen; controls is the number of those that were judged twice.
    """
    each = (1 + CONFIDENCE) / 2
    total = total_precision(judged, labels, each)
    agreement = judged["agreement"].dropna()
    if total.estimate != total.estimate or not agreement.sum():
        return Precision("corrected", total.labels, len(agreement), nan, nan, nan)
    least, most = clopper_pearson(float(agreement.sum()), len(agreement), each)
    bounds = (total.estimate, agreement.mean()), (total.low, most), (total.high, least)
    values = [min(1.0, confirmed / sqrt(agreed)) for confirmed, agreed in bounds]
    return Precision("corrected", total.labels, len(agreement), *values)
