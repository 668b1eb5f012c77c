"""What the labels of a release were derived from: items and classes, the verdicts, and what was left out of the graph.

With them a label can be derived again from the release alone, and a later release can say why it moved.
"""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from hgld.foundation.settings import Params
from hgld.foundation.tables import read_csv, read_parquet
from hgld.hierarchy.curation.settled_verdicts import newest, settled
from hgld.hierarchy.curation.verdict import KINDS, LANDMARK
from hgld.hierarchy.curation.verdicts import load_verdicts
from hgld.hierarchy.taxonomy.class_graph import SHORTCUT
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.hierarchy.taxonomy.taxonomy import COLUMNS
from hgld.pipeline.dataset.schemas import read_stage_table

CANDIDATES = ["category", "qid", "method", "confidence", "class"]
VERDICTS = ["kind", "category", "hierarchical_label", "suggested_label", "supercategory", "rejected_item", "annotator",
            "decided_on", "comment", "counts"]  # fmt: skip
_IGNORED, _CUTS = "ignored_classes.csv", "cut_edges.csv"


def ground_tables(
    params: Params, review: Path, natures: Collection[str], categories: Collection[str]
) -> dict[str, pd.DataFrame]:
    """The tables by file name; review: the folder of the verdicts; categories: those of the release.

    Raises HgldError for damaged tables, and when a verdict file is malformed.
    """
    candidates = candidate_table(params)
    curated = Path(params.build.taxonomy)
    judged = {*categories, *candidates["class"]}
    return {
        "candidates.parquet": candidates,
        "removed_edges.parquet": removed_edges_table(params),
        "ignored_classes.parquet": read_csv(curated / _IGNORED, COLUMNS[_IGNORED]),
        "cut_edges.parquet": read_csv(curated / _CUTS, COLUMNS[_CUTS]),
        "verdicts.parquet": verdict_table(params, review, natures, judged),
    }


def candidate_table(params: Params) -> pd.DataFrame:
    """One row per category, item that it may be about, and class of the item; sorted. `class` is empty for no class."""
    folder = params.data / "wikidata"
    items = read_stage_table(folder / "items.parquet", CANDIDATES[:-1])
    items = items[items["qid"] != ""]
    table = items.merge(read_stage_table(folder / "item_classes.parquet"), on="qid", how="left")
    table["class"] = table["class"].fillna("").astype("str")
    order = pd.DataFrame({
        "category": table["category"], "qid": table["qid"].map(qid_number), "class": table["class"].map(_number),
    })  # fmt: skip
    return table.loc[order.sort_values(["category", "qid", "class"]).index, CANDIDATES].reset_index(drop=True)


def _number(qid: str) -> int:
    return qid_number(qid) if qid else 0


def removed_edges_table(params: Params) -> pd.DataFrame:
    """One row per subclass statement that no path may use, with the reason; by numbers of the classes."""
    table = read_parquet(params.data / "build" / "removed_edges.parquet", ["child", "parent", "reason"])
    table = table[table["reason"] != SHORTCUT].rename(columns={"child": "class"})
    return table.sort_values(["class", "parent"], key=lambda qids: qids.map(qid_number), ignore_index=True)


def verdict_table(params: Params, folder: Path, natures: Collection[str], judged: Collection[str]) -> pd.DataFrame:
    """The newest verdict of each annotator on a category or class in `judged` (columns VERDICTS); sorted."""
    tables = []
    for kind in KINDS:
        verdicts = load_verdicts(folder, natures, params.verdict_profiles, kind)
        last = newest(verdicts[verdicts["category"].isin(list(judged))])
        accepted, _ = settled(last, params.release.adjudicators)
        names = dict(zip(accepted["category"], accepted["annotator"], strict=True))
        last["counts"] = pd.Series(
            [
                who in names.get(category, "").split(", ")
                for category, who in zip(last["category"], last["annotator"], strict=True)
            ],
            index=last.index,
            dtype="bool",
        )
        tables.append(last)
    table = pd.concat(tables)
    table = table.assign(order=table["kind"] != LANDMARK).sort_values(["order", "category", "annotator"])
    return table[VERDICTS].reset_index(drop=True)
