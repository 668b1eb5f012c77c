"""The items that Wikidata names as countries (P17), and the continents that they lie on: countries.csv, edited by hand.

A row is of one of four kinds:

- `country`: a country or territory with an entry in ISO 3166-1, whose two letters are its code;
- `same`: another item for the same entry, such as England for GB;
- `without code`: a state without such an entry, most of them disputed; only its continent is used;
- `historic`: a state of the past; only its continent is used, and only for a place without any other country.

`continent` is where places without coordinates are counted; a historic state that lay on several has them all,
separated by `|`. Codes and names are those of ISO and Wikidata, and no statement on whose a place is.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.sorted_rows import Key, order_problems
from hgld.foundation.tables import read_csv_with_lines
from hgld.hierarchy.curated import CURATED

FILE = "countries.csv"
COLUMNS = ["qid", "name", "code", "kind", "continent", "comment"]
KINDS = ("country", "same", "without code", "historic")
# Separates several countries or continents in one value.
SEPARATOR = "|"
# The continents, with their items in Wikidata.
CONTINENTS = {
    "Africa": "Q15",
    "Antarctica": "Q51",
    "Asia": "Q48",
    "Europe": "Q46",
    "North America": "Q49",
    "Oceania": "Q538",
    "South America": "Q18",
}

_QID = re.compile(r"Q[1-9][0-9]{0,17}", re.ASCII)
_CODE = re.compile(r"[A-Z]{2}", re.ASCII)


@dataclass(frozen=True)
class Country:
    """A row of the file; code: "" without an entry in ISO 3166-1; continents: one, or several of a historic state."""

    qid: str
    name: str
    code: str
    kind: str
    continents: tuple[str, ...]


def load_countries(folder: Path = CURATED) -> dict[str, Country]:
    """QID → country, from the file in `folder`. Raises HgldError that lists every problem (file:line)."""
    countries, problems = _read(Path(folder) / FILE)
    if problems:
        raise HgldError(f"{len(problems)} problem(s) in the countries", *problems)
    return countries


def country_problems(folder: Path) -> list[str]:
    """The problems of the file, each as "file:line: what is wrong"."""
    try:
        return _read(Path(folder) / FILE)[1]
    except HgldError as error:
        return str(error).splitlines()


def sort_key(row: Sequence[str]) -> Key:
    """The rows are in the order of the names; two rows may have one name, but not one item."""
    return (row[1], row[0])


def country_names(countries: Mapping[str, Country]) -> dict[str, str]:
    """Code → English name of the country or territory."""
    return {country.code: country.name for country in countries.values() if country.kind == "country"}


def _read(path: Path) -> tuple[dict[str, Country], list[str]]:
    table, lines = read_csv_with_lines(path, COLUMNS)
    rows = [[str(value) for value in values] for values in table.itertuples(index=False, name=None)]
    misplaced = order_problems([sort_key(row) for row in rows], lines)
    owners: dict[str, int] = {}
    for line, (_, _, code, kind, _, _) in zip(lines, rows, strict=True):
        if kind == "country":
            owners.setdefault(code, line)
    countries: dict[str, Country] = {}
    problems = []
    for number, (qid, name, code, kind, continent, _) in enumerate(rows):
        faults = _faults(qid, name, code, kind, continent, owners)
        if qid in countries:
            faults.append(f"{qid} is {countries[qid].name} above; keep one of the two rows")
        if kind == "country" and code in owners and owners[code] != lines[number]:
            faults.append(f"code {code} is on line {owners[code]} too; a further item of it has the kind same")
        if number in misplaced:
            faults.append(misplaced[number])
        problems += [f"{path}:{lines[number]}: {fault}" for fault in faults]
        countries.setdefault(qid, Country(qid, name, code, kind, tuple(continent.split(SEPARATOR))))
    return countries, problems


def _faults(qid: str, name: str, code: str, kind: str, continent: str, codes: Collection[str]) -> list[str]:
    faults = []
    if not _QID.fullmatch(qid):
        faults.append(f"{qid!r} is not a QID, such as Q142")
    if not name.strip():
        faults.append("no name; write the English one")
    if kind not in KINDS:
        faults.append(f"unknown kind {kind!r}{suggest(kind, KINDS)}; known: {', '.join(KINDS)}")
    elif kind in ("country", "same"):
        if not _CODE.fullmatch(code):
            faults.append(f"code {code!r}; expected the two capital letters of ISO 3166-1")
        elif kind == "same" and code not in codes:
            faults.append(f"code {code} has no row of the kind country; add it")
    elif code:
        faults.append(f"code {code!r}; a row of the kind {kind} has none")
    names = continent.split(SEPARATOR)
    unknown = [part for part in names if part not in CONTINENTS]
    if unknown:
        known = ", ".join(CONTINENTS)
        faults.append(f"unknown continent {unknown[0]!r}{suggest(unknown[0], CONTINENTS)}; known: {known}")
    elif names != sorted(set(names)) or (len(names) > 1 and kind != "historic"):
        faults.append(f"continent {continent!r}; expected one, or for a historic state several, sorted, each once")
    return faults
