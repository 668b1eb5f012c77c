"""No request, however strange, makes the server fail: requests drawn from the schema that it serves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hgld.hierarchy.curation.verdicts import read_verdicts
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from tests.paths import ROOT
from tests.pipeline.review.conftest import Served

LABELS = sorted(load_taxonomy(ROOT / "hierarchy/curated").natures)
OPERATIONS = ["GET /api/session", "GET /api/labels", "GET /api/items/{position}", "POST /api/items/{position}/verdict",
              "POST /api/items/{position}/skip", "POST /api/undo", "POST /api/items", "GET /api/outline",
              "GET /pictures/{image_id}/{size}"]  # fmt: skip
LANDMARKS = 5  # in the queue
Serve = Callable[..., Served]


def operations(client: requests.Session, root: str) -> dict[str, Any]:
    """Method and path → the operations of the schema that a server has."""
    schemathesis = pytest.importorskip("schemathesis")
    schema = schemathesis.openapi.from_dict(client.get(f"{root}/openapi.json", timeout=60).json())
    found = (result.ok() for result in schema.get_all_operations())
    return {operation.label: operation for operation in found}


def cases(operation: Any) -> Any:
    """Requests that fit the schema, and such that break it."""
    modes = pytest.importorskip("schemathesis").GenerationMode
    return st.one_of([operation.as_strategy(generation_mode=mode) for mode in (modes.POSITIVE, modes.NEGATIVE)])


@st.composite
def likely(draw: st.DrawFn, operation: Any, served: Served) -> Any:
    """A request about an item that exists, often with the category that it has, so that it reaches the files."""
    case = draw(operation.as_strategy())
    case.path_parameters["position"] = position = draw(st.integers(0, LANDMARKS - 1))
    if isinstance(case.body, dict) and draw(st.integers(0, 9)):
        case.body["category"] = served.get(f"/api/items/{position}").json()["category"]
        if "label" in case.body:
            case.body["label"] = draw(st.sampled_from([*LABELS, ""]) | st.text())
    return case


def run(strategy: Any, client: requests.Session, root: str, most: int) -> Counter[int]:
    """How many requests had which status; a status of 500 or more fails at once."""
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=most,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def one(case: Any) -> None:
        answer = case.call(base_url=root, session=client, timeout=60)
        statuses[answer.status_code] += 1
        assert answer.status_code < 500, f"{case.as_curl_command()}: {answer.text}"

    one()
    return statuses


def test_no_request_of_the_schema_makes_the_server_fail(serve: Serve) -> None:
    served = serve()
    found = operations(served.client, served.root)
    assert set(OPERATIONS) <= set(found)
    seen = {label: run(cases(operation), served.client, served.root, 20) for label, operation in sorted(found.items())}
    strategy = likely(found["POST /api/items/{position}/verdict"], served)
    seen["likely verdicts"] = run(strategy, served.client, served.root, 80)
    assert seen["likely verdicts"][200] > 10 and seen["likely verdicts"][409] > 10, seen  # saved, and refused
    files = read_verdicts(Path("review"), LABELS)
    assert files.problems == [] and files.not_read == []
    saved = len(files.rows)
    while (undone := served.post("/api/undo", {})).status_code == 200:
        saved -= "the verdict" in undone.json()["message"]
    assert (undone.status_code, saved) == (409, 0)
