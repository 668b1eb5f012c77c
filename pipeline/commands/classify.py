"""`hgld classify`: the hierarchical label of anybody's list of class names, category names, or URLs of categories."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.tables import read_csv, read_parquet, write_csv
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.known_classes import Snapshot, class_table, snapshot
from hgld.hierarchy.names.name_classifier import Lexicon, NameModel, fit, ranked
from hgld.hierarchy.names.name_rules import ClassReader, Reading, class_reader
from hgld.hierarchy.names.name_words import load_name_words
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy, load_taxonomy
from hgld.pipeline.sparql.kgtk import TABLES, is_subset, read_pairs

COLUMNS = ["hierarchical_label", "score", "margin", "evidence", "because"]

# a column of the input that has one of our names is kept under this one
_KEPT = "input_"


def classify(
    texts: Path,
    column: str,
    out: Path,
    *,
    labelled: Path | None = None,
    facts: Path | None = None,
) -> str:
    """Write `texts` with a label, score, margin, evidence and reason for the text in `column`; returns a summary.

    evidence is what decided: `labelled`; `anchor`, `class`, `name`, `general` (a class by its whole name: of the
    taxonomy, of the snapshot, of the lexicon); `head`, `compound`, `word` (a part of it); `open` (a kind that stays
    without a label); `class text`, `name model` (the text models); `empty`. because says what was matched.

    A text is first looked up: among the names that `labelled` gives a label, then as the name of a class (of the
    taxonomy, of the snapshot in `facts`, of the lexicon). Else, without `labelled`, the English of the text is read,
    and what cannot be read goes to a model of the lexicons; with `labelled` a model trained on it decides.

    Raises HgldError for a missing column, a text that is no UTF-8 (file:line), or an unusable snapshot.
    """
    if out.resolve() in {texts.resolve(), labelled.resolve() if labelled else None}:
        raise HgldError(f"{out} is the input; choose another file for the labels")
    table = _table(texts, [column])
    names = _names(texts, table[column])
    taxonomy = load_taxonomy()
    reader = class_reader(load_class_names(), taxonomy, read_snapshot(facts, taxonomy) if facts else None)
    lexicon = Lexicon(reader, load_name_words())
    readings = _classify(names, lexicon, _labels(labelled, column) if labelled else None)
    result = table.rename(columns={name: f"{_KEPT}{name}" for name in COLUMNS if name in table})
    result["hierarchical_label"] = [one.hierarchical_label for one in readings]
    result["score"] = [f"{one.score:.4f}" for one in readings]
    result["margin"] = [f"{one.margin:.4f}" for one in readings]
    result["evidence"] = [one.rule for one in readings]
    result["because"] = [one.evidence for one in readings]
    write_csv(result, out)
    count = int((result["hierarchical_label"] != "").sum())
    return f"{out}: {count} of {len(result)} texts have a label"


def read_snapshot(folder: Path, taxonomy: Taxonomy) -> Snapshot:
    """The classes of a folder: a profile's `data/PROFILE`, or the four tables of `hgld serve`."""
    if is_subset(folder):
        edges = read_pairs(folder, "subclass_of.tsv.gz")
        return snapshot(class_table(edges, dict(read_pairs(folder, "labels_en.tsv.gz")), taxonomy))
    built = folder / "build" / "classes.parquet"
    if not built.is_file():
        raise HgldError(
            f"{folder}: no snapshot of Wikidata; expected build/classes.parquet (dvc repro build), "
            f"or the tables {', '.join(TABLES)}"
        )
    return snapshot(read_parquet(built, ["class", "label", "hierarchical_label", "path"]))


def _table(path: Path, columns: list[str]) -> pd.DataFrame:
    table = read_csv(path, [], extra=True)
    for name in columns:
        if name not in table:
            known = ", ".join(map(str, table.columns))
            raise HgldError(
                f"{path}:1: no column '{name}' (there are: {known}){suggest(name, table.columns)}"
            )
    return table


def _names(path: Path, texts: "pd.Series[str]") -> list[str]:
    """The plain name in every text; empty where there is none."""
    names, bad = [], []
    for line, text in enumerate(texts, 2):
        try:
            names.append(normalise(text) if text.strip() else "")
        except HgldError as error:
            bad.append(f"{path}:{line}: {error}")
    if bad:
        raise HgldError("\n".join(bad))
    return names


def _labels(path: Path, column: str) -> pd.DataFrame:
    """The labelled names of a CSV (name, hierarchical_label), each pair once, sorted; empty labels left out."""
    header = read_csv(path, ["hierarchical_label"], extra=True)
    source = column if column in header else "category"
    table = _table(path, [source, "hierarchical_label"])
    frame = pd.DataFrame({"name": _names(path, table[source]), "label": table["hierarchical_label"]})
    known = (
        frame[(frame["name"] != "") & (frame["label"] != "")].drop_duplicates().sort_values(["name", "label"])
    )
    if known["label"].nunique() < 2:
        raise HgldError(f"{path}: expected names with at least two different labels; found {len(known)} rows")
    return known.reset_index(drop=True)


def _classify(names: Sequence[str], lexicon: Lexicon, known: pd.DataFrame | None) -> list[Reading]:
    found: dict[str, Reading] = {"": Reading(evidence="no text", rule="empty")}
    given = _given(known) if known is not None else {}
    for name in dict.fromkeys(names):
        reading = given.get(name) or _read(name, lexicon.reader, whole=known is not None)
        if reading and name:
            found[name] = reading
    open_names = sorted(set(names) - found.keys())
    if open_names:
        found |= _modelled(open_names, lexicon, known)
    return [found[name] for name in names]


def _given(known: pd.DataFrame) -> dict[str, Reading]:
    """The names that the labelled file itself answers: those with one label there."""
    alone = known.drop_duplicates("name", keep=False)
    rows = alone.itertuples(index=False, name=None)
    return {
        str(name): Reading(str(label), 1.0, 1.0, "the labelled file says so", "labelled")
        for name, label in rows
    }


def _read(name: str, reader: ClassReader, whole: bool) -> Reading | None:
    """What the rules say; whole: only where the name as it stands is the name of a class."""
    reading = reader.name_of_class(name) if whole else reader.read(name)
    return reading if reading and reading.rule else None


def _modelled(names: list[str], lexicon: Lexicon, known: pd.DataFrame | None) -> dict[str, Reading]:
    model: NameModel
    if known is None:
        model, rule, by = fit([], [], lexicon), "class text", "the words of the lexicons"
    else:
        model = fit(known["name"].tolist(), known["label"].tolist(), lexicon)
        rule, by = "name model", f"{len(known)} labelled names"
    columns, scores, margins, seconds = ranked(model.probabilities(names))
    return {
        name: Reading(
            model.labels[best],
            float(score),
            float(margin),
            f"{by}; next: {model.labels[second].strip()}",
            rule,
        )
        for name, best, score, margin, second in zip(names, columns, scores, margins, seconds, strict=True)
    }
