"""How good the verdicts of a profile are, collected from the files: `hgld review --report`, and the page /quality."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import nan
from pathlib import Path

import pandas as pd

from hgld.foundation.settings import Params, Queue
from hgld.hierarchy.curation.quality.agreement import (
    coincidences,
    confusions,
    hierarchy_distance,
    judged_twice,
    krippendorff_alpha,
    nominal_distance,
    pairwise_agreement,
)
from hgld.hierarchy.curation.quality.annotator_work import AnnotatorWork, annotator_work
from hgld.hierarchy.curation.quality.precision import (
    Precision,
    corrected_precision,
    precision_by_source,
    total_precision,
)
from hgld.hierarchy.curation.settled_verdicts import is_stale, newest, settled
from hgld.hierarchy.curation.verdict import CLASS, LANDMARK
from hgld.hierarchy.curation.verdicts import REVIEW_FOLDER, load_all_verdicts
from hgld.pipeline.review.candidate_tables import CandidateTables
from hgld.pipeline.review.queue_items import class_names
from hgld.pipeline.stages.queue import judged_controls


@dataclass(frozen=True)
class Pair:
    """Two annotators: how many categories both judged, and on which fraction of them they agree (NaN for none)."""

    first: str
    second: str
    categories: int
    agreement: float


@dataclass(frozen=True)
class Confusion:
    """Two labels that annotators gave to one category, and how often; the empty text is no label."""

    first: str
    second: str
    count: int


@dataclass(frozen=True)
class Conflict:
    """A category, or the QID of a class, on which annotators disagree: (annotator, label) of each.

    name: of the class; empty for a landmark.
    """

    category: str
    opinions: tuple[tuple[str, str], ...]
    kind: str = LANDMARK
    name: str = ""


@dataclass(frozen=True)
class Quality:
    """Everything that the report says. A number that is not known is NaN.

    verdicts: those on landmarks that count, one per annotator and category; class_verdicts: those on classes; unsure:
    answers that say nothing about the label; alpha, alpha_weighted: Krippendorff's, nominal and by the distance in the
    hierarchy, from `judged_twice` categories; precision: per source, then the total, then the total corrected for
    errors of annotators; stale: how many settled ones have another suggestion now; stale_categories: those on
    landmarks; stale_classes: QID and name.
    """

    profile: str
    verdicts: int = 0
    class_verdicts: int = 0
    unsure: int = 0
    annotators: Sequence[AnnotatorWork] = ()
    judged_twice: int = 0
    alpha: float = nan
    alpha_weighted: float = nan
    pairs: Sequence[Pair] = ()
    confusions: Sequence[Confusion] = ()
    precision: Sequence[Precision] = ()
    conflicts: Sequence[Conflict] = ()
    stale: int = 0
    stale_categories: Sequence[str] = ()
    stale_classes: Sequence[tuple[str, str]] = ()


def quality(params: Params, folder: Path = REVIEW_FOLDER, tables: CandidateTables | None = None) -> Quality:
    """The quality of the verdicts of a profile, as they are on disk now.

    tables: where they have been read before.

    Raises HgldError for a malformed verdict file, and, where there are verdicts, for missing outputs of the stages.
    """
    tables = tables or CandidateTables(params, folder)
    natures = tables.taxonomy.natures
    by_kind = load_all_verdicts(folder, natures, params.verdict_profiles)
    verdicts, on_classes = by_kind[LANDMARK].given, by_kind[CLASS].given
    unsure = sum(len(of_kind.unsure) for of_kind in by_kind.values())
    if verdicts.empty and on_classes.empty and not unsure:
        return Quality(params.profile)
    table, classes = tables.of_now(on_classes)
    counted = newest(verdicts)
    labels, coincidence = coincidences(counted)
    agreed, disputed = settled(verdicts, params.release.adjudicators)
    agreed_classes, disputed_classes = settled(on_classes, params.release.adjudicators)
    stale, stale_classes = _stale(agreed, table), _stale(agreed_classes, classes)
    names = class_names(params) if len(disputed_classes) or stale_classes else {}
    return Quality(
        profile=params.profile,
        verdicts=len(counted),
        class_verdicts=len(newest(on_classes)),
        unsure=unsure,
        annotators=annotator_work(verdicts),
        judged_twice=judged_twice(counted),
        alpha=krippendorff_alpha(coincidence, nominal_distance(labels)),
        alpha_weighted=krippendorff_alpha(coincidence, hierarchy_distance(labels, natures)),
        pairs=[Pair(*row) for row in pairwise_agreement(counted).itertuples(index=False, name=None)],
        confusions=[Confusion(*row) for row in confusions(counted).itertuples(index=False, name=None)],
        precision=_precision(verdicts, table, params.queue),
        conflicts=[*_conflicts(disputed_classes, names), *_conflicts(disputed)],
        stale=len(stale) + len(stale_classes),
        stale_categories=stale,
        stale_classes=[(qid, names.get(qid, "")) for qid in stale_classes],
    )


def _precision(verdicts: pd.DataFrame, table: pd.DataFrame, settings: Queue) -> list[Precision]:
    """Per source, in total, and corrected."""
    accepted, judged = judged_controls(table, verdicts, settings)
    counts = accepted["suggested_by"].value_counts()
    total = total_precision(judged, counts)
    return [*precision_by_source(judged, counts), total, corrected_precision(judged, counts)]


def _conflicts(disputed: pd.DataFrame, names: Mapping[str, str] | None = None) -> list[Conflict]:
    """names: of the classes, where the conflicts are about these."""
    rows = disputed[["category", "annotator", "hierarchical_label"]].itertuples(index=False, name=None)
    grouped = groupby(rows, key=lambda row: str(row[0]))
    conflicts = [Conflict(key, tuple((str(who), str(label)) for _, who, label in group)) for key, group in grouped]
    if names is None:
        return conflicts
    return [replace(one, kind=CLASS, name=names.get(one.category, "")) for one in conflicts]


def _stale(agreed: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    suggested = dict(zip(table["category"], table["suggested_label"], strict=True))
    rows = agreed.to_dict("records")
    return [row["category"] for row in rows if is_stale(row, suggested.get(row["category"], ""))]
