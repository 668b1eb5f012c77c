"""How far two label files agree: share equal, kappa, precision and recall per label, confusions.

The first file is ours, the second the reference. Where ours says how sure it is of each label, its score is held
against what is right (`reliability`), and where it says on what evidence, each kind is counted apart.

A row counts where both files have a label; rows where one or both are empty are counted apart, so that leaving a
label empty never passes for agreement: `share_of_reference` counts them as misses.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.hierarchy.comparison.label_file import LabelFile, read_label_file, read_labels
from hgld.hierarchy.comparison.proportions import Share, figure, percent, wilson, without_nan
from hgld.hierarchy.comparison.reliability import (
    Point,
    Reliability,
    coverage_lines,
    coverage_precision,
    reliability,
    reliability_lines,
)

# Evidence is often free text: the most frequent so many are told apart.
_KINDS = 20


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
class EvidenceAgreement:
    """How far the labels of ours that one kind of evidence decided agree: `given`, whatever the reference says."""

    evidence: str
    given: int
    agreement: Share


@dataclass(frozen=True)
class Agreement:
    """The comparison of two label files; see the module.

    The last six fields are empty where ours has no column for them; `without_score` counts its compared labels that
    have no score, which reliability and coverage leave out.
    """

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
    evidence_column: str = ""
    score_column: str = ""
    without_score: int = 0
    reliability: Reliability | None = None
    coverage: tuple[Point, ...] = ()
    by_evidence: tuple[EvidenceAgreement, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON; NaN becomes None."""
        plain = without_nan(asdict(self))
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


def compare_files(
    ours: Path, reference: Path, *, score: str | None = None, evidence: str | None = None
) -> Agreement:
    """Compare two CSV files with the columns landmark_id and hierarchical_label (others may stand beside them).

    White space around a label does not count. score, evidence: columns of ours, see `read_label_file`.

    Raises HgldError for a malformed file, a landmark that is twice in one, or files without a common landmark.
    """
    return compare(*read_pair(ours, reference, score=score, evidence=evidence))


def read_pair(
    ours: Path, reference: Path, *, score: str | None = None, evidence: str | None = None
) -> tuple[LabelFile, dict[str, str]]:
    """Our file, and the labels of the reference. Raises HgldError as `compare_files` does."""
    mine, theirs = read_label_file(ours, score, evidence), read_labels(reference)
    if not mine.labels.keys() & theirs.keys():
        raise HgldError(f"{ours} and {reference} have no landmark_id in common")
    return mine, theirs


def compare(ours: LabelFile | Mapping[str, str], reference: Mapping[str, str]) -> Agreement:
    """The agreement of two maps from landmark to label ("" for none); independent of their order."""
    file = ours if isinstance(ours, LabelFile) else LabelFile(ours, {}, {})
    labels = file.labels
    common = sorted(labels.keys() & reference.keys())
    pairs = [(labels[key], reference[key]) for key in common]
    both = [(mine, theirs) for mine, theirs in pairs if mine and theirs]
    equal = sum(mine == theirs for mine, theirs in both)
    answered = [key for key in common if labels[key] and reference[key]]
    scored = [(file.scores[key], labels[key] == reference[key]) for key in answered if key in file.scores]
    unscored = len(answered) - len(scored) if file.score_column else 0
    asked = sum(bool(theirs) for _, theirs in pairs) - unscored
    return Agreement(
        agreement=wilson(equal, len(both)),
        share_of_reference=wilson(equal, sum(bool(theirs) for _, theirs in pairs)),
        kappa=cohen_kappa(both),
        empty_in_ours=sum(not mine and bool(theirs) for mine, theirs in pairs),
        empty_in_reference=sum(bool(mine) and not theirs for mine, theirs in pairs),
        empty_in_both=sum(not mine and not theirs for mine, theirs in pairs),
        only_in_ours=len(labels.keys() - reference.keys()),
        only_in_reference=len(reference.keys() - labels.keys()),
        labels=_per_label(both),
        confusions=_confusions(both),
        evidence_column=file.evidence_column,
        score_column=file.score_column,
        without_score=unscored,
        reliability=reliability(scored),
        coverage=coverage_precision(scored, asked),
        by_evidence=_by_evidence(file, reference) if file.evidence_column else (),
    )


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


def _by_evidence(file: LabelFile, reference: Mapping[str, str]) -> tuple[EvidenceAgreement, ...]:
    """The labels of ours that the reference knows, by evidence, the most frequent first, the rest as one."""
    keys = [key for key, label in file.labels.items() if label and key in reference]
    given = Counter(file.evidence[key] or "(none)" for key in keys)
    named = sorted(given, key=lambda name: (-given[name], name))
    kept = set(named[:_KINDS])
    held: dict[str, list[str]] = {}
    for key in keys:
        name = file.evidence[key] or "(none)"
        held.setdefault(name if name in kept else "(others)", []).append(key)
    found = []
    for name in [*named[:_KINDS], *(["(others)"] if len(named) > _KINDS else [])]:
        rows = [(file.labels[key], reference[key]) for key in held[name] if reference[key]]
        found.append(
            EvidenceAgreement(name, len(held[name]), wilson(sum(a == b for a, b in rows), len(rows)))
        )
    return tuple(found)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _lines(result: Agreement, confusions: int) -> list[str]:
    one, of_reference = result.agreement, result.share_of_reference
    lines = [
        f"equal                 {one.equal} of {one.total} with both labels = {percent(one)}",
        f"of all reference      {of_reference.equal} of {of_reference.total} = {percent(of_reference)}",
        f"Cohen's kappa         {figure(result.kappa)}",
        f"empty                 ours only {result.empty_in_ours}, reference only {result.empty_in_reference}, "
        f"both {result.empty_in_both}",
        f"in one file only      ours {result.only_in_ours}, reference {result.only_in_reference}",
        "",
        f"{'label':<26}{'reference':>10}{'ours':>8}{'both':>8}{'precision':>11}{'recall':>9}",
    ]
    lines += [
        f"{row.label:<26}{row.reference:>10}{row.ours:>8}{row.both:>8}{figure(row.precision):>11}{figure(row.recall):>9}"
        for row in result.labels
    ]
    if result.confusions:
        lines += ["", f"{'ours':<26}{'reference':<26}{'count':>8}"]
        lines += [f"{c.ours:<26}{c.reference:<26}{c.count:>8}" for c in result.confusions[:confusions]]
    return lines + _of_evidence(result) + _of_score(result)


def _of_evidence(result: Agreement) -> list[str]:
    if not result.by_evidence:
        return []
    lines = ["", f"{'ours by ' + result.evidence_column:<26}{'labels':>8}{'compared':>10}{'equal':>8}  share"]
    for row in result.by_evidence:
        one = row.agreement
        lines.append(f"{row.evidence[:25]:<26}{row.given:>8}{one.total:>10}{one.equal:>8}  {percent(one)}")
    return lines


def _of_score(result: Agreement) -> list[str]:
    if not result.score_column:
        return []
    without = (
        f", without one {result.without_score} of {result.agreement.total}" if result.without_score else ""
    )
    lines = ["", f"score                 column {result.score_column}{without}"]
    if result.reliability:
        lines += reliability_lines(result.reliability)
    elif result.coverage:
        lines += ["calibration error     none: the scores are not all in [0, 1]"]
    return lines + (["", *coverage_lines(result.coverage)] if result.coverage else [])
