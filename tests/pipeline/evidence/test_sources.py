"""The table of evidence kinds: one row and one module are all that a new kind needs."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_parquet
from hgld.hierarchy.curation.verdict import Verdict
from hgld.hierarchy.curation.verdicts import append_verdict
from hgld.hierarchy.fusion import evidence_kinds
from hgld.hierarchy.fusion.evidence_kinds import EvidenceKind
from hgld.pipeline.commands.show import show
from hgld.pipeline.evidence.sources import Context, Evidence
from hgld.pipeline.stages import embed, images, queue, refine, release

KIND = EvidenceKind("map", "map service", 5, "map", "map_evidence", "map of {images}")
CATEGORY = 'Nowhere, "Purple"'


def _collect(context: Context) -> Evidence:
    """Knows one category, which is a lake."""
    probabilities = np.full((len(context.categories), len(context.labels)), 1 / len(context.labels))
    lake = np.array(context.labels) == "lake"
    probabilities[context.categories.index(CATEGORY)] = np.where(lake, 0.98, 0.02 / (len(lake) - 1))
    return Evidence(probabilities)


@pytest.fixture
def mapped(world, monkeypatch: pytest.MonkeyPatch):
    """A world without images, and a fourth kind of evidence: its row, and its module."""
    monkeypatch.setattr(evidence_kinds, "KINDS", (*evidence_kinds.KINDS, KIND))
    monkeypatch.setitem(sys.modules, KIND.module, SimpleNamespace(collect=_collect))  # type: ignore[arg-type]
    images.run(world.with_settings("images", source=".", train=0, index=0, test=0))
    embed.run(world.params)
    return world


def test_a_new_kind_reaches_the_release_through_its_row_alone(mapped) -> None:
    refine.run(mapped.params)
    proposal = read_parquet(mapped.data / "refine" / "proposals.parquet").set_index("category").loc[CATEGORY]
    assert (proposal["hierarchical_label"], proposal["source"]) == ("lake", "map")
    assert "map of 0 images: lake 0.98" in proposal["evidence"]
    assert "map" in json.loads((mapped.data / "refine" / "metrics.json").read_text())["ablation"]
    queue.run(mapped.params)
    assert ",map," in (mapped.data / "queue" / "queue.csv").read_text()
    release.run(mapped.params)
    labels = read_parquet(mapped.data / "release" / "labels.parquet").set_index("category")
    assert (labels.loc[CATEGORY, "hierarchical_label"], labels.loc[CATEGORY, "source"]) == ("lake", "map")
    sources = json.loads((mapped.data / "release" / "card.json").read_text())["sources"]
    assert sources["map"]["categories"] == 1
    assert "released    lake > natural  (source: map service)" in show(CATEGORY, mapped.params)
    append_verdict(Path("review"), Verdict(CATEGORY, "", "lake", "map", "0.9000", "ana", "2026-01-03"))
    release.run(mapped.params)
    assert "verdict of ana" in show(CATEGORY, mapped.params)


def test_a_new_kind_is_a_method_of_its_own(mapped) -> None:
    refine.run(mapped.with_settings("refine", method="map"))
    proposals = read_parquet(mapped.data / "refine" / "proposals.parquet")
    assert proposals["category"].to_list() == [CATEGORY]


def test_an_unknown_method_is_an_error_with_a_suggestion(world) -> None:
    with pytest.raises(HgldError, match=r"sample\.refine\.method: unknown method 'imge' .*mean 'image'\?"):
        refine.run(world.with_settings("refine", method="imge"))


def test_sources_and_ranks_of_trust_are_unique() -> None:
    kinds = evidence_kinds.KINDS
    assert len({kind.source for kind in kinds}) == len({kind.trust for kind in kinds}) == len(kinds)
    assert evidence_kinds.trust_order() == ["review", "wikidata", "class-review", "class", "name", "clip"]
