"""A text classifier for names of landmarks: two linear models whose scores are averaged.

One hears pieces of the name and the hints of the curated words, the other the spelling alone: where both say the same,
it is more often so than where one is sure.

Trained on landmarks whose label is known, together with the lexicons themselves (each word an example of small
weight), so that a label with few landmarks, or none, is still known. With no landmarks at all it is a classifier of
class names. Rows are sorted before anything is fitted: their order decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from hgld.foundation.errors import HgldError
from hgld.hierarchy.fusion.calibration import Calibration, Floats, fit_calibration, folds
from hgld.hierarchy.names.class_names import ClassName, key
from hgld.hierarchy.names.confidence import Hints, Trust, fit_trust, sharpened
from hgld.hierarchy.names.name_rules import ClassReader
from hgld.hierarchy.names.name_words import NameWords, hints, split

Columns = npt.NDArray[np.int64]
T = TypeVar("T")

# Measured by cross-validation on 9,289 published names (python -m tests.held_out): accuracy changes by less than 0.003
# between half and twice of the first, third and fourth. The second model adds 0.01 to it.
_C = 0.3
_C_SPELLING = 1.0
_HINTS = 1.5
_LEXICON = 0.3

# Held-out folds that the calibration is fitted on; with so few names that they hardly change the model one of the
# lexicons alone is held out from all of them.
FOLDS, FEW = 3, 50


@dataclass(frozen=True)
class Lexicon:
    """What is known of words before any landmark: the reader of class names, and the words of many languages."""

    reader: ClassReader
    words: NameWords

    def examples(self) -> list[tuple[str, str]]:
        """Every name and word of the lexicons with a label of its own, sorted; an end of words ends one here."""
        names = [(one.name, one.hierarchical_label) for one in self.reader.names.values() if _says(one)]
        words = [(" ".join(word), labels[0]) for word, labels in self.words.words.items() if len(labels) == 1]
        parts = [(part, labels[0]) for part, labels in self.words.parts.items() if len(labels) == 1]
        ends = [(f"neu{end}", labels[0]) for end, labels in self.words.ends.items() if len(labels) == 1]
        return sorted({*names, *words, *parts, *ends})


def _says(one: ClassName) -> bool:
    return one.role == "kind" and bool(one.hierarchical_label)


@dataclass(frozen=True)
class NameModel:
    """A fitted model; `labels` are the columns of its probabilities, sorted.

    classifiers: the one of all features, and the one of spelling.
    """

    lexicon: Lexicon
    labels: tuple[str, ...]
    calibration: Calibration
    trust: Trust | None
    vectorizers: tuple[Any, ...]
    classifiers: tuple[Any, Any]

    def probabilities(self, names: Sequence[str]) -> Floats:
        """(N, L) calibrated probabilities of the labels: the best label's by `trust`, where there is one."""
        told = self.hints(names)
        scores = self.scores(names, told)
        if self.trust is None or not names:
            return self.calibration.probabilities(scores)
        return sharpened(scores, self.trust.of(names, scores, told))

    def hints(self, names: Sequence[str]) -> list[Hints]:
        """What the lexicons know of each name."""
        return _told(names, self.lexicon)

    def scores(self, names: Sequence[str], told: Sequence[Hints]) -> Floats:
        """(N, L) the mean of the margins of the two linear models; told: `hints` of the names."""
        if not names:
            return np.zeros((0, len(self.labels)))
        parts = _features(names, told, self.vectorizers)
        every, spelling = self.classifiers
        return (_margins(every, sparse.hstack(parts).tocsr()) + _margins(spelling, parts[0])) / 2


def fit(names: Sequence[str], labels: Sequence[str], lexicon: Lexicon) -> NameModel:
    """A model of the names (normalised) and their labels; an empty label is not known and is left out.

    Raises HgldError when there are fewer than two labels in all.
    """
    model, _ = fit_held_out(names, labels, lexicon)
    return model


def fit_held_out(
    names: Sequence[str], labels: Sequence[str], lexicon: Lexicon
) -> tuple[NameModel, dict[str, Floats]]:
    """The model, and what models that did not see a name say of it: name → probabilities (L,) of `model.labels`."""
    rows = sorted({(name, label) for name, label in zip(names, labels, strict=True) if label})
    texts = [name for name, _ in rows]
    told, examples = _told(texts, lexicon), lexicon.examples()
    every = tuple(sorted({label for _, label in (*rows, *examples)}))
    if len(every) < 2:
        raise HgldError(f"a model of names needs at least two labels; found {list(every)}")
    taught = _Taught(rows, told, examples, _told([name for name, _ in examples], lexicon), lexicon)
    part = folds(texts, FOLDS if len(texts) >= FEW else 1)
    scores = np.zeros((len(rows), len(every)))
    for inside, outside in _parts(part):
        model = _fit(taught, outside)
        scores[inside] = _widened(model.scores(_at(texts, inside), _at(told, inside)), model.labels, every)
    truth = np.searchsorted(every, [label for _, label in rows]).astype(np.int64)
    calibration = fit_calibration(scores, truth) if rows else _UNTRAINED
    trust = fit_trust(texts, scores, told, truth, every)
    fitted = replace(_fit(taught, np.arange(len(rows))), calibration=calibration, trust=trust)
    held_out = calibration.probabilities(scores)
    if trust:
        for inside, outside in _parts(part):
            # by one that has not seen the name either
            seen = _at(texts, outside), scores[outside], _at(told, outside), truth[outside]
            judge = fit_trust(*seen, every)
            if judge is None:
                continue
            top = judge.of(_at(texts, inside), scores[inside], _at(told, inside))
            held_out[inside] = sharpened(scores[inside], top)
    return fitted, {name: held_out[at] for at, name in enumerate(texts)}


def _parts(part: Columns) -> list[tuple[Columns, Columns]]:
    """For each fold that is not empty, the rows inside and outside of it."""
    return [(np.flatnonzero(part == fold), np.flatnonzero(part != fold)) for fold in np.unique(part)]


def _at(values: Sequence[T], places: Columns) -> list[T]:
    return [values[int(at)] for at in places]


def _widened(scores: Floats, own: tuple[str, ...], labels: tuple[str, ...]) -> Floats:
    """Scores of the labels `own` as those of `labels`; a label that a fold has not seen is below all others there."""
    found = np.full((len(scores), len(labels)), scores.min(initial=0.0) - 1.0)
    found[:, np.searchsorted(labels, own)] = scores
    return found


# a model of the lexicons alone has no landmark to be calibrated on; this is what one fits on published names
_UNTRAINED = Calibration(0.25, 0.1)


@dataclass(frozen=True)
class _Taught:
    """What a model learns from: names with a label and the examples of the lexicons, each with its hints."""

    rows: Sequence[tuple[str, str]]
    told: Sequence[Hints]
    examples: Sequence[tuple[str, str]]
    examples_told: Sequence[Hints]
    lexicon: Lexicon


def _fit(taught: _Taught, chosen: Columns) -> NameModel:
    """The model of the chosen rows and all examples; without calibration."""
    every = [*(taught.rows[at] for at in chosen), *taught.examples]
    told = [*(taught.told[at] for at in chosen), *taught.examples_told]
    names = [name for name, _ in every]
    weights = np.array([1.0] * len(chosen) + [_LEXICON if len(chosen) else 1.0] * len(taught.examples))
    rare = 2 if len(chosen) else 1
    vectorizers = (
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=rare, dtype=np.float64
        ),
        TfidfVectorizer(analyzer=_pieces, sublinear_tf=True, min_df=rare, dtype=np.float64),
        DictVectorizer(dtype=np.float64),
    )
    for vectorizer, seen in zip(vectorizers, _views(names, told), strict=True):
        vectorizer.fit(seen)
    parts = _features(names, told, vectorizers)
    labels = [label for _, label in every]
    classifiers = (LinearSVC(C=_C, random_state=0), LinearSVC(C=_C_SPELLING, random_state=0))
    for classifier, features in zip(classifiers, (sparse.hstack(parts).tocsr(), parts[0]), strict=True):
        classifier.fit(features, labels, sample_weight=weights)
    known = tuple(map(str, classifiers[0].classes_))
    return NameModel(taught.lexicon, known, Calibration(), None, vectorizers, classifiers)


def _features(names: Sequence[str], told: Sequence[Hints], vectorizers: tuple[Any, ...]) -> list[Any]:
    """Sparse (N, .) features: the spelling, the words, the hints."""
    spelling, words, hinted = (
        vectorizer.transform(seen) for vectorizer, seen in zip(vectorizers, _views(names, told), strict=True)
    )
    return [spelling, words, _HINTS * normalize(hinted)]


def _views(names: Sequence[str], told: Sequence[Hints]) -> tuple[Sequence[Any], ...]:
    """What each of the three vectorizers is given."""
    return [_plain(name) for name in names], names, told


def _margins(classifier: Any, features: Any) -> Floats:
    """(N, L) decision values; scikit-learn gives one column where there are two labels."""
    found = classifier.decision_function(features)
    return np.asarray(np.column_stack([-found, found]) if found.ndim == 1 else found, dtype=np.float64)


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _pieces(name: str) -> list[str]:
    """The words of a name, pairs of them, and which are first and last; those in parentheses are told apart."""
    outer, inner = split(name)
    first, *rest = outer.split(",")
    words = key(first)
    ends = [f"first {words[0]}", f"last {words[-1]}", f"last {' '.join(words[-2:])}"] if words else []
    pairs = [f"{one} {two}" for one, two in pairwise(words)]
    return [*words, *pairs, *ends, *(f"in {one}" for one in key(inner)),
            *(f"after {one}" for one in key(" ".join(rest))), f"words {min(len(words), 6)}"]  # fmt: skip


def _told(names: Sequence[str], lexicon: Lexicon) -> list[Hints]:
    """The hints of each name: those of its words, and how its English is read."""
    told: list[Hints] = []
    for name in names:
        found = hints(name, lexicon.words)
        reading = lexicon.reader.read(name)
        if reading.hierarchical_label:
            found[f"read:{reading.hierarchical_label}"] = 1.0
            found[f"read:{reading.rule}:{reading.hierarchical_label}"] = 1.0
        told.append(found or {"none": 1.0})
    return told


def ranked(found: Floats) -> tuple[Columns, Floats, Floats, Columns]:
    """The best column of each row, its score, its margin over the next, and that next column.

    Rounded to four decimals before they are ranked; equal scores go to the first label of the alphabet.
    """
    rounded = np.round(found, 4)
    order = np.argsort(-rounded, axis=1, kind="stable")[:, :2]
    best, second = np.take_along_axis(rounded, order, axis=1).T
    return order[:, 0], best, np.round(best - second, 4), order[:, 1]
