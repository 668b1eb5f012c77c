"""How well names that nobody has labelled are labelled: cross-validation of `hgld classify --labelled`.

    python -m tests.held_out [--folds 5]

Each fold of the published names is labelled by the real command, which learns from the other folds. Says the accuracy,
and the precision of the half that scores highest. Takes about a minute a fold.
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
from tests.paths import SHARED

PUBLISHED = SHARED / "gldv2" / "train_label_to_hierarchical.part.csv.gz"
FOLDS = 5

Row = tuple[str, str]


def published() -> list[Row]:
    """The published landmarks with a label: the URL of the category, and the label."""
    with gzip.open(PUBLISHED, "rt", encoding="utf-8", newline="") as handle:
        rows = [(row["category"], row["hierarchical_label"]) for row in csv.DictReader(handle)]
    return sorted(row for row in rows if row[1])


def fold(category: str, count: int = FOLDS) -> int:
    """The fold of a category; not the product's own, so that no fold of its calibration is one of these."""
    return int(hashlib.sha1(f"held out {category}".encode()).hexdigest(), 16) % count


def labelled(seen: list[Row], held: list[Row], folder: Path) -> pd.DataFrame:
    """The held-out categories as `hgld classify` labels them (column `right`), having learnt from `seen`."""
    _write(folder / "seen.csv", ["category", "hierarchical_label"], seen)
    _write(folder / "held.csv", ["category", "published"], held)
    classify(folder / "held.csv", "category", folder / "out.csv", labelled=folder / "seen.csv")
    found = read_csv(folder / "out.csv", ["category", "published", *COLUMNS])
    found["score"] = found["score"].astype("float64")
    return found.assign(right=found["hierarchical_label"] == found["published"])


def accuracy(found: pd.DataFrame, coverage: float = 1.0) -> float:
    """The share that is right of the `coverage` that scores highest."""
    ranked = found.sort_values(["score", "category"], ascending=[False, True])
    return float(ranked["right"].head(round(len(ranked) * coverage)).mean())


def _write(path: Path, columns: list[str], rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([columns, *rows])


def main() -> None:
    """Measure all folds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folds", type=int, default=FOLDS)
    count = parser.parse_args().folds
    rows, parts = published(), []
    for part in range(count):
        with tempfile.TemporaryDirectory(prefix="hgld-held-out-") as scratch:
            held = [row for row in rows if fold(row[0], count) == part]
            seen = [row for row in rows if fold(row[0], count) != part]
            parts.append(labelled(seen, held, Path(scratch)))
        print(f"fold {part}: {accuracy(parts[-1]):.4f}, best half {accuracy(parts[-1], 0.5):.4f}", flush=True)
    every = pd.concat(parts)
    print(
        f"{len(every):,} names: accuracy {accuracy(every):.4f}, precision of the best half {accuracy(every, 0.5):.4f}"
    )


if __name__ == "__main__":
    main()
