"""`hgld assign`: the stages `wikidata` and `build` for any list of landmarks and any SPARQL endpoint.

If no subclass path leads from the classes of a landmark to a label, the English names of these classes are read
instead: the endpoint may hold few subclass statements, or Wikidata may lack one. Such a label has no path, and its note
quotes what was read.
"""

from pathlib import Path

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import check_unique, read_csv_with_lines, write_csv
from hgld.hierarchy.names.class_evidence import best_class_by_name
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.name_rules import build_name_rules
from hgld.hierarchy.taxonomy.class_labels import NO_LABEL, unify_case
from hgld.hierarchy.taxonomy.commons_category import normalise_rows
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy, load_taxonomy
from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.stages.build import LabelledCategories, label_categories
from hgld.pipeline.stages.wikidata import fetch_tables
from hgld.pipeline.wikidata.queries import canary

COLUMNS = ["landmark_id", "category", "supercategory", "hierarchical_label", "natural_or_human_made"]
EVIDENCE = ["qid", "method", "candidates", "class", "path", "note"]
# The least that any usable endpoint holds, however small.
_MINIMUM = {"P31": 1, "P279": 1}


def assign(landmarks: Path, endpoint: Endpoint, out: Path) -> str:
    """Label the landmarks of a CSV with the columns landmark_id and category; other columns are dropped.

    Writes GLDv2's five columns and the evidence to `out`, atomically, in the order of the input; returns a summary.

    Raises HgldError for a malformed input (all bad rows with file:line), a duplicate id, and an endpoint that is
    unusable or holds no classes.
    """
    if out.resolve() == landmarks.resolve():
        raise HgldError(f"{out} is the input; choose another file for the labels")
    if out.is_dir():
        raise HgldError(f"{out} is a folder; give the file that the labels are to be written to")
    table, lines = read_csv_with_lines(landmarks, ["landmark_id", "category"], extra=True)
    table = table[["landmark_id", "category"]]
    check_unique(landmarks, "landmark_id", table["landmark_id"], lines)
    names = normalise_rows(landmarks, table["category"], lines)
    canary(endpoint, _MINIMUM)
    wikidata, taxonomy = fetch_tables(endpoint, names), load_taxonomy()
    labelled = _label_by_class_names(label_categories(wikidata, taxonomy), wikidata.class_labels, taxonomy)
    labels = labelled.set_index("category").loc[names].reset_index(drop=True)
    labels["candidates"] = labels["candidates"].astype("str")
    result = pd.concat([table, labels], axis=1)[COLUMNS + EVIDENCE]
    write_csv(result, out)
    count = int((result["hierarchical_label"] != "").sum())
    return f"{out}: {count} of {len(result)} landmarks labelled"


def _label_by_class_names(built: LabelledCategories, class_labels: pd.DataFrame, taxonomy: Taxonomy) -> pd.DataFrame:
    """The labels of `built`; items without one get the label that the name of one of their classes gives.

    Except items with a closed class (such as a province), which have no label by design.
    """
    class_names = unify_case(dict(class_labels.itertuples(index=False, name=None)))
    rules = build_name_rules(load_class_names(), taxonomy)
    labels = built.labels.copy()
    unlabelled = built.considered[built.considered["outcome"] == NO_LABEL]
    closed = set(unlabelled.loc[unlabelled["path"] != "", "qid"])
    classes = unlabelled.groupby("qid")["class"].agg(list)
    for row in labels.index[(labels["hierarchical_label"] == "") & labels["qid"].isin(classes.index)]:
        item = str(labels.at[row, "qid"])
        names = {qid: class_names[qid] for qid in classes[item] if qid in class_names}
        if item not in closed and (match := best_class_by_name(names, rules, taxonomy)):
            qid, prediction = match
            label = prediction.hierarchical_label
            labels.loc[row, ["class", "supercategory"]] = qid, names[qid]
            labels.loc[row, ["hierarchical_label", "natural_or_human_made"]] = label, taxonomy.natures[label]
            labels.at[row, "note"] = f"no path; read in the name of {qid}: {prediction.evidence}"
    return labels
