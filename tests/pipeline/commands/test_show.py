"""`hgld show`: a chain that can be read, for an id or any spelling of a category."""

from pathlib import Path

import pandas as pd
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import write_parquet
from hgld.hierarchy.curation.verdicts import Verdict, append_verdict, remove_verdict
from hgld.pipeline.commands.show import show
from hgld.pipeline.stages import release


def test_the_chain_of_a_label_of_wikidata(proposed) -> None:
    release.run(proposed.params)
    assert (
        show("Red Chapel", proposed.params)
        == """\
Red Chapel
  category       Red Chapel
  page           http://commons.wikimedia.org/wiki/Category:Red_Chapel
  train          landmark 10, 2 images
  index          landmark 7, 1 images
  item           Q101  found by sitelink, confidence high
    is a         church building (Q16970)
  path           church building (Q16970)
  Wikidata says  church building > church > human-made
  released       church building > church > human-made  (source: Wikidata)"""
    )


def test_each_class_says_what_became_of_it(proposed) -> None:
    release.run(proposed.params)
    columns = ["category", "qid", "class", "outcome", "hierarchical_label", "precedence", "path"]
    rows = [
        ("Red Chapel", "Q101", "Q16970", "decides", "church", "210", "Q16970"),
        ("Blue Lake", "Q102", "Q16970", "outranked", "church", "210", "Q16970"),
    ]
    table = pd.DataFrame(rows, columns=columns, dtype="str")
    write_parquet(table, proposed.params.data / "build" / "considered.parquet")
    assert "    is a         church building (Q16970): church, decides\n" in show(
        "Red Chapel", proposed.params
    )
    assert "outranked" not in show("Red Chapel", proposed.params)


def test_the_chain_of_a_proposal(proposed) -> None:
    release.run(proposed.params)
    text = show("Unknown Lake", proposed.params)
    assert "  item           none found" in text
    assert "  Wikidata says  no label: no item found" in text
    assert "score 0.5500, margin 0.2000 over church; not sure enough (wants score 0.6, margin 0.3)" in text
    assert "  released       no label  (source: nobody)" in text
    assert "accepted" in show("Unknown Chapel", proposed.params)
    assert "released       church > human-made  (source: CLIP)" in show("Unknown Chapel", proposed.params)


def test_an_id_of_both_spaces_shows_both(proposed) -> None:
    text = show("10", proposed.params)
    train, index = text.split("\n\n")
    assert train.startswith("train landmark 10\n  category       Red Chapel")
    assert index.startswith("index landmark 10\n  category       Blue Lake")
    assert show("16", proposed.params).startswith("train landmark 16\n")


@pytest.mark.parametrize("key", [
    "http://commons.wikimedia.org/wiki/Category:%C3%89glise_Saint-Rouge", "Category:église_Saint-Rouge",
    " Église Saint-Rouge ", "https://commons.wikimedia.org/wiki/Category:%C3%89glise_Saint-Rouge?uselang=fr#content",
])  # fmt: skip
def test_any_spelling_of_a_category(proposed, key: str) -> None:
    assert show(key, proposed.params).startswith("Église Saint-Rouge\n")


def test_a_verdict_with_who_and_when(proposed) -> None:
    release.run(proposed.params)
    append_verdict(
        Path("review"), Verdict("Unknown Lake", "lake", "", "", "", "ana", "2026-01-03", "I was there")
    )
    text = show("Unknown Lake", proposed.params)
    assert "  verdict        lake  by ana on 2026-01-03: I was there" in text
    assert "the verdict is newer: run dvc repro" in text
    release.run(proposed.params)
    assert show("Unknown Lake", proposed.params).endswith(
        "released       lake > natural  (source: verdict of ana)"
    )
    append_verdict(Path("review"), Verdict("Unknown Lake", "", "", "", "", "bob", "2026-01-04"))
    assert "the verdicts conflict and are not applied" in show("Unknown Lake", proposed.params)
    assert "leave empty  by bob" in show("Unknown Lake", proposed.params)


def test_a_verdict_on_another_suggestion_is_stale(proposed) -> None:
    def said(label: str, suggested: str, on: str, annotator: str = "ana") -> str:
        by = "clip" if suggested else ""
        verdict = Verdict("Unknown Lake", label, suggested, by, "", annotator, on)
        append_verdict(Path("review"), verdict)
        return show("Unknown Lake", proposed.params)

    text = said("church", "church", "2026-01-03")
    assert "\n    stale        given when church (by clip) was suggested; now it is lake; look again" in text
    # the same label again, now knowing what is suggested
    assert "stale" not in said("church", "lake", "2026-01-04")
    assert "stale" not in said("lake", "church", "2026-01-05")
    assert "stale" not in said("church", "", "2026-01-06")


def test_a_verdict_taken_back_after_the_release_is_told(proposed) -> None:
    verdict = Verdict("Unknown Lake", "lake", "", "", "", "ana", "2026-01-03")
    append_verdict(Path("review"), verdict)
    release.run(proposed.params)
    assert remove_verdict(Path("review"), verdict)
    assert show("Unknown Lake", proposed.params).endswith(
        "lake > natural  (source: verdict of ana); the verdict was taken back since: run dvc repro"
    )
    release.run(proposed.params)
    assert "taken back" not in show("Unknown Lake", proposed.params)


def test_before_the_release(proposed) -> None:
    assert show("Red Chapel", proposed.params).endswith("released       not yet; run: dvc repro")


@pytest.mark.parametrize(("key", "message"), [
    ("Red Chapl", "no category 'Red Chapl' in the metadata; did you mean 'Red Chapel'?"),
    ("RED CHAPEL", "no category 'RED CHAPEL' in the metadata; did you mean 'Red Chapel'?"),
    ("\udcff", "'\\udcff' is not UTF-8 text; give a landmark id, or a category's name or URL"),
    ("999", "no landmark id or category '999' in the metadata"),
    ("Category:", "no category name in 'Category:'"),
])  # fmt: skip
def test_what_is_not_there_gets_a_suggestion(proposed, key: str, message: str) -> None:
    with pytest.raises(HgldError) as caught:
        show(key, proposed.params)
    assert str(caught.value) == message
