"""The measures that a published dataset defines by rules of its own, beside those that go by the labels."""

from __future__ import annotations

from dataclasses import replace

from hgld.benchmarks.datasets.labelled_images import RetrievalDataset
from hgld.benchmarks.evaluation.embedding import Embedder
from hgld.benchmarks.evaluation.result import BenchmarkResult
from hgld.benchmarks.models.scored_model import Precomputed, ScoredModel
from hgld.benchmarks.models.sources.embeddings import match_ids


def with_official(
    result: BenchmarkResult, model: ScoredModel | Precomputed, dataset: RetrievalDataset, how: Embedder
) -> BenchmarkResult:
    """The result with the official measures of the dataset in the row of the model; the baselines have none.

    dataset: one whose images can all be read. The embeddings of a network come from the cache, as it is scored already.
    """
    if dataset.official is None:
        return result
    if isinstance(model, Precomputed):
        vectors = match_ids(model, {"query": dataset.query.ids, "gallery": dataset.gallery.ids}, dataset.train.ids)
        query, gallery = vectors["query"], vectors["gallery"]
    else:
        query = how.embed([model], dataset.query, "queries").vectors
        gallery = how.embed([model], dataset.gallery, "gallery").vectors
    scores = result.scores.copy()
    for name, value in dataset.official(query, gallery).items():
        scores.loc["model", name] = value
    return replace(result, scores=scores)
