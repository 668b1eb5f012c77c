"""How good the verdicts of a profile are, collected from the files: `hgld review --report`, and the page /quality."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import nan
from pathlib import Path

import pandas as pd

from hgld.foundation.settings import Params
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
    confirmations,
    corrected_precision,
    precision_by_source,
    total_precision,
)
from hgld.hierarchy.curation.settled_verdicts import is_stale, newest, settled
from hgld.hierarchy.curation.verdicts import REVIEW_FOLDER, load_verdicts
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.stages.queue import controls, read_candidates


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
    """A category on which annotators disagree: (annotator, label) of each."""

    category: str
    opinions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Quality:
    """Everything that the report says. A number that is not known is NaN.

    verdicts: those that count, one per annotator and category; alpha, alpha_weighted: Krippendorff's, nominal and by
    the distance in the hierarchy, from `judged_twice` categories; precision: per source, then the total, then the total
    corrected for errors of annotators; stale, stale_categories: settled ones whose suggestion has changed since.
    """

    profile: str
    verdicts: int = 0
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


def quality(params: Params, folder: Path = REVIEW_FOLDER) -> Quality:
    """The quality of the verdicts of a profile, as they are on disk now.

    Raises HgldError for a malformed verdict file, and, where there are verdicts, for missing outputs of the stages.
    """
    taxonomy = load_taxonomy(Path(params.build.taxonomy))
    natures = taxonomy.natures
    verdicts = load_verdicts(folder, natures, params.verdict_profiles)
    if verdicts.empty:
        return Quality(params.profile)
    table, _ = read_candidates(params, taxonomy, folder)
    counted = newest(verdicts)
    labels, coincidence = coincidences(counted)
    agreed, disputed = settled(verdicts, params.release.adjudicators)
    stale = _stale(agreed, table)
    return Quality(
        profile=params.profile,
        verdicts=len(counted),
        annotators=annotator_work(verdicts),
        judged_twice=judged_twice(counted),
        alpha=krippendorff_alpha(coincidence, nominal_distance(labels)),
        alpha_weighted=krippendorff_alpha(coincidence, hierarchy_distance(labels, natures)),
        pairs=[Pair(*row) for row in pairwise_agreement(counted).itertuples(index=False, name=None)],
        confusions=[Confusion(*row) for row in confusions(counted).itertuples(index=False, name=None)],
        precision=_precision(verdicts, table, params.queue.control, params.queue.seed),
        conflicts=_conflicts(disputed),
        stale=len(stale),
        stale_categories=stale,
    )


def _precision(verdicts: pd.DataFrame, table: pd.DataFrame, control: int, seed: int) -> list[Precision]:
    """Per source, in total, and corrected; an accepted proposal without a label is not a label."""
    accepted = table[(table["reason"] == "") & (table["suggested_label"] != "") & (table["suggested_by"] != "")]
    judged = confirmations(verdicts, accepted, controls(table, control, seed))
    counts = accepted["suggested_by"].value_counts()
    total = total_precision(judged, counts)
    return [*precision_by_source(judged, counts), total, corrected_precision(judged, counts)]


def _conflicts(disputed: pd.DataFrame) -> list[Conflict]:
    rows = disputed[["category", "annotator", "hierarchical_label"]].itertuples(index=False, name=None)
    grouped = groupby(rows, key=lambda row: str(row[0]))
    return [Conflict(name, tuple((str(who), str(label)) for _, who, label in group)) for name, group in grouped]


def _stale(agreed: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    suggested = dict(zip(table["category"], table["suggested_label"], strict=True))
    rows = agreed.to_dict("records")
    return [row["category"] for row in rows if is_stale(row, suggested.get(row["category"], ""))]
