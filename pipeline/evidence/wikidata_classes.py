"""Evidence `class`: the English names of a category's Wikidata classes from which no path leads to a label."""

from collections import defaultdict

import numpy as np

from hgld.hierarchy.names.class_evidence import class_probabilities, mean_by_category, propose_classes
from hgld.hierarchy.names.name_classifier import fit_classifier
from hgld.hierarchy.names.name_rules import NameRules
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.pipeline.dataset.landmark_classes import open_classes
from hgld.pipeline.dataset.schemas import read_stage_table
from hgld.pipeline.evidence.sources import Context, Evidence


def collect(context: Context) -> Evidence:
    """The mean over a category's classes; and the table `classes`: a proposal per class of unlabelled categories.

    Classes of categories that Wikidata labels are read by name too, as if they had no path: that measures the
    evidence. The taxonomy's anchors are excluded there: the lexicons contain their names, and a class without a path
    is never an anchor.
    """
    folder = context.params.data / "wikidata"
    classes_of = open_classes(context.build, read_stage_table(folder / "item_classes.parquet"), context.taxonomy)
    table = read_stage_table(folder / "class_labels.parquet")
    name_of = dict(zip(table["qid"], table["label"], strict=True))
    qids = sorted({qid for own in classes_of.values() for qid in own}, key=qid_number)
    names = [str(name_of.get(qid, "")) for qid in qids]
    rules = NameRules(context.lexicon.rules.names, {}, context.lexicon.rules.ignored)
    probabilities, grounds = class_probabilities(
        names, context.labels, rules, lambda: fit_classifier([], [], context.lexicon)
    )
    informative = {qid: row for qid, row in zip(qids, probabilities, strict=True) if np.ptp(row) > 1e-9}
    unlabelled = context.build.loc[context.build["hierarchical_label"] == "", "category"]
    counts: dict[str, int] = defaultdict(int)
    for category in unlabelled:
        for qid in set(classes_of[category]):
            counts[qid] += 1
    rows = [row for row, qid in enumerate(qids) if qid in counts]
    proposals = propose_classes(
        [qids[row] for row in rows],
        [names[row] for row in rows],
        probabilities[rows],
        [grounds[row] for row in rows],
        context.labels,
        counts,
    )
    by_categories = mean_by_category(context.categories, classes_of, informative, len(context.labels))
    return Evidence(by_categories, {"classes": proposals})
