"""Blocks of the data card: malformed metrics or card.json are errors that name the stage to run again."""

from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.files import read_json
from hgld.pipeline.dataset.card_numbers import BLOCKS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", "expected a JSON object, found list"),
        (b"\xff", "not UTF-8"),
        (b"{", "card.json:1: not JSON"),
        (b"[" * 200_000, "cannot be read"),
        (None, "no .*card.json"),
    ],
)
def test_malformed_json_is_rejected(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "release" / "card.json"
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HgldError, match=f"{message}.*dvc repro release"):
        read_json(path)


@pytest.mark.parametrize("name", ["splits", "sources", "labels", "continents", "countries", "rules"])
@pytest.mark.parametrize("card", [{}, {"splits": 1, "sources": [], "labels": None, "settled_by_rule": 3}])
def test_card_without_its_numbers_is_rejected(name: str, card: dict[str, object]) -> None:
    with pytest.raises(HgldError, match="not the numbers of a release"):
        BLOCKS[name](card, Path("data"))
