"""The kinds of evidence for a label: one row each, in the order in which they are displayed.

To add a kind, write its module in pipeline/evidence/ and add its row here: the stages, the verdict files, the settings,
the data card and `hgld show` take names, order and texts from this table.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class EvidenceKind:
    """How one kind of evidence is named, how far it is trusted, and what computes it.

    source: its value in the columns `source` and `suggested_by`; title: its display name; trust: rank, 0 first.

    Only the kinds that the stage `refine` fuses into proposals have the rest. method: its name in params.yaml
    (`refine.method`) and metrics.json; module: where `collect(context)` computes it; grounds: how it is cited in the
    column `evidence`, with {model} and {images}.
    """

    source: str
    title: str
    trust: int
    method: str = ""
    module: str = ""
    grounds: str = ""


# A verdict on a class, as evidence for its landmarks.
BY_CLASS = "class-review"

KINDS = (
    EvidenceKind("wikidata", "Wikidata", 1),
    EvidenceKind("class", "class name", 3, "class", "hgld.pipeline.evidence.wikidata_classes", "class name"),
    EvidenceKind("name", "name", 4, "name", "hgld.pipeline.evidence.landmark_names", "name"),
    EvidenceKind("clip", "CLIP", 5, "image", "hgld.pipeline.evidence.zero_shot", "{model}: {images}"),
    EvidenceKind(BY_CLASS, "annotators, by class", 2),
    EvidenceKind("review", "annotators", 0),
)


def proposing_kinds() -> tuple[EvidenceKind, ...]:
    """The kinds that are fused into proposals, in table order."""
    return tuple(kind for kind in KINDS if kind.module)


def proposal_sources() -> list[str]:
    """The sources of proposals, in table order."""
    return [kind.source for kind in proposing_kinds()]


def trust_order() -> list[str]:
    """All sources, the most trusted first."""
    return [kind.source for kind in sorted(KINDS, key=lambda kind: kind.trust)]


def titles() -> dict[str, str]:
    """Source → display name, in table order; the source of an unlabelled category is empty."""
    return {kind.source: kind.title for kind in KINDS} | {"": "no label"}
