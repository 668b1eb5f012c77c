"""Scoring: one ranking gives what several would, embeddings are matched by id, only existing baselines are shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from hgld.benchmarks.datasets.labelled_images import RetrievalDataset
from hgld.benchmarks.evaluation.embedding import Embedder
from hgld.benchmarks.evaluation.scoring import SHUFFLES, means, means_by_continent, score
from hgld.benchmarks.metrics import evaluate, per_query
from hgld.benchmarks.metrics.per_query import evaluate_shuffled
from hgld.benchmarks.models.scored_model import Precomputed
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Benchmark
from tests.benchmarks.datasets.coloured_images import ColouredImages, coloured_dataset
from tests.benchmarks.evaluation.test_embedding import model

SETTINGS = Benchmark(metrics=["H-AP", "AP_l1", "R@1_l0"], gallery_queries=2, batch=8, threads=1, seed=3, max_broken=0.1)
NAMES = ["H-AP", "NDCG", "ASI", "AP_l0", "AP_l1", "mAP@100_l0", "R@1_l0", "AP#1", "ties"]


def rounded(n: int, width: int, generator: torch.Generator) -> Tensor:
    """Unit vectors of few values, so that scores tie."""
    return torch.nn.functional.normalize(torch.randint(-2, 3, (n, width), generator=generator).float() + 0.1, dim=1)


@pytest.mark.parametrize(("queries", "items", "threads"), [(23, 60, 1), (23, 60, 2), (5, 40_000, 1)])
def test_shuffles_and_nearest_of_one_ranking_are_those_of_rankings_of_their_own(
    queries: int, items: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For lists sorted together, row by row, and in threads."""
    if threads > 1:
        monkeypatch.setattr(per_query, "PART", 128)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        compare_with_separate_rankings(queries, items)
    finally:
        torch.set_num_threads(before)


def compare_with_separate_rankings(queries: int, items: int) -> None:
    generator = torch.Generator().manual_seed(items)
    query, gallery = rounded(queries, 4, generator), rounded(items, 4, generator)
    fine = torch.randint(0, 9, (queries + items,), generator=generator)
    labels = torch.stack([fine, fine // 3], dim=1)
    of_query, of_gallery = labels[:queries], labels[queries:]
    # the first queries are in the gallery too
    ids, gallery_ids = [f"i{n}" for n in range(queries)], [f"i{n if n < 2 else n + queries}" for n in range(items)]
    shuffles = [torch.randperm(items, generator=generator) for _ in range(3)]
    found = evaluate_shuffled(
        (query, of_query, ids), (gallery, of_gallery, gallery_ids), shuffles, metrics=NAMES, nearest=10
    )
    for table, order in zip([found.scores, *found.shuffled], [torch.arange(items), *shuffles], strict=True):
        expected = evaluate(
            query, of_query, gallery, of_gallery[order], query_ids=ids, gallery_ids=gallery_ids, metrics=NAMES
        )
        pd.testing.assert_frame_equal(table, expected[list(table)], check_exact=True)
    assert "ties" in found.scores and "ties" not in found.shuffled[0]
    scores = (query @ gallery.T).double()
    scores[[0, 1], [0, 1]] = -torch.inf
    # equal rows have equal scores, whatever a matrix product says
    _, kind = torch.unique(gallery, dim=0, return_inverse=True)
    first = torch.full((int(kind.max()) + 1,), items).scatter_reduce(0, kind, torch.arange(items), "amin")
    same = scores[:, first[kind]]
    same[[0, 1], [0, 1]] = -torch.inf
    assert torch.equal(found.nearest, same.sort(dim=1, descending=True, stable=True).indices[:, :10])


def test_nearest_never_lists_the_query_even_in_a_tiny_gallery() -> None:
    labels, vectors = torch.tensor([[0], [0], [1]]), torch.eye(3) + 0.1
    side = (vectors, labels, ["a", "b", "c"])
    found = evaluate_shuffled(side, side, [], metrics=["H-AP"], nearest=10)
    assert found.nearest.tolist() == [[1, 2], [0, 2], [0, 1]]


def embeddings_of(dataset: RetrievalDataset, *roles: str) -> Precomputed:
    """Embeddings of the images of some roles, by default queries and gallery: their mean colour."""
    ids, vectors = [], []
    for role in roles or ("query", "gallery"):
        images = getattr(dataset, role)
        ids += list(images.ids)
        vectors += [torch.tensor(images.image(n).resize((1, 1)).getpixel((0, 0))) for n in range(len(images))]
    centred = torch.stack(vectors).float() - 110
    unit = torch.nn.functional.normalize(centred, dim=1)
    return Precomputed(name="colours.npz", identity="c", ids=tuple(ids), vectors=unit, config={})


HOW = Embedder(batch=8, device="cpu", threads=1)


def test_chance_is_the_mean_over_shuffles_and_only_baselines_that_exist_are_there() -> None:
    dataset = coloured_dataset()
    embeddings = embeddings_of(dataset)
    result, _ = score(embeddings, dataset, SETTINGS, HOW)
    assert list(result.scores.index) == ["model", "chance"]
    assert not [name for name in result.metrics() if name.startswith("untrained_")]
    split = len(dataset.query)
    generator = torch.Generator().manual_seed(SETTINGS.seed)
    tables = []
    for _ in range(SHUFFLES):
        order = torch.randperm(len(dataset.gallery), generator=generator)
        table = evaluate(
            *(embeddings.vectors[:split], dataset.query.labels),
            *(embeddings.vectors[split:], dataset.gallery.labels[order]),
            metrics=["H-AP", "AP_l1", "R@1_l0", "mAP@100_l0", "ties"],
        )
        tables.append(means(table, dataset))
    expected = pd.concat(tables, axis=1).mean(axis=1)
    pd.testing.assert_series_equal(result.scores.loc["chance"], expected, check_exact=True, check_names=False)
    assert result.scores.loc["model", "R@1_l0"] > 0.9


def test_embeddings_are_found_by_id_whatever_their_order_and_train_images_may_be_there() -> None:
    dataset = coloured_dataset()
    plain = embeddings_of(dataset)
    everything = embeddings_of(dataset, "gallery", "train", "query")
    order = torch.randperm(len(everything.ids), generator=torch.Generator().manual_seed(0)).tolist()
    mixed = replace(everything, ids=tuple(everything.ids[row] for row in order), vectors=everything.vectors[order])
    results = [score(one, dataset, SETTINGS, HOW)[0] for one in (plain, mixed)]
    pd.testing.assert_frame_equal(results[0].per_query, results[1].per_query, check_exact=True)


def test_missing_and_surplus_ids_are_an_error_with_counts_and_examples() -> None:
    dataset = coloured_dataset()
    plain = embeddings_of(dataset)
    changed = replace(plain, ids=("query000.jpg", "new", *plain.ids[2:]))
    with pytest.raises(HgldError) as caught:
        score(changed, dataset, SETTINGS, HOW)
    for text in (
        "2 of the 12 query images are missing ('query000', 'query001')",
        "2 of its 32 ids are not in the data",
    ):
        assert text in str(caught.value)


def test_whitening_of_embeddings_needs_and_uses_the_train_images() -> None:
    dataset = coloured_dataset()
    with pytest.raises(HgldError, match="48 of the 48 train images are missing"):
        score(embeddings_of(dataset), dataset, SETTINGS, HOW, whiten=2)
    result, _ = score(embeddings_of(dataset, "query", "gallery", "train"), dataset, SETTINGS, HOW, whiten=2)
    assert result.scores.loc["model", "H-AP"] > result.scores.loc["chance", "H-AP"] + 0.3


@pytest.mark.parametrize("role", ["query", "gallery", "train"])
def test_data_without_a_role_that_is_needed_are_one_line(role: str) -> None:
    dataset = replace(coloured_dataset(), **{role: ColouredImages(role, 0)}, name="shop.csv")
    with pytest.raises(HgldError, match=f"shop.csv: no {role} images"):
        score(embeddings_of(coloured_dataset()), dataset, SETTINGS, HOW, whiten=2)


def test_images_that_are_queries_and_gallery_are_embedded_once(tmp_path: Path) -> None:
    images = ColouredImages("query", 3)
    dataset = replace(coloured_dataset(), query=images, gallery=images)
    network = replace(model(), preprocess=first_pixels)
    result, _ = score(network, dataset, SETTINGS, HOW)
    assert network.network.seen == len(images)  # type: ignore[union-attr]
    assert all(row not in near for row, near in enumerate(result.nearest.tolist()))


def first_pixels(image: object) -> Tensor:
    from torchvision.transforms.functional import pil_to_tensor

    tensor: Tensor = pil_to_tensor(image.crop((0, 0, 16, 16)))  # type: ignore[attr-defined]
    return tensor


def test_query_on_two_continents_counts_on_both_and_undefined_ones_do_not_count() -> None:
    table = pd.DataFrame({"H-AP": [0.2, 0.4, float("nan"), 1.0], "ties": [0, 1, 0, 0]}, index=[5, 6, 7, 8])
    found = means_by_continent(table, ["Asia|Europe", "Asia", "Europe", ""])
    assert list(found.index) == ["all", "Asia", "Europe", "no continent"] and list(found) == ["queries", "H-AP"]
    assert found["queries"].tolist() == [4, 2, 2, 1]
    assert found["H-AP"].tolist() == pytest.approx([1.6 / 3, 0.3, 0.2, 1.0])
    assert means_by_continent(table, ()).empty
    assert "no continent" not in means_by_continent(table, ["Asia"] * 4).index
