"""A stored response is returned for its own query and columns only."""

from pathlib import Path

from hgld.pipeline.sparql.response_cache import load, response_path, store


def test_entry_of_another_query_or_shape_counts_as_missing(tmp_path: Path) -> None:
    store(tmp_path, "u", "one", ("a", "b"), [("x", "y")])
    assert load(tmp_path, "u", "one", ("a", "b")) == [("x", "y")]
    assert load(tmp_path, "u", "one", ("a", "c")) is None
    assert load(tmp_path, "u", "two", ("a", "b")) is None
    response_path(tmp_path, "u", "one").rename(response_path(tmp_path, "u", "two"))
    assert load(tmp_path, "u", "two", ("a", "b")) is None
    store(tmp_path, "u", "one", ("a", "b"), [("x", "y", "z")])
    assert load(tmp_path, "u", "one", ("a", "b")) is None
