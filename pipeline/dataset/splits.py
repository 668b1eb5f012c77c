"""The released splits: every image of train, index and test with the labels of its landmark's category."""

import pandas as pd

from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet
from hgld.pipeline.dataset.landmarks import images, landmarks

LABEL = ["supercategory", "hierarchical_label", "natural_or_human_made"]


def landmark_labels(params: Params, split: str, decisions: pd.DataFrame) -> pd.DataFrame:
    """GLDv2's own five columns for the landmarks of one split, by landmark number; the category as GLDv2 writes it."""
    table = landmarks(params, split).merge(decisions[["category", *LABEL]], on="category", how="left")
    return table.drop(columns="category").rename(columns={"url": "category"})[
        ["landmark_id", "category", *LABEL]
    ]


def image_labels(params: Params, split: str, decisions: pd.DataFrame) -> pd.DataFrame:
    """One row an image of train or index: image_id, landmark_id, category, the labels; for train also `clean`."""
    table = _with_labels(images(params, split).rename(columns={"id": "image_id"}), decisions)
    table = table[["image_id", "landmark_id", "category", *LABEL]]
    if split == "train":
        clean = read_parquet(params.data / "metadata" / "train_clean.parquet", ["id"])["id"]
        table = table.assign(clean=table["image_id"].isin(set(clean)))
    return table


def _with_labels(table: pd.DataFrame, decisions: pd.DataFrame) -> pd.DataFrame:
    labels = decisions.set_index("category")[LABEL].reindex(table["category"]).fillna("").astype("str")
    return pd.concat([table.reset_index(drop=True), labels.reset_index(drop=True)], axis=1)


def query_labels(
    params: Params, index: pd.DataFrame, train: pd.DataFrame, decisions: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, int]]:
    """One row a test image (image_id, usage, relevant, category, the labels), and what had to be settled by rule.

    The category of a query is that of its relevant index images; where there are none, that of the train landmarks
    that the recognition solution names. When they are of several, it is the one with most of them, then the first in
    the alphabet (counted as `test_of_several_categories`). Relevant ids that are no index image are dropped
    (`relevant_not_in_index`); a test image without a solution is `Ignored` (`test_without_solution`).
    """
    folder = params.data / "metadata"
    solution = read_parquet(folder / "retrieval_solution.parquet").set_index("id")
    test = read_parquet(folder / "test.parquet", ["id"]).sort_values("id", ignore_index=True)["id"]
    # the word None means none in this file
    relevant = _pairs(solution["images"].replace("None", ""))
    known = relevant["value"].isin(set(index["image_id"]))
    votes = _categories(relevant[known], index.set_index("image_id")["category"])
    by_landmark = train.drop_duplicates("landmark_id").set_index("landmark_id")["category"]
    recognised = _pairs(read_parquet(folder / "recognition_solution.parquet").set_index("id")["landmarks"])
    others = _categories(recognised[~recognised["query"].isin(votes["query"])], by_landmark)
    votes = pd.concat([votes, others])
    table = pd.DataFrame({"image_id": test})
    table["usage"] = test.map(solution["usage"]).fillna("Ignored")
    lists = relevant[known].sort_values(["query", "value"]).groupby("query")["value"].agg(" ".join)
    table["relevant"] = test.map(lists).fillna("")
    table["category"] = test.map(votes.drop_duplicates("query").set_index("query")["category"]).fillna("")
    counts = {
        "relevant_not_in_index": int((~known).sum()),
        "test_of_several_categories": int((votes["query"].value_counts() > 1).sum()),
        "test_without_solution": int((~test.isin(solution.index)).sum()),
    }
    return _with_labels(table.astype("str"), decisions), counts


def _pairs(lists: "pd.Series[str]") -> pd.DataFrame:
    """Space-separated cells, indexed by query → one row (query, value) each."""
    pairs = lists.str.split().explode().dropna()
    return pd.DataFrame({"query": pairs.index.astype("str"), "value": pairs.to_numpy()}).astype("str")


def _categories(pairs: pd.DataFrame, category_of: "pd.Series[str]") -> pd.DataFrame:
    """The categories of each query's values, the commonest first."""
    found = pairs.assign(category=pairs["value"].map(category_of).fillna("").astype("str"))
    counts = found[found["category"] != ""].groupby(["query", "category"]).size().reset_index(name="count")
    return counts.sort_values(["query", "count", "category"], ascending=[True, False, True])
