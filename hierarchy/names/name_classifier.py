"""A text classifier for names of landmarks: two linear models whose margins are averaged.

One model uses character n-grams, word features and lexicon hints, the other character n-grams alone. Their agreement is
a better sign of a right label than the margin of either.

They are trained on landmarks with a known label and, with a small weight, on the entries of the lexicons, so that rare
labels, and those of no landmark, are known too. Without landmarks the result is a classifier of class names. Rows are
sorted before anything is fitted, so that their order does not matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from hgld.foundation.errors import HgldError
from hgld.hierarchy.fusion.calibration import Calibration, Floats, fit_calibration, folds, hash_sample
from hgld.hierarchy.names.class_names import tokenize
from hgld.hierarchy.names.confidence import NameConfidence, fit_confidence, softmax_with_top
from hgld.hierarchy.names.name_rules import NameRules
from hgld.hierarchy.names.name_words import Hints, NameWords, lexicon_hints, split_parentheses

Indices = npt.NDArray[np.int64]
T = TypeVar("T")

# Chosen by cross-validation on 9,289 published names (python -m tests.held_out): between half and twice of _C,
# _HINT_WEIGHT and _LEXICON_WEIGHT accuracy changes by less than 0.003. The second model adds 0.01.
_C = 0.3
_C_SPELLING = 1.0
_HINT_WEIGHT = 1.5
_LEXICON_WEIGHT = 0.3

# Folds for the held-out scores. Fewer than FEW names hardly change the model: they are held out together, and scored
# by a model of the lexicons alone.
FOLDS, FEW = 3, 50

# With MANY names or more a fit takes minutes. Then only SAMPLE of them are held out, together, which takes one fit
# instead of three, and a fit stops at a looser tolerance, in half the time. With this tolerance accuracy on published
# names is 0.001 higher and the precision of the best half 0.001 lower, both within noise.
MANY, SAMPLE = 30_000, 10_000
_TOLERANCE, _TOLERANCE_OF_MANY = 1e-4, 1.0

# A model without landmarks has nothing to be calibrated on: this is its calibration on published names.
_LEXICON_CALIBRATION = Calibration(temperature=0.25, smoothing=0.1)


@dataclass(frozen=True)
class Lexicon:
    """What is known about words before any landmark: the rules for class names, and the words of many languages."""

    rules: NameRules
    words: NameWords

    def examples(self) -> list[tuple[str, str]]:
        """The entries with exactly one label, as (name, label), sorted; an ending is completed to a word."""
        names = [
            (entry.name, entry.hierarchical_label)
            for entry in self.rules.names.values()
            if entry.role == "kind" and entry.hierarchical_label
        ]
        words = [(" ".join(word), labels[0]) for word, labels in self.words.words.items() if len(labels) == 1]
        parts = [(part, labels[0]) for part, labels in self.words.parts.items() if len(labels) == 1]
        ends = [(f"neu{end}", labels[0]) for end, labels in self.words.ends.items() if len(labels) == 1]
        return sorted({*names, *words, *parts, *ends})

    def hints(self, names: Sequence[str]) -> list[Hints]:
        """The hints of each name: those of its words, and the prediction of the rules."""
        return [self._hints(name) for name in names]

    def _hints(self, name: str) -> Hints:
        hints = lexicon_hints(name, self.words)
        prediction = self.rules.predict(name)
        if prediction.hierarchical_label:
            hints[f"read:{prediction.hierarchical_label}"] = 1.0
            hints[f"read:{prediction.rule}:{prediction.hierarchical_label}"] = 1.0
        return hints or {"none": 1.0}


@dataclass(frozen=True)
class NameClassifier:
    """A fitted classifier; `labels` are the columns of its probabilities, sorted.

    models: the linear model of all features, and the one of spelling. confidence: None if fitted on too few names.
    """

    lexicon: Lexicon
    labels: tuple[str, ...]
    calibration: Calibration
    confidence: NameConfidence | None
    vectorizers: tuple[Any, ...]
    models: tuple[Any, Any]

    def probabilities(self, names: Sequence[str]) -> Floats:
        """(N, L) calibrated probabilities: by `confidence` if there is one, else by `calibration`."""
        hints = self.lexicon.hints(names)
        scores = self.scores(names, hints)
        if self.confidence is None or not names:
            return self.calibration.probabilities(scores)
        return softmax_with_top(scores, self.confidence.predict(names, scores, hints))

    def scores(self, names: Sequence[str], hints: Sequence[Hints]) -> Floats:
        """(N, L) the mean of the margins of the two models; hints: `lexicon.hints` of the names."""
        if not names:
            return np.zeros((0, len(self.labels)))
        features = _features(names, hints, self.vectorizers)
        model, spelling_model = self.models
        return (_margins(model, sparse.hstack(features).tocsr()) + _margins(spelling_model, features[0])) / 2


def fit_classifier(names: Sequence[str], labels: Sequence[str], lexicon: Lexicon) -> NameClassifier:
    """A classifier trained on names (normalised) and their labels; names with an empty label are left out.

    Raises HgldError when there are fewer than two labels in all.
    """
    return cross_fit_classifier(names, labels, lexicon)[0]


def cross_fit_classifier(
    names: Sequence[str], labels: Sequence[str], lexicon: Lexicon
) -> tuple[NameClassifier, dict[str, Floats]]:
    """The classifier, and held-out probabilities of its training names: name → (L,) in the order of its labels.

    Of MANY names or more, only those of `hash_sample(names, SAMPLE)` are held out.

    Raises HgldError when there are fewer than two labels in all.
    """
    rows = sorted({(name, label) for name, label in zip(names, labels, strict=True) if label})
    data = _TrainingData.of(rows, lexicon)
    every = tuple(sorted({label for _, label in (*rows, *data.examples)}))
    if len(every) < 2:
        raise HgldError(f"a model of names needs at least two labels; found {list(every)}")
    held_out, scores = _held_out_scores(data, every)
    texts, hints = [rows[row][0] for row in held_out], _take(data.hints, held_out)
    truth = np.searchsorted(every, [rows[row][1] for row in held_out]).astype(np.int64)
    calibration = fit_calibration(scores, truth) if rows else _LEXICON_CALIBRATION
    confidence = fit_confidence(texts, scores, hints, truth, every)
    probabilities = calibration.probabilities(scores)
    for fold, others in _fold_rows(folds(texts, FOLDS)) if confidence else ():
        own_confidence = fit_confidence(
            _take(texts, others), scores[others], _take(hints, others), truth[others], every
        )
        if own_confidence is not None:
            top = own_confidence.predict(_take(texts, fold), scores[fold], _take(hints, fold))
            probabilities[fold] = softmax_with_top(scores[fold], top)
    fitted = replace(_fit(data, np.arange(len(rows))), calibration=calibration, confidence=confidence)
    return fitted, dict(zip(texts, probabilities, strict=True))


@dataclass(frozen=True)
class _TrainingData:
    """Labelled names and the examples of the lexicons, as (name, label), with their hints."""

    rows: Sequence[tuple[str, str]]
    hints: Sequence[Hints]
    examples: Sequence[tuple[str, str]]
    example_hints: Sequence[Hints]
    lexicon: Lexicon

    @classmethod
    def of(cls, rows: Sequence[tuple[str, str]], lexicon: Lexicon) -> "_TrainingData":
        examples = lexicon.examples()
        hints, example_hints = (lexicon.hints([name for name, _ in part]) for part in (rows, examples))
        return cls(rows, hints, examples, example_hints, lexicon)

    @property
    def many(self) -> bool:
        """Whether only a sample of the names is held out, and the fits have a looser tolerance."""
        return len(self.rows) >= MANY


def _held_out_scores(data: _TrainingData, labels: tuple[str, ...]) -> tuple[Indices, Floats]:
    """The rows that are held out (H,), ascending, and their scores (H, L) by models that were fitted without them."""
    texts = [name for name, _ in data.rows]
    if data.many:
        sample = set(hash_sample(texts, SAMPLE))
        fold_of = np.array([0 if name in sample else -1 for name in texts], dtype=np.int64)
    else:
        fold_of = folds(texts, FOLDS if len(texts) >= FEW else 1)
    scores = np.zeros((len(texts), len(labels)))
    for held_out, training in _fold_rows(fold_of):
        model = _fit(data, training)
        own = model.scores(_take(texts, held_out), _take(data.hints, held_out))
        scores[held_out] = _widen(own, model.labels, labels)
    every = np.flatnonzero(fold_of >= 0)
    return every, scores[every]


def _fold_rows(fold_of: Indices) -> list[tuple[Indices, Indices]]:
    """(its rows, all other rows) of each fold that is not empty; rows in fold -1 are only among the others."""
    present = np.unique(fold_of[fold_of >= 0])
    return [(np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)) for fold in present]


def _take(values: Sequence[T], indices: Indices) -> list[T]:
    return [values[int(index)] for index in indices]


def _widen(scores: Floats, own_labels: tuple[str, ...], labels: tuple[str, ...]) -> Floats:
    """Scores of `own_labels` as those of `labels`; labels that are missing in a fold score below all others."""
    widened = np.full((len(scores), len(labels)), scores.min(initial=0.0) - 1.0)
    widened[:, np.searchsorted(labels, own_labels)] = scores
    return widened


class _TfIdf:
    """TfidfVectorizer with logarithmic counts, but its `fit_transform` equals its `transform` to the last bit.

    Scikit-learn's leaves the columns of a row unsorted, and the sum of squares in another order; `fit` and then
    `transform` would count everything twice.
    """

    def __init__(self, counts: CountVectorizer) -> None:
        self.counts, self.weights = counts, TfidfTransformer(sublinear_tf=True)

    def fit_transform(self, texts: Sequence[str]) -> Any:
        counted = self.counts.fit_transform(texts)
        counted.sort_indices()
        return self.weights.fit_transform(counted)

    def transform(self, texts: Sequence[str]) -> Any:
        return self.weights.transform(self.counts.transform(texts))


def _fit(data: _TrainingData, training: Indices) -> NameClassifier:
    """The classifier of the rows `training` and all examples, not calibrated."""
    rows = [*_take(data.rows, training), *data.examples]
    hints = [*_take(data.hints, training), *data.example_hints]
    names = [name for name, _ in rows]
    labels = [label for _, label in rows]
    lexicon_weight = _LEXICON_WEIGHT if len(training) else 1.0
    weights = np.array([1.0] * len(training) + [lexicon_weight] * len(data.examples))
    min_df = 2 if len(training) else 1
    vectorizers = (
        _TfIdf(CountVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=min_df, dtype=np.float64)),
        _TfIdf(CountVectorizer(analyzer=_word_features, min_df=min_df, dtype=np.float64)),
        DictVectorizer(dtype=np.float64),
    )
    inputs = zip(vectorizers, _inputs(names, hints), strict=True)
    features = _weighted(vectorizer.fit_transform(values) for vectorizer, values in inputs)
    models = (_linear_model(_C, data.many), _linear_model(_C_SPELLING, data.many))
    for model, matrix in zip(models, (sparse.hstack(features).tocsr(), features[0]), strict=True):
        model.fit(matrix, labels, sample_weight=weights)
    known = tuple(map(str, models[0].classes_))
    return NameClassifier(data.lexicon, known, Calibration(), None, vectorizers, models)


def _linear_model(c: float, many: bool) -> LinearSVC:
    """A linear classifier per label, against all others, with the squared hinge loss.

    Always by dual coordinate descent: where names outnumber features scikit-learn would choose the primal solver,
    which takes about five times as long on 170,000 names.
    """
    return LinearSVC(C=c, dual=True, tol=_TOLERANCE_OF_MANY if many else _TOLERANCE, random_state=0)


def _features(names: Sequence[str], hints: Sequence[Hints], vectorizers: tuple[Any, ...]) -> list[Any]:
    """Sparse (N, .) features: character n-grams, words, lexicon hints."""
    inputs = zip(vectorizers, _inputs(names, hints), strict=True)
    return _weighted(vectorizer.transform(values) for vectorizer, values in inputs)


def _weighted(features: Iterable[Any]) -> list[Any]:
    spelling, words, hinted = features
    return [spelling, words, _HINT_WEIGHT * normalize(hinted)]


def _inputs(names: Sequence[str], hints: Sequence[Hints]) -> tuple[Sequence[Any], ...]:
    """The input of each of the three vectorizers."""
    return [" ".join(name.casefold().split()) for name in names], names, hints


def _word_features(name: str) -> list[str]:
    """The words of a name, their pairs, the first and last; those in parentheses or after a comma are marked."""
    outside, inside = split_parentheses(name)
    first, *rest = outside.split(",")
    words = tokenize(first)
    ends = [f"first {words[0]}", f"last {words[-1]}", f"last {' '.join(words[-2:])}"] if words else []
    pairs = [f"{left} {right}" for left, right in pairwise(words)]
    return [*words, *pairs, *ends, *(f"in {word}" for word in tokenize(inside)),
            *(f"after {word}" for word in tokenize(" ".join(rest))), f"words {min(len(words), 6)}"]  # fmt: skip


def _margins(model: Any, features: Any) -> Floats:
    """(N, L) decision values; for two labels scikit-learn returns one column."""
    margins = model.decision_function(features)
    if margins.ndim == 1:
        margins = np.column_stack([-margins, margins])
    return np.asarray(margins, dtype=np.float64)
