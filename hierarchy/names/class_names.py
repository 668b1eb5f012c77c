"""The lexicon of English names of kinds of places, and the tokens by which names are compared.

`class_names.csv` complements the taxonomy: the taxonomy knows classes by QID, this file by name, so that names can be
labelled without a Wikidata snapshot. The role of a name is one of:

- `kind`: a kind of place. It decides wherever it is the head of a longer name (an abbey *church*).
- `general`: a word with little information (building, site, group). Its label counts only where no other word has
  one; an empty label carries no information at all.
- `open`: a kind whose landmarks are published without a label (a province, an embassy).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.sorted_rows import Key, order_problems
from hgld.foundation.tables import read_csv_with_lines
from hgld.hierarchy.curated import CURATED

ROLES = ("kind", "general", "open")
COLUMNS = ["hierarchical_label", "name", "role", "comment"]

Tokens = tuple[str, ...]

# British → American spelling: parts of words, then whole words
_PARTS = (("haeological", "heological"), ("harbour", "harbor"), ("neighbour", "neighbor"), ("theatre", "theater"),
          ("centre", "center"), ("colour", "color"), ("defence", "defense"), ("mediaeval", "medieval"),
          ("palaeo", "paleo"), ("aeroplane", "airplane"), ("labour", "labor"), ("honour", "honor"),
          ("armour", "armor"), ("metre", "meter"), ("fibre", "fiber"), ("storey", "story"))  # fmt: skip
_WORDS = {"gaol": "jail", "grey": "gray", "programme": "program", "plough": "plow", "mould": "mold",
          "railroad": "railway", "saint": "st", "men": "man", "women": "woman",
          "people": "person", "buses": "bus", "wharves": "wharf"}  # fmt: skip


@dataclass(frozen=True)
class ClassName:
    """A row of the lexicon; `role` is one of ROLES."""

    name: str
    hierarchical_label: str
    role: str


def tokenize(name: str) -> Tokens:
    """The words of a name, normalised for case, accents, punctuation, plurals and British spelling.

    >>> tokenize("Archaeological Sites"), tokenize("cable-stayed bridge")
    (('archeological', 'site'), ('cable', 'stayed', 'bridge'))
    """
    plain = unicodedata.normalize("NFKD", name.casefold().replace("ß", "ss").replace("ł", "l"))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    plain = re.sub(r"['’ʼ`´]s\b", "", plain.replace("&", " and "))
    plain = re.sub(r"['’ʼ`´.]", "", plain)
    return tuple(_normal_form(word) for word in re.findall(r"[^\W_]+", plain))


def _normal_form(word: str) -> str:
    for british, american in _PARTS:
        word = word.replace(british, american)
    return _WORDS.get(word) or _WORDS.get(singular := _singular(word)) or singular


def _singular(word: str) -> str:
    """A rough rule; errors do no harm, as it is applied to both sides of every comparison.

    >>> _singular("churches"), _singular("libraries"), _singular("houses"), _singular("abyss")
    ('church', 'library', 'house', 'abyss')
    """
    if len(word) < 4 or not word.isascii() or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "zes", "ches", "shes")):
        return word[:-2]
    return word.removesuffix("s")


def load_class_names(folder: Path | None = None) -> dict[Tokens, ClassName]:
    """The lexicon of `folder` (default: the one of the package), by tokens.

    Raises HgldError with every problem as "file:line: what is wrong".
    """
    path = (Path(folder) if folder is not None else CURATED) / "class_names.csv"
    names, problems = _read(path)
    if problems:
        raise HgldError(f"{len(problems)} problem(s) in the class names", *problems)
    return names


def class_name_problems(folder: Path, labels: Iterable[str] | None = None) -> list[str]:
    """The problems of the lexicon as "file:line: what is wrong"; labels: those of the taxonomy."""
    try:
        return _read(Path(folder) / "class_names.csv", None if labels is None else set(labels))[1]
    except HgldError as error:
        return str(error).splitlines()


def _read(path: Path, labels: set[str] | None = None) -> tuple[dict[Tokens, ClassName], list[str]]:
    names: dict[Tokens, ClassName] = {}
    problems: list[str] = []
    table, lines = read_csv_with_lines(path, COLUMNS)
    rows = [[str(value) for value in values] for values in table.itertuples(index=False, name=None)]
    misplaced = order_problems([sort_key(values) for values in rows], lines)
    for number, (line, (label, name, role, _)) in enumerate(zip(lines, rows, strict=True)):
        tokens = tokenize(name)
        if role not in ROLES:
            problems.append(f"{path}:{line}: role '{role}' is none of {', '.join(ROLES)}")
        if not tokens:
            problems.append(f"{path}:{line}: name {name!r}: expected one or more words, such as parish church")
        if (not label) != (role == "open") and role != "general":
            problems.append(f"{path}:{line}: a '{role}' {'needs a' if role == 'kind' else 'has no'} label")
        if label and labels is not None and label not in labels:
            problems.append(f"{path}:{line}: '{label}' is not a label of the taxonomy")
        if number in misplaced:
            problems.append(f"{path}:{line}: {misplaced[number]}")
        other = names.setdefault(tokens, ClassName(name, label, role))
        if other.hierarchical_label != label:
            problems.append(f"{path}:{line}: '{name}' is also a name of '{other.hierarchical_label}'")
    return names, problems


def sort_key(values: Sequence[str]) -> Key:
    """What the rows of the lexicon are sorted by."""
    label, name, *_ = values
    return label, name.casefold()
