"""A KGTK subset of Wikidata (four gzipped tables of tab-separated values) as RDF.

The tables are `subclass_of.tsv.gz` (child, parent), `instance_of.tsv.gz` (item, class), `labels_en.tsv.gz` (id,
label) and `commons_category.tsv.gz` (item, category). `hgld serve FOLDER` serves them as a SPARQL endpoint.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing
from hgld.foundation.text_input import open_text
from hgld.pipeline.sparql.rdf_terms import ENTITY, QID, literal

_DIRECT = "http://www.wikidata.org/prop/direct/"
_LABEL = "http://www.w3.org/2000/01/rdf-schema#label"


class KgtkTable(NamedTuple):
    """A table of two columns, subject and value: its header, and the predicate of its statements.

    language: of values that are text ("": no language tag); None for values that are items.
    """

    header: tuple[str, str]
    predicate: str
    language: str | None = None


TABLES = {
    "subclass_of.tsv.gz": KgtkTable(("child", "parent"), f"{_DIRECT}P279"),
    "instance_of.tsv.gz": KgtkTable(("item", "class"), f"{_DIRECT}P31"),
    "labels_en.tsv.gz": KgtkTable(("id", "label"), _LABEL, language="en"),
    "commons_category.tsv.gz": KgtkTable(("item", "category"), f"{_DIRECT}P373", language=""),
}


def is_subset(folder: Path) -> bool:
    """Whether `folder` has the four tables."""
    return all((folder / name).is_file() for name in TABLES)


def subset_to_ntriples(folder: Path, out: Path) -> int:
    """Write the four tables of `folder` as N-Triples to `out`, atomically; returns the number of statements.

    Rows about properties and lexemes (ids other than QIDs) are left out: no query is about them.

    Raises HgldError for a missing table, a wrong header, or a row without exactly two columns (file:line).
    """
    count = 0
    with replacing(out) as part, part.open("w", encoding="utf-8", newline="\n") as handle:
        for name, table in TABLES.items():
            for subject, value in read_pairs(folder, name):
                term = f"<{ENTITY}{value}>" if table.language is None else literal(value, table.language)
                handle.write(f"<{ENTITY}{subject}> <{table.predicate}> {term} .\n")
                count += 1
    return count


def read_pairs(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    """The rows of one of the TABLES: subjects that are items, with values that are text or items."""
    table = TABLES[name]
    for subject, value in _rows(folder / name, table.header):
        if _is_item(subject) and table.language is not None:
            yield subject, _unquoted(value)
        elif _is_item(subject) and _is_item(value):
            yield subject, value


def _rows(path: Path, header: tuple[str, str]) -> Iterator[tuple[str, str]]:
    number = 0
    for number, line in enumerate(_lines(path), 1):
        cells = tuple(line.rstrip("\r\n").split("\t"))
        if len(cells) != 2 or (number == 1 and cells != header):
            raise HgldError(f"{path}:{number}: expected {' and '.join(header)}; found {line.strip()[:80]}")
        if number > 1:
            yield cells[0], cells[1]
    if not number:
        raise HgldError(f"{path}:1: expected {' and '.join(header)}; found nothing")


def _lines(path: Path) -> Iterator[str]:
    """The lines of a gzipped text file. Raises HgldError when it is missing, truncated, or something else."""
    if not path.is_file():
        raise HgldError(f"no table {path}; expected {', '.join(TABLES)}")
    with open_text(path, newline="\n") as lines:
        yield from lines


def _is_item(identifier: str) -> bool:
    return QID.fullmatch(identifier) is not None


def _unquoted(value: str) -> str:
    r"""The text of a cell: KGTK escapes a quotation mark as \", and such cells are quoted with doubled quotes inside.

    >>> _unquoted("St. Mary\\'s Cathedral")
    "St. Mary's Cathedral"
    """
    if value.startswith('"'):
        value = value[1:].removesuffix('"').replace('""', '"')
    return re.sub(r"""\\(['"\\])""", r"\1", value)
