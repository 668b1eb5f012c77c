"""How far two label files agree: share equal, kappa, precision and recall per label, confusions.

The first file is ours, the second the reference. A row counts where both files have a label; rows where one or both
are empty are counted apart, so that leaving a label empty never passes for agreement: `share_of_reference` counts
them as misses.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hgld.hierarchy.errors import HgldError
from hgld.hierarchy.tables import check_unique, read_numbered

_Z = 1.959963984540054  # two-sided 95 %


@dataclass(frozen=True)
class Share:
    """A share with its Wilson 95 % interval; NaN where `total` is 0."""

    equal: int
    total: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelAgreement:
    """One label: how often each file gives it, and how often both do; precision is of ours, recall of theirs."""

    label: str
    ours: int
    reference: int
    both: int
    precision: float
    recall: float


@dataclass(frozen=True)
class Confusion:
    """A pair of different labels and how often it occurs."""

    ours: str
    reference: str
    count: int


@dataclass(frozen=True)
class Agreement:
    """The comparison of two label files; see the module."""

    agreement: Share
    share_of_reference: Share
    kappa: float
    empty_in_ours: int
    empty_in_reference: int
    empty_in_both: int
    only_in_ours: int
    only_in_reference: int
    labels: tuple[LabelAgreement, ...]
    confusions: tuple[Confusion, ...]

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON; NaN becomes None."""
        plain = _without_nan(asdict(self))
        assert isinstance(plain, dict)
        share = plain.pop("agreement")
        return {
            "compared": share["total"],
            **{k: share[k] for k in ("equal", "share", "low", "high")},
            **plain,
        }

    def text(self, confusions: int = 10) -> str:
        """Tables for the terminal; the `confusions` largest."""
        return "\n".join(_lines(self, confusions))


def compare_files(ours: Path, reference: Path) -> Agreement:
    """Compare two CSV files with the columns landmark_id and hierarchical_label (others may stand beside them).

    White space around a label does not count.

    Raises HgldError for a malformed file, a landmark that is twice in one, or files without a common landmark.
    """
    mine, theirs = _read(Path(ours)), _read(Path(reference))
    if not mine.keys() & theirs.keys():
        raise HgldError(f"{ours} and {reference} have no landmark_id in common")
    return compare(mine, theirs)


def _read(path: Path) -> dict[str, str]:
    table, lines = read_numbered(path, ["landmark_id", "hierarchical_label"], extra=True)
    check_unique(path, "landmark_id", table["landmark_id"], lines)
    # one label ends in a space upstream, which spreadsheets and editors drop: it says nothing
    labels = table["hierarchical_label"].str.strip()
    return dict(zip(table["landmark_id"].tolist(), labels.tolist(), strict=True))


def compare(ours: Mapping[str, str], reference: Mapping[str, str]) -> Agreement:
    """The agreement of two maps from landmark to label ("" for none); independent of their order."""
    common = sorted(ours.keys() & reference.keys())
    pairs = [(ours[key], reference[key]) for key in common]
    both = [(mine, theirs) for mine, theirs in pairs if mine and theirs]
    equal = sum(mine == theirs for mine, theirs in both)
    return Agreement(
        agreement=wilson(equal, len(both)),
        share_of_reference=wilson(equal, sum(bool(theirs) for _, theirs in pairs)),
        kappa=cohen_kappa(both),
        empty_in_ours=sum(not mine and bool(theirs) for mine, theirs in pairs),
        empty_in_reference=sum(bool(mine) and not theirs for mine, theirs in pairs),
        empty_in_both=sum(not mine and not theirs for mine, theirs in pairs),
        only_in_ours=len(ours.keys() - reference.keys()),
        only_in_reference=len(reference.keys() - ours.keys()),
        labels=_per_label(both),
        confusions=_confusions(both),
    )


def wilson(equal: int, total: int) -> Share:
    """The share `equal` / `total` with its 95 % score interval (Wilson 1927).

    >>> one = wilson(9, 10)
    >>> round(one.low, 3), round(one.high, 3)
    (0.596, 0.982)
    """
    if not total:
        return Share(equal, total, math.nan, math.nan, math.nan)
    share, scale = equal / total, 1 + _Z**2 / total
    middle = (share + _Z**2 / (2 * total)) / scale
    half = _Z * math.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2)) / scale
    return Share(equal, total, share, max(0.0, middle - half), min(1.0, middle + half))


def cohen_kappa(pairs: list[tuple[str, str]]) -> float:
    """Agreement beyond chance (Cohen 1960); 1 when both give one and the same label throughout, NaN without pairs."""
    if not pairs:
        return math.nan
    total = len(pairs)
    mine, theirs = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(mine[label] * theirs[label] for label in mine) / total**2
    observed = sum(a == b for a, b in pairs) / total
    return 1.0 if chance == 1 else (observed - chance) / (1 - chance)


def _per_label(pairs: list[tuple[str, str]]) -> tuple[LabelAgreement, ...]:
    mine, theirs = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    hits = Counter(a for a, b in pairs if a == b)
    return tuple(
        LabelAgreement(label, mine[label], theirs[label], hits[label],
                       _ratio(hits[label], mine[label]), _ratio(hits[label], theirs[label]))
        for label in sorted({*mine, *theirs}, key=lambda label: (-theirs[label], label))
    )  # fmt: skip


def _confusions(pairs: list[tuple[str, str]]) -> tuple[Confusion, ...]:
    counts = Counter(pair for pair in pairs if pair[0] != pair[1])
    return tuple(
        Confusion(*pair, count) for pair, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _lines(result: Agreement, confusions: int) -> list[str]:
    one, of_reference = result.agreement, result.share_of_reference
    lines = [
        f"equal                 {one.equal} of {one.total} with both labels = {_percent(one)}",
        f"of all reference      {of_reference.equal} of {of_reference.total} = {_percent(of_reference)}",
        f"Cohen's kappa         {_figure(result.kappa)}",
        f"empty                 ours only {result.empty_in_ours}, reference only {result.empty_in_reference}, "
        f"both {result.empty_in_both}",
        f"in one file only      ours {result.only_in_ours}, reference {result.only_in_reference}",
        "",
        f"{'label':<26}{'reference':>10}{'ours':>8}{'both':>8}{'precision':>11}{'recall':>9}",
    ]
    lines += [
        f"{row.label:<26}{row.reference:>10}{row.ours:>8}{row.both:>8}{_figure(row.precision):>11}{_figure(row.recall):>9}"
        for row in result.labels
    ]
    if result.confusions:
        lines += ["", f"{'ours':<26}{'reference':<26}{'count':>8}"]
        lines += [f"{c.ours:<26}{c.reference:<26}{c.count:>8}" for c in result.confusions[:confusions]]
    return lines


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _percent(share: Share) -> str:
    return f"{share.share:.1%} (95 % interval {share.low:.1%} to {share.high:.1%})" if share.total else "none"
