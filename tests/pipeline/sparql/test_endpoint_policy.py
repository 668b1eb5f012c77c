"""Which endpoints may be queried, and by which user agents."""

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.sparql.endpoint_policy import check_endpoint


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:99999/q",
        "http://localhost:x/q",
        "http://localhost/a b",
        "http:///q",
        "http://localhost/q\n",
        "http://localhost/\u00e9",
        "http://[::1/q",
        "file:///q",
    ],
)
def test_address_that_no_request_can_be_sent_to_is_refused(url: str) -> None:
    with pytest.raises(HgldError, match="is not the URL of a SPARQL endpoint"):
        check_endpoint(url, "hgld")
