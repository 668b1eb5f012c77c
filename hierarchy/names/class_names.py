"""English names of kinds of places, as curated data: what a class is called, and the label that this stands for.

`class_names.csv` is a lexicon beside the taxonomy: the taxonomy knows classes by their QID, this file knows them by
their name, so that a list of names can be labelled where no snapshot of Wikidata is at hand. A name has a role:

- `kind`: a kind of place. It decides wherever it is the head of a longer name (an abbey *church*).
- `general`: a word that says little (building, site, group). Its label stands only where no other word has one; an
  empty label says nothing at all.
- `open`: a kind whose landmarks are published without a label (a province, an embassy).
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv
from hgld.hierarchy.curated import CURATED

ROLES = ("kind", "general", "open")
COLUMNS = ["hierarchical_label", "name", "role", "comment"]

# British → American; the ends of words, then whole words
_ENDS = (("haeological", "heological"), ("harbour", "harbor"), ("neighbour", "neighbor"), ("theatre", "theater"),
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


def key(name: str) -> tuple[str, ...]:
    """The words of a name with spelling put aside: case, accents, hyphens, plurals, British and American forms.

    >>> key("Archaeological Sites"), key("cable-stayed bridge")
    (('archeological', 'site'), ('cable', 'stayed', 'bridge'))
    """
    plain = unicodedata.normalize("NFKD", name.casefold().replace("ß", "ss").replace("ł", "l"))
    plain = "".join(one for one in plain if not unicodedata.combining(one))
    plain = re.sub(r"['’ʼ`´]s\b", "", plain.replace("&", " and "))
    plain = re.sub(r"['’ʼ`´.]", "", plain)
    return tuple(_word(one) for one in re.findall(r"[^\W_]+", plain))


def _word(word: str) -> str:
    for british, american in _ENDS:
        word = word.replace(british, american)
    return _WORDS.get(word) or _WORDS.get(singular := _singular(word)) or singular


def _singular(word: str) -> str:
    """A rule of thumb, applied to both sides of every comparison, so that it may err.

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


def load_class_names(folder: Path | None = None) -> dict[tuple[str, ...], ClassName]:
    """The lexicon of `folder` (default: the one that ships with the package), by key.

    Raises HgldError that lists every problem with file and line.
    """
    path = (Path(folder) if folder is not None else CURATED) / "class_names.csv"
    found, problems = _read(path)
    if problems:
        raise HgldError(f"{len(problems)} problem(s) in the class names\n" + "\n".join(problems))
    return found


def class_name_problems(folder: Path, labels: Iterable[str] | None = None) -> list[str]:
    """Every problem of the lexicon as "file:line: what is wrong"; labels: those of the taxonomy."""
    try:
        return _read(Path(folder) / "class_names.csv", None if labels is None else set(labels))[1]
    except HgldError as error:
        return str(error).splitlines()


def _read(path: Path, labels: set[str] | None = None) -> tuple[dict[tuple[str, ...], ClassName], list[str]]:
    found: dict[tuple[str, ...], ClassName] = {}
    problems: list[str] = []
    before = ("", "")
    for line, values in enumerate(read_csv(path, COLUMNS).itertuples(index=False, name=None), 2):
        label, name, role, _ = map(str, values)
        words = key(name)
        if role not in ROLES:
            problems.append(f"{path}:{line}: role '{role}' is none of {', '.join(ROLES)}")
        if not words:
            problems.append(f"{path}:{line}: no name")
        if (not label) != (role == "open") and role != "general":
            problems.append(f"{path}:{line}: a '{role}' {'needs a' if role == 'kind' else 'has no'} label")
        if label and labels is not None and label not in labels:
            problems.append(f"{path}:{line}: '{label}' is no label of the taxonomy")
        if (place := (label, name.casefold())) <= before:
            problems.append(f"{path}:{line}: out of order or twice; rows are sorted by label and name")
        before = place
        other = found.setdefault(words, ClassName(name, label, role))
        if other.hierarchical_label != label:
            problems.append(f"{path}:{line}: '{name}' is also a name of '{other.hierarchical_label}'")
    return found, problems
