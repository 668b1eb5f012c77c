"""A release of the world of eight landmarks."""

import shutil
from pathlib import Path

import pytest

from hgld.foundation.settings import Params
from hgld.pipeline.stages import release


@pytest.fixture(scope="session")
def first_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that needs the release leaves a copy: it is the same in every test."""
    return tmp_path_factory.mktemp("first") / "release"


@pytest.fixture
def folder(proposed, first_release: Path) -> Path:
    """The folder of the release, beside data/ under the name that its README.md calls it."""
    if first_release.exists():
        shutil.copytree(first_release, proposed.data / "release")
    else:
        release.run(proposed.params)
        shutil.copytree(proposed.data / "release", first_release)
    name = proposed.folder / f"{proposed.params.release.name}-{proposed.params.release.version}"
    name.symlink_to(proposed.folder / proposed.data / "release")
    return name


def rewrite(world, **settings: str) -> Params:
    """Write the release again with other settings of the section `release`."""
    params = world.with_settings("release", **settings)
    release.run(params)
    return params
