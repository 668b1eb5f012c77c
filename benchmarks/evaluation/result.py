"""The result of a benchmark: scores of the model and its baselines, as a table and as metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
from rich.table import Table
from torch import Tensor

from hgld.benchmarks.evaluation.embedding_map import EmbeddingMap
from hgld.foundation.display.text_table import plain


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """Scores of a model.

    scores: rows model, untrained, chance; one column per metric, NaN where a baseline has none. per_query: one row per
    query, by image id, with the dataset's query columns and the model's metrics. In the order of the dataset's queries,
    h_ap (Q,) is the model's H-AP, nearest (Q, 10) the gallery rows with the highest scores, best first, and mistakes
    what is known about the first wrong image: `defined` (whether the gallery has an image of the query's finest class),
    its `rank` from 0 and its `agreement` with the query, NaN where no image is wrong. drawn: the map of the embeddings.
    by_source, by_continent: the means of the model by what the queries' labels rest on, and by where they are (rows,
    with a column `queries`), empty where that is unknown.
    counts: see `note`. provenance: what was scored on what, for the report; without times and folders, so that equal
    inputs give equal reports.
    """

    scores: pd.DataFrame
    per_query: pd.DataFrame
    h_ap: list[float]
    nearest: Tensor
    counts: dict[str, int]
    mistakes: pd.DataFrame
    drawn: EmbeddingMap
    by_source: pd.DataFrame = field(default_factory=pd.DataFrame)
    by_continent: pd.DataFrame = field(default_factory=pd.DataFrame)
    provenance: Mapping[str, str] = field(default_factory=dict)

    def metrics(self) -> dict[str, float | int]:
        """The contents of metrics.json: the model's scores by name, the baselines' with a prefix, the counts."""
        flat: dict[str, float | int] = {}
        for row, values in self.scores.iterrows():
            prefix = "" if row == "model" else f"{row}_"
            for name, value in values.dropna().items():
                flat[prefix + str(name).replace(" ", "_")] = round(float(value), 6)
        return {**flat, **self.counts}

    def table(self) -> Table:
        """One row per metric, one column per model."""
        table = Table(caption=self.note(), caption_justify="left")
        table.add_column("metric")
        for row in self.scores.index:
            table.add_column(str(row), justify="right", style="bold" if row == "model" else "dim")
        for name in self.scores.columns:
            table.add_row(name, *(f"{value:.3f}" if value == value else "–" for value in self.scores[name]))
        return table

    def text(self) -> str:
        """The table as plain text."""
        return plain(self.table()) + "\n"

    def note(self) -> str:
        """The counts in a sentence."""
        c = self.counts
        queries, gallery = c.get("broken_queries", 0), c.get("broken_gallery", 0)
        broken = f" {queries} queries and {gallery} index images cannot be read and are left out."
        return (
            f"{c['queries']} queries against {c['gallery']} index images; {c['left_out']} test images left out "
            f"(Ignored or nothing relevant), {c['undefined']} queries undefined at the finest level, "
            f"{c['tied']} with a tie at a level boundary." + broken * (queries + gallery > 0)
        )
