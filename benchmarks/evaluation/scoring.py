"""Scores of one model on one dataset, beside those of the same network untrained, and of chance."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from hgld.benchmarks.datasets.labelled_images import LabelledImages, RetrievalDataset
from hgld.benchmarks.datasets.readable import without_broken
from hgld.benchmarks.evaluation.embedding import Embedder
from hgld.benchmarks.evaluation.embedding_map import EmbeddingMap
from hgld.benchmarks.evaluation.result import BenchmarkResult
from hgld.benchmarks.evaluation.whitening import Whitening
from hgld.benchmarks.metrics import definitions, evaluate
from hgld.benchmarks.metrics.macro import class_column, is_macro, level_of, macro_mean, per_query_metric
from hgld.benchmarks.metrics.per_query import Shuffled, evaluate_shuffled
from hgld.benchmarks.models.scored_model import Precomputed, ScoredModel
from hgld.benchmarks.models.sources.embeddings import match_ids
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Benchmark

SHUFFLES = 5
NEAREST = 10  # gallery images per query in the report
MISTAKES = {"rank": definitions.first_mistake, "agreement": definitions.first_mistake_agreement}
# What a label rests on, as the report groups it; other sources are automatic evidence.
_CHECKED, _UNLABELLED = "Wikidata or a person", "no label"
_SOURCES = {**dict.fromkeys(("wikidata", "review", "class-review"), _CHECKED), "": _UNLABELLED}
_AUTOMATIC = "names or images"
REPORT_METRICS = ("H-AP", "mAP@100_l0", "ties")  # computed always, as the report uses them


class Embeddings(NamedTuple):
    """Query (Q, d) and gallery (N, d) embeddings of one network, L2-normalised float32."""

    query: Tensor
    gallery: Tensor


class OtherRankError(HgldError):
    """This process of torchrun has embedded its images; rank 0 goes on alone."""


def score(
    model: ScoredModel | Precomputed,
    dataset: RetrievalDataset,
    settings: Benchmark,
    how: Embedder,
    whiten: int | None = None,
) -> tuple[BenchmarkResult, RetrievalDataset]:
    """Scores of a model, and the dataset without the images that cannot be read.

    whiten: to how many numbers the embeddings are whitened, by PCA on the train images. Raises HgldError for data
    without the roles that this takes, ids that do not match, and too many unreadable images; OtherRankError.
    """
    dataset.require("query", "gallery", *(["train"] if whiten is not None else []))
    whole = dataset
    if isinstance(model, Precomputed):
        embeddings, untrained = _precomputed(model, dataset, whiten), None
    else:
        untrained = _untrained(model)
        models = [model] if untrained is None else [model, untrained]
        embeddings, broken = _embed(models, dataset, how, whiten)
        dataset = without_broken(dataset, *broken, limit=settings.max_broken)
    names = list(dict.fromkeys([*map(per_query_metric, settings.metrics), *REPORT_METRICS]))
    macro = [name for name in dict.fromkeys(settings.metrics) if is_macro(name)]
    labels = dataset.gallery.labels
    generator = torch.Generator().manual_seed(settings.seed)
    shuffles = [torch.randperm(len(labels), generator=generator) for _ in range(SHUFFLES)]
    query = (embeddings.query, dataset.query.labels, dataset.query.ids)
    gallery = (embeddings.gallery, labels, dataset.gallery.ids)
    ranked = evaluate_shuffled(query, gallery, shuffles, metrics=names, also=MISTAKES, nearest=NEAREST)
    drawn = EmbeddingMap.of(embeddings.gallery)
    scores = {"model": means(ranked.scores, dataset, macro)}
    if untrained is not None:
        del embeddings, query, gallery  # those of GLDv2 take gigabytes
        embeddings, _ = _embed([untrained], whole, how, whiten)
        scores["untrained"] = means(_evaluate(embeddings, dataset, names), dataset, macro)
    scores["chance"] = pd.concat([means(table, dataset, macro) for table in ranked.shuffled], axis=1).mean(axis=1)
    return _result(ranked, scores, dataset, macro, drawn), dataset


def _untrained(model: ScoredModel) -> ScoredModel | None:
    """The same network as initialised; None where there is none."""
    if model.untrained is None:
        return None
    identity = hashlib.sha256(f"{model.identity} untrained".encode()).hexdigest()
    network = model.untrained()
    return replace(model, name=f"{model.name} untrained", identity=identity, network=network, untrained=None)


def _embed(
    models: Sequence[ScoredModel], dataset: RetrievalDataset, how: Embedder, whiten: int | None
) -> tuple[Embeddings, tuple[dict[int, str], dict[int, str]]]:
    """Embeddings of the first model, and the unreadable queries and gallery images (reason by row)."""

    def embed(images: LabelledImages, what: str) -> tuple[Tensor, dict[int, str]]:
        return how.embed(models, images, what)

    train = embed(dataset.train, "train")[0] if whiten is not None else None
    query, broken_queries = embed(dataset.query, "queries")
    same = dataset.gallery is dataset.query
    gallery, broken_gallery = (query, broken_queries) if same else embed(dataset.gallery, "gallery")
    if how.rank.number:
        raise OtherRankError(f"rank {how.rank.number} of {how.rank.world}: its embeddings are in {how.cache}")
    return _whitened(Embeddings(query, gallery), train, whiten), (broken_queries, broken_gallery)


def _whitened(embeddings: Embeddings, train: Tensor | None, dim: int | None) -> Embeddings:
    if train is None or dim is None:
        return embeddings
    whitening = Whitening.learn(train, dim)
    query = whitening(embeddings.query)
    same = embeddings.gallery is embeddings.query
    return Embeddings(query, query if same else whitening(embeddings.gallery))


def _precomputed(model: Precomputed, dataset: RetrievalDataset, whiten: int | None) -> Embeddings:
    """The rows of the file that belong to queries and gallery."""
    roles = ("query", "gallery") if whiten is None else ("query", "gallery", "train")
    ids = {role: getattr(dataset, role).ids for role in roles}
    vectors = match_ids(model, ids, known=set(dataset.train.ids))
    return _whitened(Embeddings(vectors["query"], vectors["gallery"]), vectors.get("train"), whiten)


def _evaluate(embeddings: Embeddings, dataset: RetrievalDataset, names: list[str]) -> pd.DataFrame:
    return evaluate(
        *(embeddings.query, dataset.query.labels, embeddings.gallery, dataset.gallery.labels),
        query_ids=dataset.query.ids,
        gallery_ids=dataset.gallery.ids,
        metrics=names,
    )


def _result(
    ranked: Shuffled,
    scores: dict[str, pd.Series],
    dataset: RetrievalDataset,
    macro: Sequence[str],
    drawn: EmbeddingMap,
) -> BenchmarkResult:
    broken = {"broken_queries": dataset.broken_queries, "broken_gallery": dataset.broken_gallery}
    # The classes tell `hgld leaderboard` whether two results have the same levels. The release has its own columns.
    levels = [f"AP_l{level}" for level in range(len(dataset.levels))] if dataset.query_columns.empty else []
    classes = pd.DataFrame({class_column(name): query_classes(name, dataset) for name in [*levels, *macro]})
    columns = [pd.DataFrame({"image_id": list(dataset.query.ids)}), dataset.query_columns, classes, ranked.scores]
    return BenchmarkResult(
        scores=pd.DataFrame(list(scores.values()), index=list(scores)),
        per_query=pd.concat(columns, axis=1).sort_values("image_id", ignore_index=True),
        h_ap=ranked.scores["H-AP"].tolist(),
        nearest=ranked.nearest,
        mistakes=ranked.also.assign(defined=ranked.scores["mAP@100_l0"].notna()),
        drawn=drawn,
        by_source=means_by_source(ranked.scores, dataset.label_sources),
        by_continent=means_by_continent(ranked.scores, dataset.continents),
        counts={
            "queries": len(ranked.scores),
            "gallery": len(dataset.gallery),
            "left_out": dataset.left_out,
            "undefined": int(ranked.scores["mAP@100_l0"].isna().sum()),
            "tied": int(ranked.scores["ties"].sum()),
            "lists_differ": dataset.lists_differ,
            **{name: count for name, count in broken.items() if count},
        },
    )


def means(per_query: pd.DataFrame, dataset: RetrievalDataset, macro: Sequence[str] = ()) -> pd.Series:
    """Means over the defined queries, those over classes, and mAP@100_l0 (GLDv2's) on each subset of the queries."""
    result = per_query.drop(columns="ties", errors="ignore").mean()
    for name in macro:
        result[name] = macro_mean(per_query[per_query_metric(name)], query_classes(name, dataset))
    for name, members in dataset.subsets.items():
        result[f"mAP@100_l0 {name}"] = per_query.loc[list(members), "mAP@100_l0"].mean()
    return result


def means_by_source(per_query: pd.DataFrame, sources: Sequence[str]) -> pd.DataFrame:
    """Means over the queries whose labels rest on the same kind of source, and how many `queries` these are.

    per_query: metrics (Q rows); sources: per query, "wikidata", "review", "class-review", another name for automatic
        evidence, or "".
    """
    if not sources:
        return pd.DataFrame()
    kinds = pd.Series([_SOURCES.get(source, _AUTOMATIC) for source in sources], index=per_query.index)
    found = [kind for kind in (_CHECKED, _AUTOMATIC, _UNLABELLED) if (kinds == kind).any()]
    return _means_of(per_query, {kind: kinds == kind for kind in found})


def means_by_continent(per_query: pd.DataFrame, continents: Sequence[str]) -> pd.DataFrame:
    """Means over the queries on each continent, by name, those of no known one last; and how many `queries` these are.

    per_query: metrics (Q rows); continents: per query, its continents separated by `|`; a query with several counts on
    each of them.
    """
    if not continents:
        return pd.DataFrame()
    where = pd.Series(continents, index=per_query.index, dtype="str")
    names = sorted({name for text in where.unique() for name in text.split("|")} - {""})
    groups = {name: where.map(lambda text, name=name: name in text.split("|")).astype(bool) for name in names}
    return _means_of(per_query, groups | ({"no continent": where == ""} if (where == "").any() else {}))


def _means_of(per_query: pd.DataFrame, groups: Mapping[str, pd.Series[bool]]) -> pd.DataFrame:
    """A row of means and the number of `queries` for all queries, and for each group of them."""
    metrics = per_query.drop(columns="ties", errors="ignore")
    tables = {"all": metrics, **{name: metrics[members] for name, members in groups.items()}}
    return pd.DataFrame({name: {"queries": len(table), **table.mean()} for name, table in tables.items()}).T


def query_classes(metric: str, dataset: RetrievalDataset) -> pd.Series:
    """The class of each query, by number, over which a macro metric is averaged."""
    return pd.Series(dataset.query.labels[:, level_of(metric) or 0].tolist(), dtype="int64")
