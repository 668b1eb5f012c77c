"""The evidence of all kinds of the table hgld.hierarchy.fusion.evidence_kinds, for the categories that need a label."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import pandas as pd

from hgld.foundation.settings import Params
from hgld.hierarchy.fusion.calibration import Floats
from hgld.hierarchy.fusion.evidence_kinds import proposing_kinds
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.name_classifier import Lexicon
from hgld.hierarchy.names.name_rules import build_name_rules
from hgld.hierarchy.names.name_words import load_name_words
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy, load_taxonomy
from hgld.pipeline.dataset.landmarks import evidence_categories
from hgld.pipeline.dataset.schemas import check_known, read_stage_table
from hgld.pipeline.embedding.embedded_images import EmbeddedImages, read_embedded_images


@dataclass(frozen=True)
class Context:
    """What a kind of evidence may use.

    categories (C,) sorted; build: the stage's table `labels`; known: category → its label from Wikidata; lexicon: the
    curated class names and name words.
    """

    params: Params
    categories: list[str]
    build: pd.DataFrame
    known: "pd.Series[str]"
    images: EmbeddedImages
    taxonomy: Taxonomy
    lexicon: Lexicon

    @property
    def labels(self) -> list[str]:
        """The candidate labels (L,), sorted."""
        return self.images.labels


@dataclass(frozen=True)
class Evidence:
    """probabilities (C, L): rows sum to 1, uniform where the kind has no information.

    tables: further output of the stage, by file name.
    """

    probabilities: Floats
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


class EvidenceModule(Protocol):
    """What a module named in the table of kinds must have."""

    def collect(self, context: Context) -> Evidence:
        """The evidence for `context.categories`."""


def read_context(params: Params) -> Context:
    """Read what the stages `build`, `wikidata` and `embed` wrote, and the curated files.

    Raises HgldError when a file is missing or does not fit the others.
    """
    path = params.data / "build" / "labels.parquet"
    build = read_stage_table(path, ["category", "qid", "hierarchical_label"])
    known = build.loc[build["hierarchical_label"] != ""].set_index("category")["hierarchical_label"]
    embedded = params.data / "embed"
    images = read_embedded_images(embedded)
    check_known(images.categories, build["category"], embedded / "images.parquet", "categories of images are unknown")
    check_known(images.labels, known, embedded / "prompts.parquet", "labels are unknown")
    taxonomy = load_taxonomy(Path(params.build.taxonomy))
    return Context(
        params=params,
        categories=sorted(map(str, evidence_categories(build))),
        build=build,
        known=known,
        images=images,
        taxonomy=taxonomy,
        lexicon=Lexicon(build_name_rules(load_class_names(), taxonomy), load_name_words()),
    )


def collect_evidence(context: Context) -> dict[str, Evidence]:
    """Method → evidence, for every kind that is fused into proposals, in table order."""
    modules = {kind.method: cast(EvidenceModule, import_module(kind.module)) for kind in proposing_kinds()}
    return {method: module.collect(context) for method, module in modules.items()}
