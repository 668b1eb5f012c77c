"""The plain release as a fixture."""

from pathlib import Path

import pytest

from tests.pipeline.release.plain_release import make_release


@pytest.fixture
def release(proposed) -> Path:
    """The folder of a plain release."""
    return make_release(proposed)
