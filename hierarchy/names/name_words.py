"""Words for kinds of places in many languages, as curated data, and where they stand in a name.

`name_words.csv` says of a word which labels it speaks for, and where it must be found: `word` (a word, or several in
a row), `end` (the end of a word, as in German, Dutch and Nordic compounds), or `part` (anywhere: scripts that write
no spaces). A word may stand under several labels: these are hints for a model, never a decision.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv
from hgld.hierarchy.curated import CURATED
from hgld.hierarchy.names.class_names import key

PLACES = ("word", "end", "part")
COLUMNS = ["hierarchical_label", "place", "word"]

Words = tuple[str, ...]


@dataclass(frozen=True)
class NameWords:
    """The labels of every word, by where it must stand; `longest` is the most words in a row."""

    words: Mapping[Words, tuple[str, ...]]
    ends: Mapping[str, tuple[str, ...]]
    parts: Mapping[str, tuple[str, ...]]
    longest: int


def load_name_words(folder: Path | None = None) -> NameWords:
    """The lexicon of `folder` (default: the one that ships with the package).

    Raises HgldError that lists every problem with file and line.
    """
    path = (Path(folder) if folder is not None else CURATED) / "name_words.csv"
    rows, problems = _read(path)
    if problems:
        raise HgldError(f"{len(problems)} problem(s) in the words of names\n" + "\n".join(problems))
    words: dict[Words, list[str]] = defaultdict(list)
    ends: dict[str, list[str]] = defaultdict(list)
    parts: dict[str, list[str]] = defaultdict(list)
    for label, place, word in rows:
        if place == "word":
            words[key(word)].append(label)
        elif place == "end":
            ends[key(word)[-1]].append(label)
        else:
            parts[word.casefold()].append(label)
    return NameWords(
        {word: tuple(labels) for word, labels in words.items()},
        {word: tuple(dict.fromkeys(labels)) for word, labels in ends.items()},
        {word: tuple(labels) for word, labels in parts.items()},
        max(map(len, words), default=0),
    )


def name_word_problems(folder: Path, labels: Collection[str]) -> list[str]:
    """Every problem of the lexicon as "file:line: what is wrong"; labels: those of the taxonomy."""
    path = Path(folder) / "name_words.csv"
    try:
        rows, problems = _read(path)
    except HgldError as error:
        return str(error).splitlines()
    strange = sorted({label for label, _, _ in rows} - set(labels))
    return problems + [f"{path}: '{label}' is no label of the taxonomy" for label in strange]


def _read(path: Path) -> tuple[list[tuple[str, str, str]], list[str]]:
    rows: list[tuple[str, str, str]] = []
    problems = []
    before = ("", "", "", "")
    for line, values in enumerate(read_csv(path, COLUMNS).itertuples(index=False, name=None), 2):
        label, place, word = map(str, values)
        if place not in PLACES:
            problems.append(f"{path}:{line}: place '{place}' is none of {', '.join(PLACES)}")
        elif not label or not word or (place != "part" and not key(word)):
            problems.append(f"{path}:{line}: no label, or no word")
        elif (now := (label, place, word.casefold(), word)) <= before:
            problems.append(f"{path}:{line}: out of order or twice; rows are sorted by label, place and word")
        else:
            before = now
            rows.append((label, place, word))
    return rows, problems


def hints(name: str, lexicon: NameWords) -> dict[str, float]:
    """What the words of a name speak for: "where:how:label" → weight; a word of n labels gives each 1 / n.

    Text in parentheses is told apart, and what follows a comma is left out: there a name says where it is.
    """
    found: dict[str, float] = defaultdict(float)
    for where, text in zip(("out", "in"), split(name), strict=True):
        words = key(text.split(",")[0] if where == "out" else text)
        used: set[int] = set()
        for start, end in _spans(words, lexicon):
            if used.isdisjoint(range(start, end)):
                used.update(range(start, end))
                labels = lexicon.words[words[start:end]]
                for label in labels:
                    for how, counts in (("word", True), ("only", len(labels) == 1), ("first", start == 0),
                                        ("last", end == len(words))):  # fmt: skip
                        if counts:
                            found[f"{where}:{how}:{label}"] += 1 / len(labels)
        for place in set(range(len(words))) - used:
            for label in (labels := _ending(words[place], lexicon)):
                found[f"{where}:end:{label}"] += 1 / len(labels)
        plain = text.casefold()
        for part, labels in lexicon.parts.items():
            if part in plain:
                for label in labels:
                    found[f"{where}:part:{label}"] += 1 / len(labels)
    return dict(sorted(found.items()))


def _spans(words: Words, lexicon: NameWords) -> list[tuple[int, int]]:
    """Where words of the lexicon stand, the longest first."""
    return [
        (start, start + length)
        for length in range(min(lexicon.longest, len(words)), 0, -1)
        for start in range(len(words) - length + 1)
        if words[start : start + length] in lexicon.words
    ]


def _ending(word: str, lexicon: NameWords) -> tuple[str, ...]:
    """The labels of the longest end of `word` that is in the lexicon."""
    for start in range(1, len(word) - 1):
        if labels := lexicon.ends.get(word[start:]):
            return labels
    return ()


def split(name: str) -> tuple[str, str]:
    """What stands outside of parentheses, and what stands in them.

    >>> split("Hope (ship, 1960) at sea")
    ('Hope at sea', 'ship, 1960')
    """
    outer = " ".join(re.sub(r"\([^()]*\)?", " ", name).split())
    return outer, " ".join(re.findall(r"\(([^()]*)\)?", name))
