"""The released splits: every image of train, index and test with the labels and the place of its category."""

import pandas as pd

from hgld.foundation.settings import Params
from hgld.pipeline.dataset.landmarks import image_table, landmark_table
from hgld.pipeline.dataset.places import PLACE
from hgld.pipeline.dataset.schemas import read_stage_table

LABEL = ["supercategory", "hierarchical_label", "natural_or_human_made"]


def landmark_labels(params: Params, split: str, decisions: pd.DataFrame) -> pd.DataFrame:
    """GLDv2's five columns for the landmarks of one split, by landmark number; the category in GLDv2's spelling."""
    table = landmark_table(params, split).merge(decisions[["category", *LABEL]], on="category", how="left")
    return table.drop(columns="category").rename(columns={"url": "category"})[["landmark_id", "category", *LABEL]]


def image_labels(params: Params, split: str, decisions: pd.DataFrame) -> pd.DataFrame:
    """One row per image of train or index: image_id, landmark_id, category, labels, place; for train also `clean`."""
    table = _with_labels(image_table(params, split).rename(columns={"id": "image_id"}), decisions)
    table = table[["image_id", "landmark_id", "category", *LABEL, *PLACE]]
    if split == "train":
        clean = read_stage_table(params.data / "metadata" / "train_clean.parquet", ["id"])["id"]
        table = table.assign(clean=table["image_id"].isin(set(clean)))
    return table


def _with_labels(table: pd.DataFrame, decisions: pd.DataFrame) -> pd.DataFrame:
    known = decisions.set_index("category")[[*LABEL, *PLACE]].reindex(table["category"]).reset_index(drop=True)
    for name in [*LABEL, "country", "continent"]:
        known[name] = known[name].fillna("").astype("str")
    return pd.concat([table.reset_index(drop=True), known], axis=1)


def query_labels(
    params: Params, index: pd.DataFrame, train: pd.DataFrame, decisions: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, int]]:
    """One row per test image (image_id, usage, relevant, category, labels, place), and how many cases a rule settled.

    The category of a query is that of its relevant index images or, if it has none, of the train landmarks in the
    recognition solution. Of several categories (`test_of_several_categories`) the most frequent one counts, then the
    alphabetically first. Relevant ids that are not index images are dropped (`relevant_not_in_index`). A test
    image without a solution is `Ignored` (`test_without_solution`).
    """
    folder = params.data / "metadata"
    solution = read_stage_table(folder / "retrieval_solution.parquet").set_index("id")
    test = read_stage_table(folder / "test.parquet", ["id"]).sort_values("id", ignore_index=True)["id"]
    # in this file the word None stands for an empty list
    relevant = _pairs(solution["images"].replace("None", ""))
    known = relevant["value"].isin(set(index["image_id"]))
    by_images = _ranked_categories(relevant[known], index.set_index("image_id")["category"])
    by_landmark = train.drop_duplicates("landmark_id").set_index("landmark_id")["category"]
    recognised = _pairs(read_stage_table(folder / "recognition_solution.parquet").set_index("id")["landmarks"])
    rest = recognised[~recognised["query"].isin(by_images["query"])]
    ranked = pd.concat([by_images, _ranked_categories(rest, by_landmark)])
    table = pd.DataFrame({"image_id": test})
    table["usage"] = test.map(solution["usage"]).fillna("Ignored")
    lists = relevant[known].sort_values(["query", "value"]).groupby("query")["value"].agg(" ".join)
    table["relevant"] = test.map(lists).fillna("")
    best = ranked.drop_duplicates("query").set_index("query")["category"]
    table["category"] = test.map(best).fillna("")
    counts = {
        "relevant_not_in_index": int((~known).sum()),
        "test_of_several_categories": int((ranked["query"].value_counts() > 1).sum()),
        "test_without_solution": int((~test.isin(solution.index)).sum()),
    }
    return _with_labels(table.astype("str"), decisions), counts


def _pairs(lists: "pd.Series[str]") -> pd.DataFrame:
    """Space-separated lists, indexed by query → one row (query, value) per element."""
    pairs = lists.str.split().explode().dropna()
    return pd.DataFrame({"query": pairs.index.astype("str"), "value": pairs.to_numpy()}).astype("str")


def _ranked_categories(pairs: pd.DataFrame, category_of: "pd.Series[str]") -> pd.DataFrame:
    """The categories of each query's values (query, category, count), the most frequent first."""
    labelled = pairs.assign(category=pairs["value"].map(category_of).fillna("").astype("str"))
    labelled = labelled[labelled["category"] != ""]
    counts = labelled.groupby(["query", "category"]).size().reset_index(name="count")
    return counts.sort_values(["query", "count", "category"], ascending=[True, False, True])
