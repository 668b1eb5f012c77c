"""The metrics: `evaluate(embeddings, labels)` gives one row per query. Scoring a checkpoint is in `evaluation`."""

from hgld.benchmarks.metrics.per_query import METRICS, evaluate, parse

__all__ = ["METRICS", "evaluate", "parse"]
