"""One SPARQL server for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.sparql.oxigraph import serving


@pytest.fixture(scope="package")
def endpoint() -> Iterator[Endpoint]:
    """A server of tests/pipeline/tiny_world.ttl; small batches, so that most requests need several."""
    with serving([Path(__file__).parents[1] / "tiny_world.ttl"]) as url:
        yield Endpoint(url, "test", batch=2)
