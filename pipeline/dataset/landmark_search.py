"""Landmarks by what people know of them: the id, the name or URL of the category, the QID of the item."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_csv
from hgld.hierarchy.curation.verdict_checks import near_categories
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.hierarchy.taxonomy.qid import QID
from hgld.pipeline.dataset.landmarks import SPLITS, landmark_table
from hgld.pipeline.dataset.schemas import read_stage_table

KEY_COLUMNS = ("category", "landmark_id", "qid")


def categories_by_id(key: str, tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Split → category of the landmark with this id, for the splits that have it."""
    categories = {}
    for split, table in tables.items():
        rows = table.loc[table["landmark_id"] == key, "category"]
        if len(rows):
            categories[split] = str(rows.iloc[0])
    return categories


def category_by_name(key: str, tables: Mapping[str, pd.DataFrame]) -> str:
    """The category with this name or URL in any spelling.

    Raises HgldError, with the most similar name, if there is none.
    """
    known = set(pd.concat([table["category"] for table in tables.values()]))
    # a name as it is printed may begin like another namespace
    name = stored if (stored := key.strip()) in known else normalise(key)
    if name not in known:
        kind = "landmark id or category" if key.strip().isdigit() else "category"
        near = "".join(f"; did you mean '{other}'?" for other in near_categories(name, known, limit=1))
        raise HgldError(f"no {kind} '{key}' in the metadata{near}")
    return name


def categories_of(keys: Iterable[str], params: Params) -> list[str]:
    """The categories that the keys mean, each once, in order.

    A key is a landmark id (of train and of index: both), the name or URL of a category, a QID of its item, or a CSV
    with such keys in its column `category`, `landmark_id` or `qid`. Raises HgldError for one that means nothing.
    """
    tables = {split: landmark_table(params, split) for split in SPLITS}
    found: list[str] = []
    for key in keys:
        for one in _keys_of_file(Path(key)) if key.lower().endswith(".csv") else [key]:
            found += _by_qid(one, params) if re.fullmatch(QID, one.strip()) else _by_id_or_name(one, tables)
    return list(dict.fromkeys(found))


def _by_id_or_name(key: str, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    return list(categories_by_id(key.strip(), tables).values()) or [category_by_name(key, tables)]


def _by_qid(qid: str, params: Params) -> list[str]:
    items = read_stage_table(params.data / "wikidata" / "items.parquet", ["category", "qid"])
    found = list(items.loc[items["qid"] == qid.strip(), "category"])
    if not found:
        raise HgldError(f"{qid}: no category has this item; give the name of the category")
    return found


def _keys_of_file(path: Path) -> list[str]:
    """The keys in a CSV: of the first of its columns KEY_COLUMNS."""
    table = read_csv(path, [], extra=True)
    column = next((name for name in KEY_COLUMNS if name in table), None)
    if column is None:
        raise HgldError(
            f"{path}: no column {' or '.join(KEY_COLUMNS)}; found {', '.join(map(str, table)) or 'nothing'}"
        )
    return [str(key) for key in table[column] if key]
