"""The lexicon of words for kinds of places in many languages, and the hints that the words of a name give.

`name_words.csv` lists words, the labels they are evidence for, and their position: `word` (one or more whole words),
`end` (the end of a word, as in German, Dutch and Nordic compounds), or `part` (anywhere: scripts without spaces). A
word may have several labels: hints are features of a classifier, never a decision.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.sorted_rows import Key, order_problems
from hgld.foundation.tables import read_csv_with_lines
from hgld.hierarchy.curated import CURATED
from hgld.hierarchy.names.class_names import Tokens, tokenize

POSITIONS = ("word", "end", "part")
COLUMNS = ["hierarchical_label", "place", "word"]

# "where:how:label" → weight
Hints = Mapping[str, float]


@dataclass(frozen=True)
class NameWords:
    """The labels of every word, by position; `longest` is the largest number of words in an entry."""

    words: Mapping[Tokens, tuple[str, ...]]
    ends: Mapping[str, tuple[str, ...]]
    parts: Mapping[str, tuple[str, ...]]
    longest: int


def load_name_words(folder: Path | None = None) -> NameWords:
    """The lexicon of `folder` (default: the one of the package).

    Raises HgldError with every problem as "file:line: what is wrong".
    """
    path = (Path(folder) if folder is not None else CURATED) / "name_words.csv"
    rows, problems = _read(path)
    if problems:
        raise HgldError(f"{len(problems)} problem(s) in the words of names", *problems)
    words: dict[Tokens, list[str]] = defaultdict(list)
    ends: dict[str, list[str]] = defaultdict(list)
    parts: dict[str, list[str]] = defaultdict(list)
    for label, position, word in rows:
        if position == "word":
            words[tokenize(word)].append(label)
        elif position == "end":
            ends[tokenize(word)[-1]].append(label)
        else:
            parts[word.casefold()].append(label)
    return NameWords(
        {word: tuple(labels) for word, labels in words.items()},
        {word: tuple(dict.fromkeys(labels)) for word, labels in ends.items()},
        {word: tuple(labels) for word, labels in parts.items()},
        max(map(len, words), default=0),
    )


def name_word_problems(folder: Path, labels: Collection[str]) -> list[str]:
    """The problems of the lexicon as "file:line: what is wrong"; labels: those of the taxonomy."""
    path = Path(folder) / "name_words.csv"
    try:
        rows, problems = _read(path)
    except HgldError as error:
        return str(error).splitlines()
    unknown = sorted({label for label, _, _ in rows} - set(labels))
    return problems + [f"{path}: '{label}' is not a label of the taxonomy" for label in unknown]


def _read(path: Path) -> tuple[list[tuple[str, str, str]], list[str]]:
    rows: list[tuple[str, str, str]] = []
    problems = []
    table, lines = read_csv_with_lines(path, COLUMNS)
    entries = [[str(value) for value in values] for values in table.itertuples(index=False, name=None)]
    misplaced = order_problems([sort_key(values) for values in entries], lines)
    for number, (line, (label, position, word)) in enumerate(zip(lines, entries, strict=True)):
        if position not in POSITIONS:
            problems.append(f"{path}:{line}: place '{position}' is none of {', '.join(POSITIONS)}")
        elif not label:
            problems.append(f"{path}:{line}: hierarchical_label is empty: expected a label, such as church")
        elif not word or (position != "part" and not tokenize(word)):
            problems.append(f"{path}:{line}: word {word!r}: expected one or more words, such as église")
        elif number in misplaced:
            problems.append(f"{path}:{line}: {misplaced[number]}")
        else:
            rows.append((label, position, word))
    return rows, problems


def sort_key(values: Sequence[str]) -> Key:
    """What the rows of the lexicon are sorted by."""
    label, position, word = values
    return label, position, word.casefold(), word


def lexicon_hints(name: str, lexicon: NameWords) -> dict[str, float]:
    """The labels that the words of a name are evidence for: "where:how:label" → weight, sorted.

    A word of n labels gives each 1 / n. where: `out` or `in` parentheses. Text after a comma is ignored, as it usually
    names the location.
    """
    hints: dict[str, float] = defaultdict(float)
    for where, text in zip(("out", "in"), split_parentheses(name), strict=True):
        tokens = tokenize(text.split(",")[0] if where == "out" else text)
        covered: set[int] = set()
        for start, end in _matches(tokens, lexicon):
            if covered.isdisjoint(range(start, end)):
                covered.update(range(start, end))
                labels = lexicon.words[tokens[start:end]]
                for label in labels:
                    for how, applies in (("word", True), ("only", len(labels) == 1), ("first", start == 0),
                                         ("last", end == len(tokens))):  # fmt: skip
                        if applies:
                            hints[f"{where}:{how}:{label}"] += 1 / len(labels)
        for index in set(range(len(tokens))) - covered:
            for label in (labels := _labels_of_ending(tokens[index], lexicon)):
                hints[f"{where}:end:{label}"] += 1 / len(labels)
        plain = text.casefold()
        for part, labels in lexicon.parts.items():
            if part in plain:
                for label in labels:
                    hints[f"{where}:part:{label}"] += 1 / len(labels)
    return dict(sorted(hints.items()))


def _matches(tokens: Tokens, lexicon: NameWords) -> list[tuple[int, int]]:
    """The spans (start, end) of entries of the lexicon, the longest first."""
    return [
        (start, start + length)
        for length in range(min(lexicon.longest, len(tokens)), 0, -1)
        for start in range(len(tokens) - length + 1)
        if tokens[start : start + length] in lexicon.words
    ]


def _labels_of_ending(word: str, lexicon: NameWords) -> tuple[str, ...]:
    """The labels of the longest ending of `word` in the lexicon."""
    for start in range(1, len(word) - 1):
        if labels := lexicon.ends.get(word[start:]):
            return labels
    return ()


def split_parentheses(name: str) -> tuple[str, str]:
    """The text outside and the text inside parentheses.

    >>> split_parentheses("Hope (ship, 1960) at sea")
    ('Hope at sea', 'ship, 1960')
    """
    outside = " ".join(re.sub(r"\([^()]*\)?", " ", name).split())
    return outside, " ".join(re.findall(r"\(([^()]*)\)?", name))
