"""Where the landmarks are: country, continent and coordinates of the item of each category, and how many are where."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hgld.foundation.settings import Params
from hgld.hierarchy.curated import CURATED
from hgld.hierarchy.places import countries
from hgld.hierarchy.places.countries import CONTINENTS, SEPARATOR, country_names
from hgld.hierarchy.places.place import Gazetteer
from hgld.pipeline.dataset.schemas import check_known, read_stage_table

# The columns that a category's place has in a table.
PLACE = ["country", "continent", "latitude", "longitude"]
# The row of the counts for what has no country or continent.
NOWHERE = "(none)"


def gazetteer(params: Params) -> Gazetteer:
    """The countries in the profile's folder of curated files; those of this package if it has none."""
    folder = Path(params.build.taxonomy)
    return Gazetteer.load(folder if (folder / countries.FILE).is_file() else CURATED)


def with_places(params: Params, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """`table` (one row per category, `qid` its item) with the columns PLACE; a note on countries not in countries.csv.

    Where there is no item (none was found, or a verdict rejects it), or nothing is known of it, the texts are empty,
    and the coordinates NaN.

    Raises HgldError for damaged tables, and for facts of other items.
    """
    known = gazetteer(params)
    path = params.data / "wikidata" / "item_facts.parquet"
    facts = read_stage_table(path, ["qid", "countries", "latitude", "longitude"])
    check_known(table.loc[table["qid"] != "", "qid"], facts["qid"], path, "items of the labels are missing")
    qids = [text.split() for text in facts["countries"]]
    places = [known.place(*row) for row in zip(qids, facts["latitude"], facts["longitude"], strict=True)]
    facts["country"] = pd.Series([place.country for place in places], dtype="str", index=facts.index)
    facts["continent"] = pd.Series([place.continent for place in places], dtype="str", index=facts.index)
    found = facts.set_index("qid")[PLACE].reindex(table["qid"]).reset_index(drop=True)
    found[["country", "continent"]] = found[["country", "continent"]].fillna("").astype("str")
    found.index = table.index
    return pd.concat([table, found], axis=1), _note(known, qids)


def map_title(labels: pd.DataFrame) -> str:
    """What the map of the landmarks shows; labels: one row per category, with the columns PLACE."""
    placed = int(labels["latitude"].notna().sum())
    return f"{placed:,} of {len(labels):,} landmarks have coordinates"


def continent_counts(labels: pd.DataFrame, images: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """Continent → how many categories it has, by kind, and images, by split; all continents, and NOWHERE at the end.

    labels: one row per category; images: split → one row per image; all with the labels and PLACE. What is on two
    continents counts on both.
    """
    counts = _counts("continent", labels, images)
    return {name: {column: numbers[name] for column, numbers in counts.items()} for name in (*CONTINENTS, NOWHERE)}


def country_counts(
    params: Params, labels: pd.DataFrame, images: Mapping[str, pd.DataFrame]
) -> dict[str, dict[str, Any]]:
    """Code of each country with categories → its name and the same counts as for continents; NOWHERE at the end."""
    names = country_names(gazetteer(params).countries)
    counts = _counts("country", labels, images)
    rows = {code: {column: numbers[code] for column, numbers in counts.items()}
            for code in [*sorted(counts["categories"].keys() - {NOWHERE}), NOWHERE]}  # fmt: skip
    return {code: {"name": names.get(code, "no country"), **numbers} for code, numbers in rows.items()}


def _counts(column: str, labels: pd.DataFrame, images: Mapping[str, pd.DataFrame]) -> dict[str, Counter[str]]:
    """What is counted → place → how often; 0 for other places."""
    kinds = {kind: labels[labels["natural_or_human_made"] == kind] for kind in ("natural", "human-made", "")}
    tables = {"categories": labels, **{kind or "no label": rows for kind, rows in kinds.items()}, **images}
    return {name: _by_place(table[column]) for name, table in tables.items()}


def _by_place(places: "pd.Series[str]") -> Counter[str]:
    """Place → the rows that are there, also those that are elsewhere, too; NOWHERE → those without a place."""
    counts = Counter[str]()
    for text, count in places.value_counts().items():
        for place in str(text).split(SEPARATOR):
            counts[place or NOWHERE] += int(count)
    return counts


def _note(known: Gazetteer, qids: list[list[str]]) -> list[str]:
    counts = Counter(qid for row in qids for qid in known.unknown(row))
    if not counts:
        return []
    first = ", ".join(
        f"{qid} ({count} items)" for qid, count in sorted(counts.items(), key=lambda p: (-p[1], p[0]))[:5]
    )
    return [f"not in {countries.FILE}, so without a country: {len(counts)} value(s) of P17, such as {first}"]
