"""The help on each label: a sentence, synonyms, its classes, and examples."""

from pathlib import Path
from threading import Lock
from typing import Any

from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet
from hgld.hierarchy.curation.label_definitions import load_label_definitions
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.dataset.schemas import read_stage_table

EXAMPLES = 3


class LabelHelp:
    """The labels of the taxonomy, explained. Definitions are read at once, examples at the first question."""

    def __init__(self, params: Params) -> None:
        taxonomy = load_taxonomy(Path(params.build.taxonomy))
        self.natures = taxonomy.natures
        self._definitions = load_label_definitions(Path(params.build.taxonomy), self.natures)
        self._anchors: dict[str, list[str]] = {label: [] for label in self.natures}
        for anchor in taxonomy.anchors.values():
            self._anchors[anchor.hierarchical_label].append(anchor.name)
        self._data = params.data
        self._lock = Lock()
        self._examples: dict[str, list[str]] | None = None

    def all(self) -> list[dict[str, Any]]:
        """One entry per label, sorted by name."""
        with self._lock:
            if self._examples is None:
                self._examples = self._find_examples()
        entries = []
        for label, nature in self.natures.items():
            known = self._definitions.get(label)
            entries.append(
                {
                    "label": label,
                    "nature": nature,
                    "definition": known.definition if known else "",
                    "synonyms": list(known.synonyms) if known else [],
                    "classes": self._anchors[label],
                    "examples": self._examples.get(label, []),
                }
            )
        return entries

    def _find_examples(self) -> dict[str, list[str]]:
        """Of each label the landmarks that Wikidata labels and that have the most articles."""
        labels = read_stage_table(self._data / "build" / "labels.parquet")
        labels = labels[labels["hierarchical_label"] != ""]
        facts = read_parquet(self._data / "wikidata" / "item_facts.parquet", ["qid", "sitelinks"])
        known = labels["qid"].map(facts.set_index("qid")["sitelinks"]).fillna(0)
        labels = labels.assign(known=known).sort_values(["known", "category"], ascending=[False, True])
        best = labels.groupby("hierarchical_label")["category"].agg(lambda names: list(names[:EXAMPLES]))
        return {str(label): list(names) for label, names in best.items()}
