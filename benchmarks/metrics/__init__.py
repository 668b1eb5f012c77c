"""The metrics of embeddings, `evaluate(embeddings, labels)`; but not the scoring of a checkpoint (`evaluation`)."""

from hgld.benchmarks.metrics.per_query import METRICS, evaluate, parse

__all__ = ["METRICS", "evaluate", "parse"]
