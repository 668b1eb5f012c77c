"""Cross-validation of `hgld classify --labelled` on the published names.

    python -m tests.held_out [--folds 5]

The real command labels each fold after training on the others. Prints the accuracy, the precision of the half with the
highest scores, and how the mistakes of a label spread over the other labels. Takes about a minute per fold.
"""

import argparse
import csv
import gzip
import hashlib
import tempfile
from pathlib import Path

import pandas as pd

from hgld.foundation.tables import read_csv
from hgld.pipeline.commands.classify import COLUMNS, classify
from tests.paths import PUBLISHED_LABELS

FOLDS = 5
RANKS = 6
MIN_MISTAKES = 20  # of a label, for its order of wrong labels to mean something

Row = tuple[str, str]


def published() -> list[Row]:
    """(category URL, label) of the published landmarks with a label."""
    with gzip.open(PUBLISHED_LABELS, "rt", encoding="utf-8", newline="") as handle:
        rows = [(row["category"], row["hierarchical_label"]) for row in csv.DictReader(handle)]
    return sorted(row for row in rows if row[1])


def fold(category: str, count: int = FOLDS) -> int:
    """The fold of a category; the hash differs from the product's, whose calibration has folds of its own."""
    return int(hashlib.sha1(f"held out {category}".encode()).hexdigest(), 16) % count


def labelled(training: list[Row], test: list[Row], folder: Path) -> pd.DataFrame:
    """The output of `hgld classify` on the test rows, after training, and whether each is `correct`."""
    _write(folder / "training.csv", ["category", "hierarchical_label"], training)
    _write(folder / "test.csv", ["category", "published"], test)
    classify(folder / "test.csv", "category", folder / "out.csv", labelled=folder / "training.csv")
    result = read_csv(folder / "out.csv", ["category", "published", *COLUMNS])
    result["score"] = result["score"].astype("float64")
    return result.assign(correct=result["hierarchical_label"] == result["published"])


def accuracy(result: pd.DataFrame, coverage: float = 1.0) -> float:
    """The accuracy of the fraction `coverage` with the highest scores."""
    ranked = result.sort_values(["score", "category"], ascending=[False, True])
    return float(ranked["correct"].head(round(len(ranked) * coverage)).mean())


def confusion_shares(result: pd.DataFrame, ranks: int = RANKS) -> list[float]:
    """How the mistakes of a label spread: the mean share of its most frequent wrong label, of the second, and so on.

    Over the published labels with MIN_MISTAKES mistakes or more, each with the weight of its mistakes.
    """
    counts = result[~result["correct"]].groupby(["published", "hierarchical_label"]).size()
    ordered = counts.sort_values(ascending=False).groupby(level=0)
    frame = pd.DataFrame({"count": counts, "rank": ordered.cumcount(), "all": counts.groupby(level=0).transform("sum")})
    frame = frame[frame["all"] >= MIN_MISTAKES]
    return [float(frame.loc[frame["rank"] == rank, "count"].sum() / frame["count"].sum()) for rank in range(ranks)]


def _write(path: Path, columns: list[str], rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([columns, *rows])


def main() -> None:
    """Evaluate all folds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=int, default=FOLDS)
    count = parser.parse_args().folds
    rows, results = published(), []
    for number in range(count):
        with tempfile.TemporaryDirectory(prefix="hgld-held-out-") as scratch:
            test = [row for row in rows if fold(row[0], count) == number]
            training = [row for row in rows if fold(row[0], count) != number]
            result = labelled(training, test, Path(scratch))
        results.append(result)
        print(f"fold {number}: {accuracy(result):.4f}, best half {accuracy(result, 0.5):.4f}", flush=True)
    every = pd.concat(results)
    print(
        f"{len(every):,} names: accuracy {accuracy(every):.4f}, precision of the best half {accuracy(every, 0.5):.4f}"
    )
    shares = " ".join(f"{share:.2f}" for share in confusion_shares(every))
    print(f"share of a label's mistakes, most frequent wrong label first: {shares}")


if __name__ == "__main__":
    main()
