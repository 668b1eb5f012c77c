"""How far two label files agree: fraction equal, Cohen's kappa, precision and recall per label, confusions.

The first file is ours, the second the reference. Where ours has scores, their calibration is measured (`reliability`);
where it names the evidence of its labels, each kind is also counted separately.

Only landmarks that have a label in both files are compared. Empty labels are counted separately, so that leaving a
label empty never counts as agreement; `share_of_reference` counts our empty labels as wrong.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hgld.foundation.display.text_table import TextTable
from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError
from hgld.foundation.files import without_nan
from hgld.hierarchy.comparison.label_file import LabelFile, read_label_file, read_labels
from hgld.hierarchy.comparison.proportions import Proportion, decimal, json_fields, wilson
from hgld.hierarchy.comparison.reliability import (
    CoveragePoint,
    Reliability,
    coverage_precision,
    coverage_table,
    reliability,
)

# Evidence is often free text; the rest is counted together.
MAX_EVIDENCE = 20


@dataclass(frozen=True)
class LabelAgreement:
    """How often each file, and both, give a label; precision is of ours, recall of the reference."""

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
    """The agreement of our labels with one kind of evidence; `given` also counts those without a reference label."""

    evidence: str
    given: int
    agreement: Proportion


@dataclass(frozen=True)
class Agreement:
    """The comparison of two label files; see the module.

    The last six fields are empty where ours has no such column. without_score: compared labels without a score, which
    reliability and coverage leave out.
    """

    agreement: Proportion
    share_of_reference: Proportion
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
    coverage: tuple[CoveragePoint, ...] = ()
    by_evidence: tuple[EvidenceAgreement, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON; NaN becomes None."""
        plain = without_nan(asdict(self, dict_factory=json_fields))
        agreement = plain.pop("agreement")
        return {"compared": agreement.pop("total"), **agreement, **plain}

    def text(self) -> str:
        """Tables for the terminal."""
        tables = [self.label_table(), self.confusion_table(10), self.evidence_table()]
        return "\n\n".join([_summary(self), *(str(table) for table in tables if table.rows), *_score_sections(self)])

    def label_table(self) -> TextTable:
        """All labels."""
        rows = [
            (row.label, row.reference, row.ours, row.both, decimal(row.precision), decimal(row.recall))
            for row in self.labels
        ]
        return TextTable(("label", "reference", "ours", "both", "precision", "recall"), rows, ["label"])

    def confusion_table(self, limit: int) -> TextTable:
        """The `limit` most frequent confusions."""
        rows = [(row.ours, row.reference, row.count) for row in self.confusions[:limit]]
        return TextTable(("ours", "reference", "landmarks"), rows, ["ours", "reference"])

    def evidence_table(self) -> TextTable:
        """The kinds of evidence."""
        rows = [
            (row.evidence, row.given, row.agreement.total, row.agreement.hits, *row.agreement.cells())
            for row in self.by_evidence
        ]
        kind = f"ours by {self.evidence_column}"
        return TextTable((kind, "labels", "compared", "equal", "fraction", "95 % interval"), rows, [kind])


def read_pair(
    ours: Path, reference: Path, *, score: str | None = None, evidence: str | None = None
) -> tuple[LabelFile, dict[str, str]]:
    """Our label file, and landmark → label of the reference; see `read_label_file`.

    Raises HgldError for a malformed file, a duplicate landmark, or files without a common landmark.
    """
    our_file, reference_labels = read_label_file(ours, score, evidence), read_labels(reference)
    if not our_file.labels.keys() & reference_labels.keys():
        raise HgldError(f"{ours} and {reference} have no landmark_id in common")
    return our_file, reference_labels


def compare_labels(ours: LabelFile | Mapping[str, str], reference: Mapping[str, str]) -> Agreement:
    """The agreement of two maps from landmark to label ("" for none); independent of their order."""
    file = ours if isinstance(ours, LabelFile) else LabelFile(ours, {}, {})
    labels = file.labels
    common = sorted(labels.keys() & reference.keys())
    compared = [key for key in common if labels[key] and reference[key]]
    pairs = [(labels[key], reference[key]) for key in compared]
    equal = sum(label == other for label, other in pairs)
    with_reference = sum(bool(reference[key]) for key in common)
    scored = [(file.scores[key], labels[key] == reference[key]) for key in compared if key in file.scores]
    unscored = len(compared) - len(scored) if file.score_column else 0
    return Agreement(
        agreement=wilson(equal, len(pairs)),
        share_of_reference=wilson(equal, with_reference),
        kappa=cohen_kappa(pairs),
        empty_in_ours=with_reference - len(pairs),
        empty_in_reference=sum(bool(labels[key]) and not reference[key] for key in common),
        empty_in_both=sum(not labels[key] and not reference[key] for key in common),
        only_in_ours=len(labels.keys() - reference.keys()),
        only_in_reference=len(reference.keys() - labels.keys()),
        labels=_per_label(pairs),
        confusions=_confusions(pairs),
        evidence_column=file.evidence_column,
        score_column=file.score_column,
        without_score=unscored,
        reliability=reliability(scored),
        coverage=coverage_precision(scored, with_reference - unscored),
        by_evidence=_by_evidence(file, reference) if file.evidence_column else (),
    )


def cohen_kappa(pairs: list[tuple[str, str]]) -> float:
    """Agreement beyond chance (Cohen 1960); NaN without pairs, 1 when all pairs are one and the same label."""
    if not pairs:
        return math.nan
    total = len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(first[label] * second[label] for label in first) / total**2
    observed = sum(a == b for a, b in pairs) / total
    return 1.0 if chance == 1 else (observed - chance) / (1 - chance)


def _per_label(pairs: list[tuple[str, str]]) -> tuple[LabelAgreement, ...]:
    ours, reference = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    both = Counter(a for a, b in pairs if a == b)
    return tuple(
        LabelAgreement(label, ours[label], reference[label], both[label],
                       _ratio(both[label], ours[label]), _ratio(both[label], reference[label]))
        for label in sorted({*ours, *reference}, key=lambda label: (-reference[label], label))
    )  # fmt: skip


def _confusions(pairs: list[tuple[str, str]]) -> tuple[Confusion, ...]:
    counts = Counter(pair for pair in pairs if pair[0] != pair[1])
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Confusion(ours, reference, count) for (ours, reference), count in ordered)


def _by_evidence(file: LabelFile, reference: Mapping[str, str]) -> tuple[EvidenceAgreement, ...]:
    """Our labels of landmarks in the reference by kind of evidence, the most frequent first, rare kinds together."""
    keys = [key for key, label in file.labels.items() if label and key in reference]
    given = Counter(file.evidence[key] or "(none)" for key in keys)
    frequent = sorted(given, key=lambda kind: (-given[kind], kind))[:MAX_EVIDENCE]
    members: dict[str, list[str]] = {kind: [] for kind in frequent}
    for key in keys:
        kind = file.evidence[key] or "(none)"
        members.setdefault(kind if kind in frequent else "(others)", []).append(key)
    rows = []
    for kind, landmarks in members.items():
        pairs = [(file.labels[key], reference[key]) for key in landmarks if reference[key]]
        agreement = wilson(sum(a == b for a, b in pairs), len(pairs))
        rows.append(EvidenceAgreement(kind, len(landmarks), agreement))
    return tuple(rows)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _summary(result: Agreement) -> str:
    equal, of_reference = result.agreement, result.share_of_reference
    return (
        f"equal                 {equal.hits} of {equal.total} with both labels = {equal}\n"
        f"of all reference      {of_reference.hits} of {of_reference.total} = {of_reference}\n"
        f"Cohen's kappa         {decimal(result.kappa)}\n"
        f"empty                 ours only {result.empty_in_ours}, reference only {result.empty_in_reference}, "
        f"both {result.empty_in_both}\n"
        f"in one file only      ours {result.only_in_ours}, reference {result.only_in_reference}"
    )


def _score_sections(result: Agreement) -> list[str]:
    if not result.score_column:
        return []
    heading = f"score                 column {visible(result.score_column)}"
    if result.without_score:
        heading += f", {result.without_score} of {result.agreement.total} labels without a score"
    if result.reliability:
        heading += f"\n{result.reliability.summary()}\n\n{result.reliability.table()}"
    elif result.coverage:
        heading += "\ncalibration error     none: the scores are not all in [0, 1]"
    return [heading, *([str(coverage_table(result.coverage))] if result.coverage else [])]
