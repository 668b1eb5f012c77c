"""Evidence `image`: CLIP zero-shot classification of the category's images."""

from collections.abc import Sequence

from hgld.hierarchy.fusion.calibration import Floats
from hgld.hierarchy.fusion.proposals import mean_probabilities
from hgld.pipeline.embedding.embedded_images import EmbeddedImages, aligned
from hgld.pipeline.evidence.sources import Context, Evidence


def collect(context: Context) -> Evidence:
    """The mean over a category's images of softmax(cosine / temperature)."""
    settings = context.params.refine
    return Evidence(zero_shot(context.images, context.categories, settings.temperature))


def zero_shot(images: EmbeddedImages, categories: Sequence[str], temperature: float) -> Floats:
    """(C, L) as `collect`, for any set of images."""
    names, probabilities, _ = mean_probabilities(images.vectors, images.categories, images.label_vectors, temperature)
    return aligned(probabilities, names, categories)
