"""The query is removed by id: ids of any kind that both sides share, and errors for those that can never match."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.metrics.ids import own_items
from hgld.foundation.errors import HgldError

# Three images of three landmarks: without itself, no query has a positive.
EMBEDDINGS, LABELS = torch.eye(3), torch.tensor([[0], [1], [2]])


def ap(query_ids: Any, gallery_ids: Any) -> list[float]:
    values: list[float] = evaluate(
        *(EMBEDDINGS, LABELS, EMBEDDINGS, LABELS), query_ids=query_ids, gallery_ids=gallery_ids, metrics="AP_l0"
    )["AP_l0"].tolist()
    return values


@pytest.mark.parametrize(
    "ids",
    [
        ["a", "b", "c"], [b"a", b"b", b"c"], [7, 8, 9], [7.0, 8.0, 9.0], [("a", 1), ("a", 2), ("b", 1)],
        np.array(["a", "b", "c"]), np.arange(3, dtype=np.uint8), torch.arange(3), pd.Series(["a", "b", "c"]),
        pd.Index([1, 2, 3]), list(np.array(["a", "b", "c"])), list(torch.arange(3)), list(np.arange(3)),
    ],
    ids=str,
)  # fmt: skip
def test_the_query_is_removed_whatever_its_ids_are(ids: Any) -> None:
    assert all(map(math.isnan, ap(ids, ids)))
    plain = [value.item() if hasattr(value, "item") else value for value in ids]
    assert all(map(math.isnan, ap(plain, ids)))
    assert ap(["x", "y", "z"], ["u", "v", "w"]) == [1.0] * 3


@pytest.mark.parametrize(
    ("query_ids", "gallery_ids", "message"),
    [
        (["0", "1", "2"], [0, 1, 2], r"query_ids are text \(such as '0'\) and gallery_ids numbers \(0\)"),
        (np.array(["0", "1", "2"]), torch.arange(3), "query_ids are text"),
        ([b"0", b"1", b"2"], ["0", "1", "2"], "query_ids are bytes"),
        (["0", 1, "2"], ["0", "1", "2"], "query_ids: 1 in row 1"),
        (["0", "1", None], ["0", "1", "2"], "query_ids: None in row 2"),
        ([0.0, 1.0, math.nan], [0, 1, 2], "query_ids: nan in row 2"),
        ([0, 1, 2], [0, math.nan, 2], "gallery_ids: nan in row 1"),
        ([[0], [1], [2]], [[0], [1], [2]], r"query_ids: \[0\] in row 0"),
        (["a", "b", "c"], ["a.jpg", "b.jpg", "c.jpg"], "'a.jpg' of gallery_ids is 'a' in the other list"),
        (["a.JPG", "b", "c"], ["a", "d", "e"], "differ only in form"),
        ([" a", "b", "c"], ["a", "d", "e"], "differ only in form"),
        (["1.0", "2.0", "3.0"], ["1", "2", "3"], "differ only in form"),
        (["a", "b", "c"], ["a", "b.jpg", "d"], "'b.jpg' of gallery_ids is 'b'"),
        (["AB", "CD", "EF"], ["ab", "d", "e"], "'AB' of query_ids is 'ab'"),
        (["q/ab.jpg", "c", "d"], ["ab", "x", "y"], "'q/ab.jpg' of query_ids is 'ab'"),
        (["7", "8", "9"], ["007", "010", "011"], "'007' of gallery_ids is '7'"),
        (["photos/a.jpg", "c", "d"], ["a.jpg", "x", "y"], "'photos/a.jpg' of query_ids is 'a.jpg'"),
        (["photos/a", "c", "d"], ["a.jpg", "x", "y"], "'photos/a' of query_ids is 'a.jpg'"),
        (["photos/a.jpg", "c", "d"], ["/data/photos/a.jpg", "x", "y"], "'photos/a.jpg' of query_ids is '/data/photos"),
        (["photos/a.jpg", "c", "d"], ["photos\\a.jpg", "x", "y"], "differ only in form"),
        (["./a.jpg", "c", "d"], ["a.jpg", "x", "y"], "'./a.jpg' of query_ids is 'a.jpg'"),
        (["Paris_01", "c", "d"], ["PARIS_01", "x", "y"], "'Paris_01' of query_ids is 'PARIS_01'"),
        (["IMG_1.JPG", "c", "d"], ["img_1.jpg", "x", "y"], "'IMG_1.JPG' of query_ids is 'img_1.jpg'"),
        (["0007.jpg", "c", "d"], ["7.jpg", "x", "y"], "'0007.jpg' of query_ids is '7.jpg'"),
        (["000", "c", "d"], ["0", "x", "y"], "'000' of query_ids is '0'"),
        ([" a", "b", "c"], ["a ", "b", "c"], "' a' of query_ids is 'a '"),
        (["Cafe\u0301", "b", "c"], ["Caf\u00e9", "b", "c"], "differ only in form"),
        (["a\u200b", "b", "c"], ["a", "b", "c"], "differ only in form"),
        ([b"a.jpg", b"b", b"c"], [b"a", b"b", b"c"], "b'a.jpg' of query_ids is b'a'"),
        ({"a", "b", "c"}, ["a", "b", "c"], "query_ids must be a list, with one id per row; got set"),
        (iter("abc"), ["a", "b", "c"], "query_ids must be a list"),
        ("abc", ["a", "b", "c"], "query_ids must be a list, with one id per row; got str"),
        (3, 3, "query_ids must be a list, with one id per row; got int"),
        ([True, False, True], [0, 1, 2], "query_ids: True in row 0"),
        ([True, False, True], [True, False, True], "query_ids: True in row 0"),
        ([pd.NA, "b", "c"], ["a", "b", "c"], "query_ids: <NA> in row 0"),
        ([pd.NA, pd.NA, pd.NA], [pd.NA, pd.NA, pd.NA], "query_ids: <NA> in row 0"),
        (pd.Series(pd.to_datetime(["2020", None, "2021"])), ["a", "b", "c"], "query_ids: NaT in row 1"),
        (["a", "b", "c"], None, "query_ids and gallery_ids belong together"),
        (None, ["a", "b", "c"], "query_ids and gallery_ids belong together"),
        (["a", "b"], ["a", "b", "c"], "2 ids for 3 rows"),
    ],
)
def test_ids_that_can_never_match_are_an_error(query_ids: Any, gallery_ids: Any, message: str) -> None:
    """AP was 1.0 where NaN is right."""
    with pytest.raises(HgldError, match=message):
        ap(query_ids, gallery_ids)


def test_queries_of_another_set_share_no_id_with_the_gallery() -> None:
    assert ap(["a", "b", "c"], ["d", "e", "f"]) == [1.0] * 3
    assert ap(["a.jpg", "b", "c"], ["a.png", "e", "f"]) == [1.0] * 3, "two files"
    assert ap(["a.JPG", "b", "c"], ["a.png", "e", "f"]) == [1.0] * 3, "two files"
    assert ap(["photos/a.jpg", "b", "c"], ["a.png", "e", "f"]) == [1.0] * 3, "two files"
    assert ap(["query/1.jpg", "b", "c"], ["index/1.jpg", "e", "f"]) == [1.0] * 3, "two folders"
    assert ap(["query/1", "b", "c"], ["index/1.jpg", "e", "f"]) == [1.0] * 3, "two folders"
    assert ap(["", "/", "c"], [".jpg", "./", "f"]) == [1.0] * 3, "without a name there is nothing to compare"
    assert ap(["a", "b", "c"], ["a", "B", "00c"])[1:] == [1.0] * 2, "where some ids match, these are others"


def test_the_queries_as_their_own_gallery_have_one_list_of_ids() -> None:
    """gallery_ids were ignored."""
    both = {"query_ids": ["a", "b", "c"], "gallery_ids": ["a", "b", "c"]}
    assert evaluate(EMBEDDINGS, LABELS, **both, metrics="AP_l0")["AP_l0"].isna().all()
    with pytest.raises(HgldError, match="differ in row 1, which is one image"):
        evaluate(EMBEDDINGS, LABELS, query_ids=["a", "b", "c"], gallery_ids=["a", "c", "b"])
    with pytest.raises(HgldError, match="belong together"):
        evaluate(EMBEDDINGS, LABELS, gallery_ids=["a", "b", "c"])
    with pytest.raises(HgldError, match="query_ids are text"):
        evaluate(EMBEDDINGS, LABELS, query_ids=["0", "1", "2"], gallery_ids=[0, 1, 2])


def test_every_item_with_the_id_of_a_query_is_its_own() -> None:
    assert own_items([5, 6, 5], [5, 7, 5, 6]) == [[0, 2], [3], [0, 2]]
    assert own_items([], []) == []


def test_ids_of_one_name_in_many_folders_are_compared_fast() -> None:
    """Not pair by pair: 4 * 10^8 pairs would take minutes."""
    queries = [f"query/{number}/image.jpg" for number in range(20_000)]
    assert own_items(queries, [f"index/{number}/image.jpg" for number in range(20_000)]) == [[]] * 20_000
