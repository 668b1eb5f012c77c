"""The canary: the number of statements of an endpoint, against a real SPARQL server."""

from dataclasses import replace
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.wikidata.queries import canary


def test_too_few_statements_are_an_error(endpoint: Endpoint) -> None:
    counts, date = canary(endpoint, {"P31": 3, "sitelink": 5})
    assert (counts["sitelink"], date) == (5, "2026-01-02T03:04:05Z")
    with pytest.raises(HgldError, match=r"too few statements to be trusted: 5 of sitelink, expected 1,000,000;"):
        canary(endpoint, {"P31": 3, "sitelink": 1_000_000})


def test_rejected_counts_are_not_cached(endpoint: Endpoint, tmp_path: Path) -> None:
    cached = replace(endpoint, cache=tmp_path)
    with pytest.raises(HgldError, match="too few statements"):
        canary(cached, {"P31": 10**9})
    assert not list(tmp_path.iterdir())
    first = canary(cached, {})
    assert canary(cached, {}) == first
    assert len(list(tmp_path.iterdir())) == 1
