"""The data card: blocks generated from the release, and a check that names every line that differs."""

import json
import re
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.commands.card import check_card, render, write_card
from hgld.pipeline.dataset.card_numbers import BLOCKS
from hgld.pipeline.stages import release
from tests.paths import ROOT

CARD = Path("DATA_CARD.md")


@pytest.fixture
def released(proposed):
    release.run(proposed.params)
    metrics = {"clip_accuracy": 0.75, "precision": None, "nested": {"x": 1234}}
    (proposed.data / "refine" / "metrics.json").write_text(json.dumps(metrics))
    return proposed


def _card(*blocks: str) -> None:
    CARD.write_text(
        "# A card\n\nProse.\n\n" + "".join(f"<!-- numbers:{name} -->\n<!-- /numbers -->\n" for name in blocks)
    )


def test_prose_is_kept_and_blocks_are_generated(released) -> None:
    _card("splits", "labels")
    write_card(released.params, CARD)
    text = CARD.read_text()
    assert text.startswith("# A card\n\nProse.\n\n<!-- numbers:splits -->\n")
    assert "H-GLDv2-sample 0.1: 8 categories." in text
    assert "| train | 7 | 14 | 8 |" in text
    assert "| church | human-made | 3 | 6 | 2 | 2 |" in text
    before = CARD.stat()
    write_card(released.params, CARD)
    assert CARD.read_text() == text
    assert CARD.stat().st_mtime_ns == before.st_mtime_ns
    check_card(released.params, CARD)


def test_blocks_of_sources_rules_and_metrics(released) -> None:
    _card("sources", "rules", "clip")
    write_card(released.params, CARD)
    text = CARD.read_text()
    assert "| Wikidata | 4 | 6 | 3 | 2 |" in text
    assert "| CLIP | 1 | 2 | 1 | 1 |" in text
    assert "| relevant not in index | 1 |" in text
    assert "| clip_accuracy | 0.750 |\n| precision | – |\n| nested.x | 1,234 |" in text


def test_a_line_that_differs_is_named(released) -> None:
    _card("splits")
    write_card(released.params, CARD)
    CARD.write_text(CARD.read_text().replace("| train | 7 | 14 | 8 |", "| train | 7 | 15 | 8 |"))
    with pytest.raises(HgldError) as caught:
        check_card(released.params, CARD)
    assert str(caught.value).splitlines() == [
        "DATA_CARD.md does not match the release; run: hgld card",
        "DATA_CARD.md:11: states '| train | 7 | 15 | 8 |', the release says '| train | 7 | 14 | 8 |'",
    ]
    _card("splits")
    with pytest.raises(HgldError, match=r"DATA_CARD.md:6: block 'splits' has 0 lines, the release gives"):
        check_card(released.params, CARD)


@pytest.mark.parametrize(("tolerance", "value", "fits"), [
    ("tolerance=0.05", "0.700", True), ("tolerance=0.05", "0.690", False), ("relative=0.1", "0.690", True),
    ("relative=0.1", "0.600", False),
])  # fmt: skip
def test_numbers_of_other_weights_may_differ_by_the_tolerance(released, tolerance: str, value: str, fits: bool) -> None:
    _card(f"clip {tolerance}")
    write_card(released.params, CARD)
    assert f"differ by ±{'0.05' if 'tol' in tolerance else '10%'}." in CARD.read_text()
    CARD.write_text(_other_weights(CARD.read_text()).replace("0.750", value))
    if fits:
        check_card(released.params, CARD)
    else:
        with pytest.raises(HgldError, match=value):
            check_card(released.params, CARD)


def _other_weights(text: str) -> str:
    changed = re.sub(r"(?m)^(Made from refine/proposals.parquet) [0-9a-f]{16}\.$", r"\1 0123456789abcdef.", text)
    assert changed != text
    return changed


def test_numbers_of_the_same_weights_must_be_equal(released) -> None:
    _card("clip tolerance=0.05")
    write_card(released.params, CARD)
    CARD.write_text(CARD.read_text().replace("0.750", "0.749"))
    with pytest.raises(HgldError, match=r"0\.749"):
        check_card(released.params, CARD)


def test_blocks_without_tolerance_are_unchecked_for_other_weights(released) -> None:
    _card("sources", "rules")
    write_card(released.params, CARD)
    assert check_card(released.params, CARD) == []
    CARD.write_text(_other_weights(CARD.read_text()).replace("| CLIP | 1 |", "| CLIP | 2 |"))
    assert check_card(released.params, CARD) == ["sources"]
    CARD.write_text(CARD.read_text().replace("| relevant not in index | 1 |", "| relevant not in index | 2 |"))
    with pytest.raises(HgldError, match="relevant not in index"):
        check_card(released.params, CARD)


@pytest.mark.parametrize(("text", "message"), [
    ("x\n<!-- numbers:splts -->\n<!-- /numbers -->\n", "line 2: no block 'numbers:splts'; did you mean 'splits'?"),
    ("x\n<!-- numbers:splits -->\n", "line 2: block 'numbers' is malformed or never closed"),
    ("<!-- numbers: splits -->\n<!-- /numbers -->\n", "line 1: block 'numbers' is malformed"),
    ("<!-- numbers:splits near=1 -->\n<!-- /numbers -->\n", "line 1: expected tolerance=NUMBER or relative=NUMBER"),
    ("<!-- numbers:splits -->\n<!-- numbers:rules -->\n<!-- /numbers -->\n", "never closed"),
])  # fmt: skip
def test_a_malformed_block_is_named(released, text: str, message: str) -> None:
    CARD.write_text(text)
    with pytest.raises(HgldError) as caught:
        write_card(released.params, CARD)
    assert message in str(caught.value)
    assert str(caught.value).startswith("DATA_CARD.md: ")
    assert CARD.read_text() == text


def test_missing_files_are_named(released) -> None:
    CARD.unlink()
    with pytest.raises(HgldError, match=r"no DATA_CARD.md here"):
        check_card(released.params, CARD)
    _card("benchmark")
    with pytest.raises(HgldError, match=r"benchmark/metrics.json; run the stage that makes it: dvc repro benchmark"):
        write_card(released.params, CARD)


def test_a_card_that_is_no_text_is_an_error(released) -> None:
    CARD.write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    with pytest.raises(HgldError, match=f"{CARD}: not UTF-8 text; restore it from git"):
        write_card(released.params, CARD)
    CARD.unlink()
    CARD.mkdir()
    with pytest.raises(HgldError, match=f"{CARD}: cannot be read: Is a directory"):
        check_card(released.params, CARD)


def test_the_card_of_the_project_has_every_block() -> None:
    text = (ROOT / "DATA_CARD.md").read_text(encoding="utf-8")
    for name in BLOCKS:
        assert f"<!-- numbers:{name}" in text


def test_text_without_blocks_is_unchanged(tmp_path: Path) -> None:
    assert render("Prose only.\n", {}, tmp_path) == "Prose only.\n"


@pytest.mark.parametrize("lost", ["<!-- numbers:splits -->\n", "<!-- /numbers -->\n"])
def test_a_card_with_missing_marks_fails_the_check(released, lost: str) -> None:
    _card("splits", "rules")
    write_card(released.params, CARD)
    CARD.write_text(CARD.read_text().replace(lost, "", 1))
    with pytest.raises(HgldError):
        check_card(released.params, CARD)
    CARD.write_text("Prose only.\n")
    with pytest.raises(HgldError, match="nothing to check"):
        check_card(released.params, CARD)
