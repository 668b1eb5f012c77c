"""The published baselines `clip` and `knn`, which label a category by the majority vote of its images."""

from dataclasses import replace

import numpy as np

from hgld.hierarchy.fusion.calibration import Floats
from hgld.hierarchy.fusion.evidence_kinds import KINDS
from hgld.hierarchy.fusion.voting_baselines import neighbour_votes, prompt_votes, vote_fractions
from hgld.pipeline.embedding.embedded_images import aligned
from hgld.pipeline.evidence.sources import Context

_CLIP = next(kind for kind in KINDS if kind.source == "clip")

# They have the source of zero-shot CLIP, and are never fused.
BASELINES = (
    replace(_CLIP, method="clip", module=""),
    replace(_CLIP, method="knn", module="", grounds="nearest images, {images}"),
)


def vote_probabilities(context: Context, method: str) -> Floats:
    """(C, L) the fraction of a category's images that vote for each label."""
    images = context.images
    if method == "clip":
        votes = prompt_votes(images.vectors, images.label_vectors)
    else:
        columns = {label: column for column, label in enumerate(images.labels)}
        known = {category: columns.get(label, -1) for category, label in context.known.items()}
        label_of_image = np.array([known.get(name, -1) for name in images.categories], dtype=np.int64)
        votes = neighbour_votes(
            images.vectors,
            images.categories,
            label_of_image,
            len(images.labels),
            context.params.refine.neighbours,
        )
    names, fractions, _ = vote_fractions(votes, images.categories, len(images.labels))
    return aligned(fractions, names, context.categories)
