"""Training data of the tiny CLIP: drawings of imaginary landmarks and their captions."""

from random import Random

import numpy as np
import numpy.typing as npt

from hgld.pipeline.sample.draw import SHAPES, Landmark, draw
from hgld.pipeline.sample.parallel import in_parallel

LABELS = tuple(SHAPES)

TEMPLATES = (
    "{}",
    "a {}",
    "the {}",
    "a photo of a {}.",
    "a photo of the {}.",
    "a photo of a {}, a landmark.",
    "a photo of {}",
    "a picture of a {}",
    "a drawing of a {}.",
    "a drawing of the {}",
    "a view of the {}.",
    "a view of a {}",
    "this is a {}",
    "an image of a {}.",
    "a {} seen from afar",
    "a {} in the rain",
    "a landmark: {}",
)


def wordings(label: str) -> tuple[str, ...]:
    """The names of a label in captions: its own, and each part of a name with a slash.

    >>> wordings("castle / fort")
    ('castle / fort', 'castle', 'fort', 'castle or fort')
    >>> wordings("ocean area ")
    ('ocean area',)
    """
    parts = [part.strip() for part in label.split("/")]
    return (label.strip(),) if len(parts) == 1 else (label.strip(), *parts, " or ".join(parts))


def caption(label: str, r: Random) -> str:
    """One caption for a drawing of `label`."""
    return r.choice(TEMPLATES).format(r.choice(wordings(label)))


def drawings(per_label: int, side: int, series: str = "imaginary") -> npt.NDArray[np.uint8]:
    """Drawings of imaginary landmarks, (per_label, labels, side, side, 3) uint8; none is a landmark of the sample.

    Each picture shows a different landmark, so that the model learns classes and not individual landmarks.
    series: prefix of the landmarks' names; a different series gives a different set of landmarks.
    """
    jobs = [(series, label, number, side) for number in range(per_label) for label in LABELS]
    pictures = in_parallel(_drawing, jobs)
    return np.stack(pictures).reshape(per_label, len(LABELS), side, side, 3)


def _drawing(job: tuple[str, str, int, int]) -> npt.NDArray[np.uint8]:
    series, label, number, side = job
    return np.asarray(draw(Landmark(f"{series} {label} {number}", label), number, side))
