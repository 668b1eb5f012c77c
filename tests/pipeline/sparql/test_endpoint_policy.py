"""Which endpoints may be queried, and by which user agents."""

from contextlib import nullcontext

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.sparql.endpoint_policy import check_endpoint, has_contact


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/q", "http://", "http://[", "nowhere"])
def test_only_http_urls_are_accepted(url: str) -> None:
    with pytest.raises(HgldError, match="not the URL of a SPARQL endpoint"):
        check_endpoint(url, "test")


@pytest.mark.parametrize(
    ("agent", "valid"),
    [
        ("hgld/0.1 (set your own contact here)", False),
        ("hgld", False),
        ("", False),
        ("hgld (you@example.org)", False),
        ("hgld (https://example.com/bot)", False),
        ("hgld (your.name@host.org)", False),
        ("hgld/0.1 (ana@museum.be)", True),
        ("hgld/0.1 (https://github.com/ana/landmarks)", True),
    ],
)
def test_public_endpoint_requires_a_contact_address(agent: str, valid: bool) -> None:
    assert has_contact(agent) == valid
    with nullcontext() if valid else pytest.raises(HgldError, match="requires a contact address"):
        check_endpoint("https://query.wikidata.invalid/sparql", agent)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "a.localhost"])
def test_local_endpoint_requires_no_contact_address(host: str) -> None:
    check_endpoint(f"http://{host}:7878/query", "hgld")
