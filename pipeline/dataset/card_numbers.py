"""The numbers of a release, counted once, and their tables in the data card."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.files import read_json
from hgld.foundation.settings import Params
from hgld.hierarchy.fusion.evidence_kinds import titles
from hgld.pipeline.dataset.landmarks import SPLITS
from hgld.pipeline.dataset.places import NOWHERE, continent_counts, country_counts

Numbers = Mapping[str, Any]

# Of the table in the data card, which is for the eye; card.json has every country.
MOST_COUNTRIES = 25


def card_numbers(
    params: Params, labels: pd.DataFrame, tables: Mapping[str, pd.DataFrame], counts: Mapping[str, int]
) -> dict[str, Any]:
    """The content of card.json: sizes, and the number of categories and images per source, per label and per place.

    labels: one row per category; tables: the released tables by file name; counts: the cases settled by rule.
    """
    landmarks = {split: tables[f"{split}_label_to_hierarchical.csv"] for split in SPLITS}
    images = {split: tables[f"{split}.parquet"] for split in (*SPLITS, "test")}
    by_label = {split: _value_counts(table["hierarchical_label"]) for split, table in images.items()}
    source_of = labels.set_index("category")["source"]
    by_source = {split: _value_counts(table["category"].map(source_of)) for split, table in images.items()}
    categories = _value_counts(labels["source"])
    return {
        "release": {"name": params.release.name, "version": params.release.version},
        "categories": len(labels),
        "splits": {
            split: {
                "images": len(table),
                "landmarks": len(landmarks[split]) if split in landmarks else None,
                "labelled_images": int((table["hierarchical_label"] != "").sum()),
            }
            for split, table in images.items()
        },
        "usage": _value_counts(images["test"]["usage"]),
        "sources": {
            name: {
                "categories": categories.get(name, 0),
                **{split: by_source[split].get(name, 0) for split in images},
            }
            for name in titles()
        },
        "labels": {
            str(label): {
                "kind": str(rows["natural_or_human_made"].iloc[0]),
                "categories": len(rows),
                **{split: by_label[split].get(str(label), 0) for split in images},
            }
            for label, rows in labels[labels["hierarchical_label"] != ""].groupby("hierarchical_label", sort=True)
        },
        "continents": continent_counts(labels, images),
        "countries": country_counts(params, labels, images),
        "settled_by_rule": dict(counts),
    }


def _value_counts(column: "pd.Series[str]") -> dict[str, int]:
    return {str(value): int(count) for value, count in column.value_counts().sort_index().items()}


def _table(header: list[str], rows: list[list[object]]) -> str:
    lines: list[list[object]] = [[*header], ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join("| " + " | ".join(_cell(value) for value in line) + " |\n" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value).strip()


def _splits(card: Numbers, _: Path) -> str:
    rows = [
        [split, sizes["landmarks"], sizes["images"], sizes["labelled_images"]]
        for split, sizes in card["splits"].items()
    ]
    title = f"{card['release']['name']} {card['release']['version']}: {card['categories']:,} categories.\n\n"
    usage = ", ".join(f"{count:,} {name}" for name, count in card["usage"].items())
    table = _table(["split", "landmarks", "images", "images with a label"], rows)
    return f"{title}{table}\nTest images by use: {usage}.\n"


def _sources(card: Numbers, _: Path) -> str:
    rows = [[titles()[source], *counts.values()] for source, counts in card["sources"].items()]
    return _table(["label from", "categories", "train images", "index images", "test images"], rows)


def _labels(card: Numbers, _: Path) -> str:
    rows = [[label, *counts.values()] for label, counts in card["labels"].items()]
    return _table(["label", "kind", "categories", "train images", "index images", "test images"], rows)


def _continents(card: Numbers, _: Path) -> str:
    places = card["continents"].items()
    rows = [["no continent" if name == NOWHERE else name, *counts.values()] for name, counts in places]
    header = ["continent", "categories", "natural", "human-made", "no label", "train images", "index images"]
    return _table([*header, "test images"], rows)


def _countries(card: Numbers, _: Path) -> str:
    """The countries with the most categories, and how many others there are."""
    nowhere = card["countries"][NOWHERE]
    places = [counts for name, counts in card["countries"].items() if name != NOWHERE]
    places.sort(key=lambda counts: (-counts["categories"], counts["name"]))
    columns = ["categories", *card["splits"]]
    rows = [[counts["name"], *(counts[name] for name in columns)] for counts in [*places[:MOST_COUNTRIES], nowhere]]
    table = _table(["country", "categories", "train images", "index images", "test images"], rows)
    shown = min(MOST_COUNTRIES, len(places))
    return f"{table}\n{shown} of {len(places)} countries and territories; card.json has all.\n"


def _missing(card: Numbers, _: Path) -> str:
    rows: list[list[object]] = [[reason, *counts.values()] for reason, counts in card["missing"].items()]
    return _table(["no label because", "categories", "train images", "index images", "test images"], rows)


def _quality(card: Numbers, _: Path) -> str:
    """The labels with judged controls, and all labels."""
    rows = [
        [label, counts["categories"], counts["controls"], *map(_percent, list(counts.values())[2:])]
        for label, counts in card["quality"].items()
    ]
    return _table(["label", "categories", "controls judged", "precision", "95 % from", "to"], rows)


def _percent(fraction: float | None) -> str | None:
    return None if fraction is None else f"{100 * fraction:.1f} %"


def _rules(card: Numbers, _: Path) -> str:
    rows: list[list[object]] = [[name.replace("_", " "), count] for name, count in card["settled_by_rule"].items()]
    return _table(["settled by rule", "cases"], rows)


def _clip(_: Numbers, data: Path) -> str:
    # Not weights and outcomes: they are discrete, so that a slightly different model may change them by a whole step.
    return _metrics(data / "refine" / "metrics.json", without=("weights", "accepted", "review", "empty"))


def _wikidata(_: Numbers, data: Path) -> str:
    return _metrics(data / "build" / "metrics.json")


def _benchmark(_: Numbers, data: Path) -> str:
    return _metrics(data / "benchmark" / "metrics.json")


def _metrics(path: Path, without: Collection[str] = ()) -> str:
    metrics = {name: value for name, value in read_json(path).items() if name not in without}
    rows: list[list[object]] = [[name, value] for name, value in _flat(metrics).items()]
    return _table(["figure", "value"], rows)


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested numbers as one level with dotted names; text and lists are dropped."""
    numbers: dict[str, object] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            numbers |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) or value is None:
            numbers[prefix + name] = value
    return numbers


def _of_card(block: Callable[[Numbers, Path], str]) -> Callable[[Numbers, Path], str]:
    """`block`, with HgldError when card.json lacks what the block shows."""

    def checked(card: Numbers, data: Path) -> str:
        try:
            return block(card, data)
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            raise HgldError(
                f"{data / 'release' / 'card.json'}: not the numbers of a release ({type(error).__name__}: {error}); "
                "run: dvc repro release"
            ) from None

    return checked


BLOCKS: dict[str, Callable[[Numbers, Path], str]] = {
    "splits": _of_card(_splits),
    "sources": _of_card(_sources),
    "labels": _of_card(_labels),
    "continents": _of_card(_continents),
    "countries": _of_card(_countries),
    "missing": _of_card(_missing),
    "quality": _of_card(_quality),
    "rules": _of_card(_rules),
    "wikidata": _wikidata,
    "clip": _clip,
    "benchmark": _benchmark,
}

# The output of a training that the numbers of a block depend on: if it differs, they may differ.
MADE_FROM = {
    "splits": "refine/proposals.parquet",
    "sources": "refine/proposals.parquet",
    "labels": "refine/proposals.parquet",
    "continents": "refine/proposals.parquet",
    "missing": "refine/proposals.parquet",
    "quality": "refine/proposals.parquet",
    "clip": "refine/proposals.parquet",
    "benchmark": "train/model.pt",
}
