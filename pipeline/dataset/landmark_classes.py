"""The classes of landmarks that no class has labelled, and what the verdicts on these classes say."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hgld.foundation.settings import Params
from hgld.hierarchy.curation.settled_verdicts import settled
from hgld.hierarchy.curation.verdict import CLASS
from hgld.hierarchy.curation.verdicts import load_verdicts
from hgld.hierarchy.fusion.class_verdicts import ClassVerdicts, spread
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy
from hgld.pipeline.dataset.schemas import read_stage_table


@dataclass(frozen=True)
class LandmarkClasses:
    """of: category without a label → the classes of its item (QIDs); names: QID → English name."""

    of: Mapping[str, list[str]]
    names: Mapping[str, str]


def read_landmark_classes(params: Params, taxonomy: Taxonomy, labels: pd.DataFrame) -> LandmarkClasses:
    """The classes of the categories that have no label in `labels`, the table of the stage `build`."""
    folder = params.data / "wikidata"
    names = read_stage_table(folder / "class_labels.parquet")
    unlabelled = labels[labels["hierarchical_label"] == ""]
    of = open_classes(unlabelled, read_stage_table(folder / "item_classes.parquet"), taxonomy)
    return LandmarkClasses(of, dict(zip(names["qid"], names["label"], strict=True)))


def open_classes(labels: pd.DataFrame, item_classes: pd.DataFrame, taxonomy: Taxonomy) -> dict[str, list[str]]:
    """Category → the classes of its item that are neither anchors nor ignored, lowest QID number first.

    labels: a table with the columns category and qid; item_classes: that of the stage `wikidata`.
    """
    of_item: dict[str, list[str]] = defaultdict(list)
    for item, qid in zip(item_classes["qid"], item_classes["class"], strict=True):
        if qid not in taxonomy.ignored and qid not in taxonomy.anchors:
            of_item[str(item)].append(str(qid))
    for qids in of_item.values():
        qids.sort(key=qid_number)
    return {
        str(category): of_item.get(str(item), [])
        for category, item in zip(labels["category"], labels["qid"], strict=True)
    }


def read_class_verdicts(params: Params, taxonomy: Taxonomy, classes: LandmarkClasses, folder: Path) -> ClassVerdicts:
    """What the verdicts in `folder` on classes say about the landmarks; none where annotators disagree.

    Raises HgldError when a verdict file is malformed.
    """
    verdicts = load_verdicts(folder, taxonomy.natures, params.verdict_profiles, CLASS)
    return class_verdicts(params, taxonomy, classes, verdicts)


def class_verdicts(
    params: Params, taxonomy: Taxonomy, classes: LandmarkClasses, verdicts: pd.DataFrame
) -> ClassVerdicts:
    """What `verdicts`, all of them on classes, say about the landmarks; none where annotators disagree."""
    agreed, _ = settled(verdicts, params.release.adjudicators)
    return spread(agreed, classes.of, taxonomy.precedences, classes.names)
