"""The drawings: reproducible bytes, one drawing per label, and an error for an unknown label."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from hgld.foundation.errors import HgldError
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.sample.draw import SHAPES, Landmark, draw
from hgld.pipeline.sample.look import look_of

DIGEST = """
import hashlib
from hgld.pipeline.sample.draw import Landmark, draw
labels = ("church", "bridge", "mountain", "market")
pictures = [draw(Landmark(f"Imaginary {label}", label), view).tobytes() for label in labels for view in range(3)]
print(hashlib.sha256(b"".join(pictures)).hexdigest())
"""


def _digest_with(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(
        [sys.executable, "-c", DIGEST], capture_output=True, text=True, env=environment, check=True
    ).stdout.strip()


def test_drawings_do_not_depend_on_the_hash_seed() -> None:
    assert _digest_with("0") == _digest_with("1") != ""


@pytest.mark.parametrize("label", sorted(SHAPES))
def test_every_label_has_a_reproducible_drawing(label: str) -> None:
    landmark = Landmark(f"Imaginary {label}", label)
    picture = draw(landmark, 3)
    assert (picture.mode, picture.size) == ("RGB", (96, 96))
    assert picture.tobytes() == draw(landmark, 3).tobytes()
    assert np.asarray(picture).std() > 12, "almost no contrast"


def test_every_label_of_the_taxonomy_has_a_drawing() -> None:
    assert set(SHAPES) == set(load_taxonomy().natures), "draw every label in pipeline/sample/draw.py"


def test_each_view_of_each_landmark_is_a_different_picture() -> None:
    pictures = [
        draw(Landmark(name, "castle / fort"), view).tobytes() for name in ("One castle", "Another") for view in range(4)
    ]
    assert len({hashlib.sha256(picture).hexdigest() for picture in pictures}) == 8
    assert look_of("One castle") != look_of("Another")


def test_a_landmark_resembles_itself_more_than_its_class() -> None:
    """The mean of some views is closer to the mean of the landmark's other views than to those of other churches."""
    means = {
        (name, half): np.mean([np.asarray(draw(Landmark(f"Church {name}", "church"), view)) for view in views], axis=0)
        for name in range(6)
        for half, views in enumerate((range(12), range(12, 24)))
    }
    own = np.mean([np.abs(means[name, 0] - means[name, 1]).mean() for name in range(6)])
    other = np.mean([np.abs(means[a, 0] - means[b, 1]).mean() for a in range(6) for b in range(6) if a != b])
    assert own < 0.8 * other


def test_an_unknown_label_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(HgldError, match=r"no drawing for 'churhc' \(Somewhere\); did you mean 'church'\?"):
        draw(Landmark("Somewhere", "churhc"), 0)
