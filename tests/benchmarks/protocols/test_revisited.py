"""Revisited Oxford: hand-computed rankings, and the official ground truth against a slow loop from the formula."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.benchmarks.protocols.revisited import GroundTruth, Query, read_ground_truth, revisited, summary
from hgld.foundation.errors import HgldError
from tests.paths import SHARED

OFFICIAL = SHARED / "revisited" / "gnd_roxford5k.pkl"
needs_official = pytest.mark.skipif(not OFFICIAL.exists(), reason=f"no official ground truth {OFFICIAL}")
BOX = (0.0, 0.0, 10.0, 10.0)
POSITIVES = {"easy": ["easy"], "medium": ["easy", "hard"], "hard": ["hard"]}
REMOVED = {"easy": ["junk", "hard"], "medium": ["junk"], "hard": ["junk", "easy"]}


def slow(ranks: list[int], entry: dict[str, Any], difficulty: str) -> tuple[float, list[float]]:
    """AP and P@1, 5, 10 of one query, in a loop over the ranking."""
    positives = {image for kind in POSITIVES[difficulty] for image in entry[kind]}
    removed = {image for kind in REMOVED[difficulty] for image in entry[kind]}
    if not positives:
        return math.nan, [math.nan] * 3
    area, hits, position, ranks_of_hits = 0.0, 0, 0, []
    for image in ranks:
        if image in removed:
            continue
        if image in positives:
            before = 1.0 if position == 0 else hits / position
            after = (hits + 1) / (position + 1)
            area += (before + after) / 2 / len(positives)
            hits += 1
            ranks_of_hits.append(position + 1)
        position += 1
    precisions = []
    for k in (1, 5, 10):
        # the ranks of positives that are not listed are unknown: they count as missed
        cut = min(k, max(ranks_of_hits)) if hits == len(positives) else k
        precisions.append(sum(rank <= cut for rank in ranks_of_hits) / cut)
    return area, precisions


def truth_of(*queries: tuple[list[int], list[int], list[int]], images: int = 8) -> GroundTruth:
    return GroundTruth(
        tuple(f"image_{n}" for n in range(images)),
        tuple(Query(f"q{n}", BOX, *map(tuple, kinds)) for n, kinds in enumerate(queries)),
    )


def test_measures_by_hand() -> None:
    """Positives 1 (easy) and 3 (hard), junk 0 and 2; ranking 0 5 1 2 4 3.

    Medium, junk removed: 5 1 4 3, positives at ranks 2 and 4: AP = ((0/1 + 1/2)/2 + (1/3 + 2/4)/2)/2 = 1/3.
    Hard, easy and junk removed: 5 4 3, the positive at rank 3: AP = (0/2 + 1/3)/2 = 1/6.
    Easy, hard and junk removed: 5 1 4: AP = (0/1 + 1/2)/2 = 1/4.
    """
    truth = truth_of(([1], [3], [0, 2]))
    ranks = np.array([[0, 5, 1, 2, 4, 3]])
    rows = {name: revisited(ranks, truth, name).iloc[0] for name in ("easy", "medium", "hard")}
    assert rows["medium"]["AP"] == pytest.approx(1 / 3)
    assert rows["hard"]["AP"] == pytest.approx(1 / 6)
    assert rows["easy"]["AP"] == pytest.approx(1 / 4)
    # P@5 and P@10 stop at the last positive: 2 of 4, 1 of 3, 1 of 2
    assert rows["medium"][["P@1", "P@5", "P@10"]].tolist() == pytest.approx([0, 2 / 4, 2 / 4])
    assert rows["hard"][["P@1", "P@5", "P@10"]].tolist() == pytest.approx([0, 1 / 3, 1 / 3])
    assert rows["easy"][["P@1", "P@5", "P@10"]].tolist() == pytest.approx([0, 1 / 2, 1 / 2])


def test_a_perfect_ranking_scores_one_wherever_junk_is() -> None:
    truth = truth_of(([1], [3, 5], [0, 2]))
    frame = revisited(np.array([[0, 5, 2, 3, 1, 4, 6, 7]]), truth, "medium")
    assert frame[["AP", "P@1", "P@5", "P@10"]].to_numpy().tolist() == [[1.0] * 4]


def test_queries_without_positives_are_excluded_and_counted() -> None:
    truth = truth_of(([1], [], [0]), ([1], [2], []))
    frame = revisited(torch.linspace(1, 0, 8).repeat(2, 1), truth, "hard")
    assert frame["AP"].isna().tolist() == [True, False]
    means = summary(frame)
    # image 1 is removed, so that the hard positive is second, behind image 0
    assert means["mAP"] == pytest.approx((0 / 1 + 1 / 2) / 2)
    assert (means["queries"], means["undefined"], means["tied"]) == (1, 1, 0)


def test_ties_are_ordered_by_index_and_reported() -> None:
    truth = truth_of(([3], [], [2]))
    frame = revisited(torch.tensor([[0.5, 0.9, 0.5, 0.5, 0, 0, 0, 0]]), truth)
    assert frame["AP"][0] == pytest.approx((0 / 2 + 1 / 3) / 2)
    assert frame["ties"][0] == 1
    untied = revisited(torch.tensor([[0.4, 0.9, 0.5, 0.5, 0, 0, 0, 0]]), truth)
    assert untied["ties"][0] == 0, "a tie with junk does not count"
    assert math.isnan(summary(revisited(np.arange(8)[None], truth))["tied"])


def test_a_positive_that_is_not_listed_is_never_retrieved() -> None:
    truth = truth_of(([1, 6], [], []))
    assert revisited(np.array([[1, 2]]), truth)["AP"][0] == pytest.approx(1 / 2)
    nothing = revisited(np.array([[2, 3]]), truth).iloc[0]
    assert nothing[["AP", "P@1", "P@5", "P@10"]].tolist() == [0.0] * 4


def test_distractors_are_negatives() -> None:
    truth = truth_of(([1], [], []), images=2)
    scores = torch.tensor([[0.0, 0.5, 0.9]])
    assert revisited(scores, truth, distractors=1)["AP"][0] == pytest.approx((0 + 1 / 2) / 2)
    with pytest.raises(HgldError, match=r"scores \(1, 2\)"):
        revisited(scores, truth)


def test_truncated_ranks_never_raise_a_score() -> None:
    """One of three positives in the top 5: P@5 is 1/5, as the others are lower. P@5 over the last listed rank was 1."""
    truth = truth_of(([1, 2, 3], [], []))
    frame = revisited(np.array([[1, 5, 6, 7, 0]]), truth)
    assert frame.iloc[0][["AP", "P@1", "P@5", "P@10", "unlisted"]].tolist() == [1 / 3, 1, 1 / 5, 1 / 10, 2]
    assert summary(frame)["unlisted"] == 2
    whole = revisited(np.array([[1, 5, 6, 7, 0, 4, 3, 2]]), truth)
    assert whole["P@5"][0] == 1 / 5 and "unlisted" not in whole and "unlisted" not in summary(whole)
    # all positives are listed: the last rank is known, and shorter than k
    assert revisited(np.array([[1, 2, 3, 0]]), truth).iloc[0][["AP", "P@5", "unlisted"]].tolist() == [1, 1, 0]


@needs_official
@pytest.mark.parametrize("listed", [0, 1, 7, 100, 1000])
def test_truncated_ranks_of_the_official_size_are_lower_bounds(listed: int) -> None:
    """P@k is that of the full ranks wherever k images are left after the removal."""
    truth = read_ground_truth(OFFICIAL)
    scores = torch.rand(70, 4993, generator=torch.Generator().manual_seed(2))
    for row, query in enumerate(truth.queries):
        scores[row, list(query.of(("easy", "hard", "junk")))] += 0.2
    ranks = scores.argsort(dim=1, descending=True)
    for difficulty in POSITIVES:
        full, cut = revisited(ranks, truth, difficulty), revisited(ranks[:, :listed], truth, difficulty)
        columns = ["AP", "P@1", "P@5", "P@10"]
        assert (cut[columns].fillna(0) <= full[columns].fillna(0) + 1e-12).all(axis=None)
        removed = [set(query.of(REMOVED[difficulty])) for query in truth.queries]
        left = [
            sum(image not in gone for image in row[:listed].tolist()) for row, gone in zip(ranks, removed, strict=True)
        ]
        for k in (1, 5, 10):
            enough = [count >= k for count in left]
            assert cut.loc[enough, f"P@{k}"].equals(full.loc[enough, f"P@{k}"])


RANKS = np.array([[2, 0, 1, 3, 7, 6, 5, 4]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_ranks_saved_as_floating_point_numbers_are_not_taken_for_scores(dtype: Any) -> None:
    truth = truth_of(([1], [3], []))
    with pytest.raises(HgldError, match=r"may be ranks, as all are whole .* kind ranks .* or kind scores"):
        revisited(RANKS.astype(dtype), truth)
    expected = revisited(RANKS, truth)
    assert revisited(RANKS.astype(dtype), truth, kind="ranks").equals(expected)
    assert revisited(RANKS[:, :4].astype(dtype), truth, kind="ranks")["AP"][0] == expected["AP"][0]
    as_scores = revisited(RANKS.astype(dtype), truth, kind="scores")
    assert as_scores["AP"][0] == revisited((-RANKS).argsort(axis=1, kind="stable"), truth)["AP"][0]
    assert revisited(RANKS * 3, truth, kind="scores")["AP"][0] == as_scores["AP"][0]
    counts = np.array([[0, 3, 0, 2, 0, 0, 0, 1]])  # of inliers: whole, and scores
    assert revisited(counts.astype(dtype), truth)["AP"][0] == 1


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_minus_one_ends_a_list_that_is_shorter_than_others(dtype: Any) -> None:
    """As faiss and others write them; the lists of a .npy have one length."""
    truth = GroundTruth(truth_of(([1], [3], [])).images, truth_of(([1], [3], [])).queries * 3)
    lists = [[3, 2, 1], [3], []]
    filled = np.array([(row + [-1] * 8)[:8] for row in lists], dtype)
    frame = revisited(filled, truth, kind="ranks")
    for row, ranks in enumerate(lists):
        alone = GroundTruth(truth.images, truth.queries[row : row + 1])
        expected = revisited(np.array([ranks], np.int64), alone)
        assert frame.iloc[[row]].reset_index(drop=True).equals(expected)
    assert frame["unlisted"].tolist() == [0, 1, 2]
    if dtype == np.float32:
        with pytest.raises(HgldError, match="may be ranks"):
            revisited(filled[:1], truth_of(([1], [3], [])))


@pytest.mark.parametrize(
    "ranking",
    [
        np.where(np.arange(8) == 5, RANKS[:, :1], RANKS.astype(float)),  # one twice
        RANKS + 1.0,  # counted from 1
        RANKS + 90.0,  # of a larger set
    ],
)
def test_whole_numbers_that_may_be_ranks_are_never_taken_for_scores(ranking: Any) -> None:
    with pytest.raises(HgldError, match="may be ranks"):
        revisited(ranking, truth_of(([1], [3], [])))
    with pytest.raises(HgldError, match=r"image indices from 0 to 7|ranked twice"):
        revisited(ranking, truth_of(([1], [3], [])), kind="ranks")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint64, ">i4", ">u2"])
def test_ranks_and_scores_of_any_type_and_layout_count_alike(dtype: Any) -> None:
    truth, scores = truth_of(([1], [3], [])), -np.argsort(RANKS, axis=1).astype(float) - 0.5
    expected = revisited(RANKS, truth)
    for ranks in (RANKS.astype(dtype), np.asfortranarray(RANKS.astype(dtype)), RANKS.tolist()):
        assert revisited(ranks, truth).equals(expected)
    for given_ in (scores, scores.astype(">f4"), scores[:, ::-1][:, ::-1], scores.tolist()):
        assert revisited(given_, truth).drop(columns="ties").equals(expected.drop(columns="ties"))


@needs_official
def test_ranks_in_half_precision_are_recognised_though_rounded() -> None:
    truth = read_ground_truth(OFFICIAL)
    ranks = torch.rand(70, 4993, generator=torch.Generator().manual_seed(2)).argsort(dim=1)
    with pytest.raises(HgldError, match="may be ranks"):
        revisited(ranks.half(), truth)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_measures_equal_a_slow_loop(data: st.DataObject) -> None:
    images = data.draw(st.integers(1, 15))
    kinds = data.draw(st.lists(st.sampled_from(["easy", "hard", "junk", ""]), min_size=images, max_size=images))
    entry = {kind: [n for n in range(images) if kinds[n] == kind] for kind in ("easy", "hard", "junk")}
    scores = [data.draw(st.integers(0, 5)) / 5 for _ in range(images)]
    ranks = sorted(range(images), key=lambda n: (-scores[n], n))
    truth = truth_of((entry["easy"], entry["hard"], entry["junk"]), images=images)
    listed = data.draw(st.integers(1, images))
    for difficulty in POSITIVES:
        for ranking, order in ((torch.tensor([scores]), ranks), (np.array([ranks[:listed]]), ranks[:listed])):
            row = revisited(ranking, truth, difficulty).iloc[0]
            ap, precisions = slow(order, entry, difficulty)
            assert row["AP"] == pytest.approx(ap, abs=1e-12, nan_ok=True)
            assert row[["P@1", "P@5", "P@10"]].tolist() == pytest.approx(precisions, abs=1e-12, nan_ok=True)


@needs_official
def test_the_official_file_is_read() -> None:
    truth = read_ground_truth(OFFICIAL)
    content = pickle.loads(OFFICIAL.read_bytes())
    assert truth.images == tuple(content["imlist"])
    assert [query.name for query in truth.queries] == content["qimlist"]
    for query, entry in zip(truth.queries, content["gnd"], strict=True):
        assert list(query.box) == entry["bbx"]
        for kind in ("easy", "hard", "junk"):
            assert list(getattr(query, kind)) == sorted(entry[kind])
    empty = [sum(not query.of(kinds) for query in truth.queries) for kinds in (["easy"], ["hard"])]
    assert (len(truth.images), len(truth.queries), empty) == (4993, 70, [2, 0])


@needs_official
@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_measures_on_the_official_ground_truth_equal_a_slow_loop(difficulty: str) -> None:
    """Scores better than random, with ties in every row."""
    truth = read_ground_truth(OFFICIAL)
    entries = pickle.loads(OFFICIAL.read_bytes())["gnd"]
    generator = torch.Generator().manual_seed(1)
    scores = torch.rand(70, 4993, generator=generator).mul(400).round()
    for row, entry in enumerate(entries):
        scores[row, entry["easy"]] += 250
        scores[row, entry["hard"] + entry["junk"]] += 120
    frame = revisited(scores, truth, difficulty)
    for row, entry in enumerate(entries):
        values = scores[row].tolist()
        ranks = sorted(range(4993), key=lambda n: (-values[n], n))
        ap, precisions = slow(ranks, entry, difficulty)
        assert frame["AP"][row] == pytest.approx(ap, abs=1e-12, nan_ok=True)
        assert frame.loc[row, ["P@1", "P@5", "P@10"]].tolist() == pytest.approx(precisions, abs=1e-12, nan_ok=True)
    assert summary(frame)["undefined"] == (2 if difficulty == "easy" else 0)


@pytest.mark.parametrize(
    ("ranking", "difficulty", "message"),
    [
        (torch.zeros(1, 8), "mediun", "did you mean 'medium'"),
        (torch.zeros(8, 1), "hard", "transpose it"),
        (torch.zeros(1, 7), "hard", r"scores \(1, 8\)"),
        (torch.full((1, 8), math.nan), "hard", "query q0: a score is NaN"),
        (np.array([[1, 8]]), "hard", "from 0 to 7"),
        (np.array([[-2, 2]]), "hard", "from 0 to 7"),
        (np.array([[-1, 2]]), "hard", "query q0: -1 at rank 1, before image 2: it only ends a list"),
        (np.array([[1, 1]]), "hard", "ranked twice"),
        (torch.zeros(1, 8, dtype=torch.bool), "hard", "bool"),
        (np.array([[0.0, 1.0, 2.0]]), "hard", "may be ranks"),
        (np.arange(8)[None] + 1, "hard", "run from 1 to 8; if they count from 1, subtract 1"),
        (np.array([[2, -1, 3, -1]]), "hard", "-1 at rank 2, before image 3"),
        (np.array([[2, 3, 99]]), "hard", "are the distractors missing, or are these scores"),
        (np.where(np.arange(8) == 3, np.inf, 0.5)[None], "hard", "a score is infinite"),
        (np.full((1, 8), -np.inf), "hard", "a score is infinite"),
        (np.ma.masked_less(np.linspace(1, 0, 8)[None], 0.5), "hard", "has masked values"),
        ([[1, 2], [3]], "hard", "rows of one length"),
        (np.array([["1"]]), "hard", "an array of <U1"),
        (None, "hard", "got NoneType"),
        (torch.eye(1, 8).to_sparse(), "hard", "must be a dense tensor"),
        (torch.eye(1, 8), None, "unknown difficulty None"),
    ],
)
def test_bad_rankings_are_errors(ranking: Any, difficulty: str, message: str) -> None:
    with pytest.raises(HgldError, match=message):
        revisited(ranking, truth_of(([1], [2], [])), difficulty)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("rank", "unknown kind 'rank'; did you mean 'ranks'"), ("ranks", "must be whole numbers, the indices of images")],
)
def test_a_kind_that_does_not_fit_is_an_error(kind: str, message: str) -> None:
    with pytest.raises(HgldError, match=message):
        revisited(torch.linspace(1, 0, 8)[None], truth_of(([1], [2], [])), kind=kind)


def test_other_arguments_are_errors() -> None:
    scores, truth = torch.linspace(1, 0, 8)[None], truth_of(([1], [2], []))
    for distractors in (-3, 2.5, True, "3"):
        with pytest.raises(HgldError, match="distractors must be a whole number from 0 up"):
            revisited(scores, truth, distractors=distractors)  # type: ignore[arg-type]
    with pytest.raises(HgldError, match="truth must come from read_ground_truth; got str"):
        revisited(scores, "gnd.pkl")  # type: ignore[arg-type]


def test_the_number_of_distractors_costs_nothing() -> None:
    frame = revisited(np.array([[2, 1, 10**11]]), truth_of(([1], [], [])), distractors=10**12)
    assert frame["AP"][0] == pytest.approx((0 + 1 / 2) / 2)


def content(**change: Any) -> dict[str, Any]:
    entry = {"bbx": [0, 0, 5, 5.5], "easy": np.array([0]), "hard": [1], "junk": []} | change
    return {"gnd": [entry], "imlist": ["a", "b"], "qimlist": ["q"]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"gnd": []}, "KeyError: 'imlist'"),
        ([], "not a Revisited ground truth"),
        (content() | {"qimlist": []}, "ValueError"),
        (content(easy=[2]), "query q lists image 2; imlist has only 2"),
        (content(easy=[1]), "lists an image twice"),
        (content(easy=None), "expected a list"),
        (content(bbx=[5, 0, 5, 5]), "box of query q is empty"),
        (content(bbx=[0, 0, 5]), "ValueError"),
        (content(bbx=[0, 0, math.nan, 5]), "box of query q is empty"),
    ],
)
def test_a_malformed_ground_truth_is_an_error(tmp_path: Path, value: Any, message: str) -> None:
    path = tmp_path / "gnd.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(HgldError, match=message):
        read_ground_truth(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_ground_truth_of_arrays_is_read(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "gnd.pkl"
    arrays = content(bbx=np.array([0, 0, 5, 5.5]), junk=np.zeros(0, dtype=np.int64))
    path.write_bytes(pickle.dumps(arrays | {"imlist": np.array(["a", "b"])}, protocol))
    truth = read_ground_truth(path)
    assert truth.queries == (Query("q", (0.0, 0.0, 5.0, 5.5), (0,), (1,), ()),)
    assert truth.images == ("a", "b")
