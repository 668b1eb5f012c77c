"""`hgld classify`: hierarchical labels for any list of class names, landmark names, or URLs of Commons categories."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.files import check_output
from hgld.foundation.tables import read_csv_with_lines, read_parquet, write_csv
from hgld.hierarchy.curated import CURATED
from hgld.hierarchy.fusion.proposals import top_two
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.known_classes import KnownClasses, class_label_table, index_by_name
from hgld.hierarchy.names.name_classifier import Lexicon, fit_classifier
from hgld.hierarchy.names.name_rules import NameRules, Prediction, build_name_rules
from hgld.hierarchy.names.name_words import load_name_words
from hgld.hierarchy.taxonomy.commons_category import normalise_rows
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy, load_taxonomy
from hgld.pipeline.sparql.kgtk import TABLES, is_subset, read_pairs

COLUMNS = ["hierarchical_label", "score", "margin", "evidence", "because"]

# An input column that has the name of an output column is kept with this prefix, or several of it.
_INPUT_PREFIX = "input_"


def classify(
    texts: Path,
    column: str,
    out: Path,
    *,
    labelled: Path | None = None,
    facts: Path | None = None,
) -> str:
    """Add a label with score, margin, evidence and reason to every row of `texts`; returns a summary.

    evidence names the rule that decided: `labelled`; `anchor`, `class`, `name`, `general` (the whole text is a class
    name of the taxonomy, of the snapshot, of the lexicon); `head`, `compound`, `word` (a part of it is); `open` (a kind
    without a label); `class text`, `name model` (the text models); `empty`. because quotes what was matched.

    A text is looked up among the labelled names, then among the class names of the taxonomy, of the snapshot in `facts`
    and of the lexicon. If that fails: without `labelled`, the rules read its English words, and a model of the lexicons
    decides on the rest; with `labelled`, a model trained on it decides.

    Raises HgldError for a missing column, a text that is not UTF-8 (file:line), or an unusable snapshot.
    """
    snapshot_files = [facts / name for name in ("build/classes.parquet", *TABLES)] if facts else []
    check_output(out, texts, labelled, *snapshot_files, *CURATED.iterdir())
    if out.is_dir():
        raise HgldError(f"{out} is a folder; give the file that the labels are to be written to")
    table, lines = read_csv_with_lines(texts, [], extra=True)
    names = _read_names(texts, table, column, lines)
    taxonomy = load_taxonomy()
    snapshot = read_snapshot(facts, taxonomy) if facts else None
    rules = build_name_rules(load_class_names(), taxonomy, snapshot)
    lexicon = Lexicon(rules, load_name_words())
    predictions = _classify(names, lexicon, _read_labels(labelled, column) if labelled else None)
    result = _without_output_names(table)
    result["hierarchical_label"] = [prediction.hierarchical_label for prediction in predictions]
    result["score"] = [f"{prediction.score:.4f}" for prediction in predictions]
    result["margin"] = [f"{prediction.margin:.4f}" for prediction in predictions]
    result["evidence"] = [prediction.rule for prediction in predictions]
    result["because"] = [prediction.evidence for prediction in predictions]
    write_csv(result, out)
    count = int((result["hierarchical_label"] != "").sum())
    return f"{out}: {count} of {len(result)} texts have a label"


def _without_output_names(table: pd.DataFrame) -> pd.DataFrame:
    """The table with other names, each unique, for the columns that have the name of an output column."""
    names: dict[str, str] = {}
    for name in COLUMNS:
        if name in table:
            new = name
            while new in COLUMNS or new in table or new in names.values():
                new = _INPUT_PREFIX + new
            names[name] = new
    return table.rename(columns=names)


def read_snapshot(folder: Path, taxonomy: Taxonomy) -> KnownClasses:
    """The classes of a snapshot of Wikidata: of a profile's `data/PROFILE`, or of the tables of `hgld serve`."""
    if is_subset(folder):
        edges = read_pairs(folder, "subclass_of.tsv.gz")
        return index_by_name(class_label_table(edges, dict(read_pairs(folder, "labels_en.tsv.gz")), taxonomy))
    built = folder / "build" / "classes.parquet"
    if not built.is_file():
        raise HgldError(
            f"{folder}: no snapshot of Wikidata; expected build/classes.parquet (run: dvc repro build), "
            f"or the tables {', '.join(TABLES)}"
        )
    return index_by_name(read_parquet(built, ["class", "label", "hierarchical_label", "path"]))


def _read_names(path: Path, table: pd.DataFrame, column: str, lines: Sequence[int]) -> list[str]:
    """The normalised names in a column of the table that was read from `path`; "" for a blank value."""
    if column not in table:
        known = visible(", ".join(map(str, table.columns)))
        raise HgldError(f"{path}:1: no column '{column}' (there are: {known}){suggest(column, table.columns)}")
    return normalise_rows(path, table[column], lines, blank=True)


def _read_labels(path: Path, column: str) -> pd.DataFrame:
    """The labelled names of a CSV (name, label), distinct and sorted; rows without a label are dropped."""
    table, lines = read_csv_with_lines(path, ["hierarchical_label"], extra=True)
    names = _read_names(path, table, column if column in table else "category", lines)
    frame = pd.DataFrame({"name": names, "label": table["hierarchical_label"]})
    known = frame[(frame["name"] != "") & (frame["label"] != "")].drop_duplicates().sort_values(["name", "label"])
    if known["label"].nunique() < 2:
        raise HgldError(f"{path}: expected names with at least two different labels; found {len(known)} rows")
    return known.reset_index(drop=True)


def _classify(names: Sequence[str], lexicon: Lexicon, labelled: pd.DataFrame | None) -> list[Prediction]:
    predictions: dict[str, Prediction] = {"": Prediction(evidence="no text", rule="empty")}
    lookup = _unambiguous(labelled) if labelled is not None else {}
    for name in dict.fromkeys(names):
        prediction = lookup.get(name) or _apply_rules(name, lexicon.rules, whole_name=labelled is not None)
        if prediction and name:
            predictions[name] = prediction
    unmatched = sorted(set(names) - predictions.keys())
    if unmatched:
        predictions |= _predict(unmatched, lexicon, labelled)
    return [predictions[name] for name in names]


def _unambiguous(labelled: pd.DataFrame) -> dict[str, Prediction]:
    """The names that have exactly one label in the labelled file."""
    unique = labelled.drop_duplicates("name", keep=False)
    return {
        str(name): Prediction(str(label), 1.0, 1.0, "the labelled file says so", "labelled")
        for name, label in unique.itertuples(index=False, name=None)
    }


def _apply_rules(name: str, rules: NameRules, whole_name: bool) -> Prediction | None:
    """The prediction of the rules; whole_name: only if the whole text is the name of a class."""
    prediction = rules.match_whole_name(name) if whole_name else rules.predict(name)
    return prediction if prediction and prediction.rule else None


def _predict(names: list[str], lexicon: Lexicon, labelled: pd.DataFrame | None) -> dict[str, Prediction]:
    """The predictions of a text model: of the lexicons, or trained on the labelled names."""
    if labelled is None:
        model, rule, source = fit_classifier([], [], lexicon), "class text", "the words of the lexicons"
    else:
        model = fit_classifier(labelled["name"].tolist(), labelled["label"].tolist(), lexicon)
        rule, source = "name model", f"{len(labelled)} labelled names"
    top = top_two(model.probabilities(names))
    return {
        name: Prediction(
            model.labels[best],
            float(score),
            float(margin),
            f"{source}; next: {model.labels[second].strip()}",
            rule,
        )
        for name, best, score, margin, second in zip(names, *top, strict=True)
    }
