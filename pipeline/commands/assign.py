"""`hgld assign`: the stages `wikidata` and `build` for any list of landmarks and any SPARQL endpoint.

If no subclass path leads from the classes of a landmark to a label, the English names of these classes are read
instead: the endpoint may hold few subclass statements, or Wikidata may lack one. A class below a province or another
ignored area is read too, if its own name is clear: a city of regional significance is a city, though Wikidata has it
below a country subdivision. Such a label has no path, and its note quotes what was read.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.files import check_output
from hgld.foundation.tables import check_unique, read_csv_with_lines, write_csv
from hgld.hierarchy.curated import CURATED
from hgld.hierarchy.names.class_evidence import best_class_by_name
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.name_rules import NameRules, build_name_rules
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
    check_output(out, landmarks, *CURATED.iterdir())
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
    """The labels of `built`; items without one get the label that the name of one of their classes gives."""
    class_names = unify_case(dict(class_labels.itertuples(index=False, name=None)))
    rules = build_name_rules(load_class_names(), taxonomy)
    labels = built.labels.copy()
    unlabelled = built.considered[built.considered["outcome"] == NO_LABEL]
    paths = {str(item): dict(zip(rows["class"], rows["path"], strict=True)) for item, rows in unlabelled.groupby("qid")}
    for row in labels.index[(labels["hierarchical_label"] == "") & labels["qid"].isin(paths.keys())]:
        path_of = paths[str(labels.at[row, "qid"])]
        names = {qid: class_names[qid] for qid in _readable(path_of, class_names, rules, taxonomy)}
        if match := best_class_by_name(names, rules, taxonomy):
            qid, prediction = match
            label = prediction.hierarchical_label
            labels.loc[row, ["class", "supercategory"]] = qid, names[qid]
            labels.loc[row, ["hierarchical_label", "natural_or_human_made"]] = label, taxonomy.natures[label]
            why = f"below {taxonomy.ignored[_end(path_of[qid])].name}" if path_of[qid] else "no path"
            labels.at[row, "note"] = f"{why}; read in the name of {qid}: {prediction.evidence}"
        elif blocked := next((path for path in path_of.values() if path), ""):
            ignored = taxonomy.ignored[_end(blocked)]
            note = str(labels.at[row, "note"])
            labels.at[row, "note"] = f"{note}; below {ignored.name} ({ignored.qid}), which never gives a label"
    return labels


def _readable(
    path_of: Mapping[str, str], names: Mapping[str, str], rules: NameRules, taxonomy: Taxonomy
) -> Iterator[str]:
    """The classes of an item whose names may label it.

    path_of: class → the path to the ignored class that blocks its labels, "" for none. Other classes count only if
    the names of all blocked ones are clear: an item with a province among its classes has no label by design.
    """
    clear = {
        qid
        for qid, path in path_of.items()
        if qid != _end(path)
        and taxonomy.is_area(_end(path))
        and rules.predict_below_area(names.get(qid, ""), taxonomy, taxonomy.ignored[_end(path)])
    }
    blocked = any(path for qid, path in path_of.items() if qid not in clear)
    for qid, path in path_of.items():
        if qid in names and (qid in clear or not (path or blocked)):
            yield qid


def _end(path: str) -> str:
    return path.rpartition(">")[2]
