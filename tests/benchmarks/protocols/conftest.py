"""A ground truth in the form of Revisited Oxford, small enough for values by hand."""

import pickle
from pathlib import Path

import pytest


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Two queries on four images: q has 1 easy, 2 hard, 0 junk; r has 3 easy."""
    box = [0, 0, 9, 9]
    content = {
        "imlist": list("abcd"),
        "qimlist": ["q", "r"],
        "gnd": [
            {"bbx": box, "easy": [1], "hard": [2], "junk": [0]},
            {"bbx": box, "easy": [3], "hard": [], "junk": []},
        ],
    }
    path = tmp_path / "gnd.pkl"
    path.write_bytes(pickle.dumps(content))
    return path
