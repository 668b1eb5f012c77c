"""What each hierarchical label means, for annotators and readers: one sentence, and other words for it.

`label_definitions.csv` is edited by hand and kept in git; the synonyms, separated by semicolons, only help to find a
label by typing. Nothing is labelled by it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.sorted_rows import Key, order_problems
from hgld.foundation.tables import read_csv_with_lines

FILE = "label_definitions.csv"
COLUMNS = ["hierarchical_label", "definition", "synonyms"]


@dataclass(frozen=True)
class LabelDefinition:
    """A sentence on what the label is for, and other words under which people look for it."""

    definition: str
    synonyms: tuple[str, ...]


def load_label_definitions(folder: Path, labels: Collection[str]) -> dict[str, LabelDefinition]:
    """Label → definition, from the file in `folder`, that of the taxonomy; {} where it is not there.

    Raises HgldError that lists every problem, such as a label without a definition, as "file:line: what is wrong".
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return {}
    definitions, problems = _read(path, labels)
    if problems:
        raise HgldError(f"{len(problems)} problem(s) in the definitions of the labels", *problems)
    return definitions


def label_definition_problems(folder: Path, labels: Collection[str]) -> list[str]:
    """The problems of the file as "file:line: what is wrong"; labels: those of the taxonomy."""
    try:
        return _read(Path(folder) / FILE, labels)[1]
    except HgldError as error:
        return str(error).splitlines()


def sort_key(row: Sequence[str]) -> Key:
    """The rows are in the order of the labels."""
    return (row[0],)


def _read(path: Path, labels: Collection[str]) -> tuple[dict[str, LabelDefinition], list[str]]:
    table, lines = read_csv_with_lines(path, COLUMNS)
    rows = [[str(value) for value in values] for values in table.itertuples(index=False, name=None)]
    misplaced = order_problems([sort_key(row) for row in rows], lines)
    definitions, problems = {}, []
    for number, (label, definition, synonyms) in enumerate(rows):
        where = f"{path}:{lines[number]}"
        if label not in labels:
            problems.append(f"{where}: unknown label {label!r}{suggest(label, labels)}")
        if not definition.strip():
            problems.append(f"{where}: no definition of {label!r}; write a sentence")
        if number in misplaced:
            problems.append(f"{where}: {misplaced[number]}")
        words = tuple(filter(None, (word.strip() for word in synonyms.split(";"))))
        definitions[label] = LabelDefinition(definition.strip(), words)
    missing = [label for label in labels if label not in definitions]
    problems += [f"{path}: no definition of {label!r}; add a row {','.join(COLUMNS)}" for label in missing]
    return definitions, problems
