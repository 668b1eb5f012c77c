"""Real facts of Wikidata from a KGTK subset (four tables of tab-separated values) as RDF.

The tables are `subclass_of.tsv.gz` (child, parent), `instance_of.tsv.gz` (item, class), `labels_en.tsv.gz` (id,
label) and `commons_category.tsv.gz` (item, category). `hgld serve FOLDER` makes a SPARQL endpoint of them.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing
from hgld.pipeline.sparql.client import ENTITY, literal

_DIRECT = "http://www.wikidata.org/prop/direct/"
_LABEL = "http://www.w3.org/2000/01/rdf-schema#label"

# file name → (its header, the property it states, whether the second column is text, and in what language)
TABLES = {
    "subclass_of.tsv.gz": (("child", "parent"), f"{_DIRECT}P279", False, ""),
    "instance_of.tsv.gz": (("item", "class"), f"{_DIRECT}P31", False, ""),
    "labels_en.tsv.gz": (("id", "label"), _LABEL, True, "en"),
    "commons_category.tsv.gz": (("item", "category"), f"{_DIRECT}P373", True, ""),
}


def is_subset(folder: Path) -> bool:
    """Whether `folder` holds the four tables."""
    return all((folder / name).is_file() for name in TABLES)


def subset_to_ntriples(folder: Path, out: Path) -> int:
    """Write the four tables of `folder` as N-Triples to `out`, atomically; returns the number of statements.

    Rows about properties and lexemes (ids that are no QID) are left out: nothing asks for them.

    Raises HgldError for a missing table, a wrong header, or a row that has not two columns (file:line).
    """
    count = 0
    with replacing(out) as part, part.open("w", encoding="utf-8", newline="\n") as handle:
        for name, (header, prop, is_text, language) in TABLES.items():
            for subject, value in _pairs(folder / name, header):
                if not _is_item(subject) or not (is_text or _is_item(value)):
                    continue
                term = literal(_plain(value), language) if is_text else f"<{ENTITY}{value}>"
                handle.write(f"<{ENTITY}{subject}> <{prop}> {term} .\n")
                count += 1
    return count


def read_pairs(folder: Path, table: str) -> list[tuple[str, str]]:
    """The rows of one of the TABLES about items (a statement's value, where it is no text, is an item as well)."""
    header, _, is_text, _ = TABLES[table]
    return [
        (subject, _plain(value) if is_text else value)
        for subject, value in _pairs(folder / table, header)
        if _is_item(subject) and (is_text or _is_item(value))
    ]


def _pairs(path: Path, header: tuple[str, str]) -> Iterator[tuple[str, str]]:
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
    """The lines of a gzipped text. Raises HgldError when it is not there, cut short, or something else."""
    if not path.is_file():
        raise HgldError(f"no table {path}; expected {', '.join(TABLES)}")
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            yield from lines
    except EOFError:
        raise HgldError(f"{path}: the gzip file is cut short; fetch it again") from None
    except UnicodeDecodeError:
        raise HgldError(f"{path}: not UTF-8; expected a gzipped table in UTF-8") from None
    except (OSError, zlib.error) as error:
        raise HgldError(f"{path}: not a gzip file, or damaged ({error}); fetch it again") from None


def _is_item(identifier: str) -> bool:
    return re.fullmatch(r"Q[1-9]\d*", identifier) is not None


def _plain(value: str) -> str:
    r"""The text of a cell: KGTK writes a quotation mark as \", and the table doubles the quotes around such cells.

    >>> _plain("St. Mary\\'s Cathedral")
    "St. Mary's Cathedral"
    """
    if value.startswith('"'):
        value = value[1:].removesuffix('"').replace('""', '"')
    return re.sub(r"""\\(['"\\])""", r"\1", value)
