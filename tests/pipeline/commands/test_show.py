"""`hgld show`: the chain of evidence for a landmark id or any spelling of a category."""

from pathlib import Path

import pandas as pd
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.hierarchy.curation.verdict import Verdict
from hgld.hierarchy.curation.verdicts import append_verdict, remove_verdict
from hgld.pipeline.commands.show import show
from hgld.pipeline.stages import release


def test_evidence_of_a_label_from_wikidata(proposed) -> None:
    release.run(proposed.params)
    assert (
        show("Red Chapel", proposed.params)
        == """\
Red Chapel
  category  Red Chapel
  page      http://commons.wikimedia.org/wiki/Category:Red_Chapel
  train     landmark 10, images: 2
  index     landmark 7, images: 1
  item      Q101  matched by sitelink, confidence high
    class   church building (Q16970)
    place   GE; Asia; 41.69, 44.8
  path      church building (Q16970)
  Wikidata  church building > church > human-made
  released  church building > church > human-made  (source: Wikidata)"""
    )


def test_place_of_an_item_is_that_of_the_release_and_has_no_line_where_nothing_is_known(proposed) -> None:
    assert "    place   CH|FR; Europe\n" in show("Église Saint-Rouge", proposed.params)
    assert "    place   TR; Asia\n" in show("Blue Lake", proposed.params)
    facts = proposed.data / "wikidata" / "item_facts.parquet"
    write_parquet(read_parquet(facts).assign(countries="", latitude=float("nan")), facts)
    assert "place  " not in show("Blue Lake", proposed.params)


def test_each_class_has_its_outcome(proposed) -> None:
    release.run(proposed.params)
    columns = ["category", "qid", "class", "outcome", "hierarchical_label", "precedence", "path"]
    rows = [
        ("Red Chapel", "Q101", "Q16970", "decides", "church", "210", "Q16970"),
        ("Blue Lake", "Q102", "Q16970", "outranked", "church", "210", "Q16970"),
    ]
    table = pd.DataFrame(rows, columns=columns, dtype="str")
    write_parquet(table, proposed.params.data / "build" / "considered.parquet")
    text = show("Red Chapel", proposed.params)
    assert "    class   church building (Q16970): church, decides\n" in text
    assert "outranked" not in text


def test_evidence_of_a_proposal(proposed) -> None:
    release.run(proposed.params)
    text = show("Unknown Lake", proposed.params)
    assert "  item        none" in text
    assert "  Wikidata    no label: no item found" in text
    thresholds = "below the thresholds (score 0.6, margin 0.3)"
    assert f"  proposal    lake  score 0.5500, margin 0.2000, runner-up church; {thresholds}" in text
    assert "  released    no label  (source: none)" in text
    accepted = show("Unknown Chapel", proposed.params)
    assert "; accepted (thresholds: score 0.6, margin 0.3)" in accepted
    assert "released    church > human-made  (source: CLIP)" in accepted


def test_an_id_in_train_and_index_shows_both_landmarks(proposed) -> None:
    text = show("10", proposed.params)
    train, index = text.split("\n\n")
    assert train.startswith("train landmark 10\n  category  Red Chapel")
    assert index.startswith("index landmark 10\n  category  Blue Lake")
    assert show("16", proposed.params).startswith("train landmark 16\n")


@pytest.mark.parametrize("key", [
    "http://commons.wikimedia.org/wiki/Category:%C3%89glise_Saint-Rouge", "Category:église_Saint-Rouge",
    " Église Saint-Rouge ", "https://commons.wikimedia.org/wiki/Category:%C3%89glise_Saint-Rouge?uselang=fr#content",
])  # fmt: skip
def test_any_spelling_of_a_category_is_accepted(proposed, key: str) -> None:
    assert show(key, proposed.params).startswith("Église Saint-Rouge\n")


def test_a_category_may_begin_like_another_namespace_but_no_other_page_is_shown(proposed) -> None:
    """The name is printed as `hgld show` takes it; the metadata have it in a URL."""
    for split in ("train", "index"):
        path = proposed.data / "metadata" / f"{split}_label_to_category.parquet"
        table = read_parquet(path)
        table["category"] = table["category"].str.replace("Category:Red_Chapel", "Category:Media:Red_Chapel")
        write_parquet(table, path)
    assert show("Category:Media:Red Chapel", proposed.params) == show("Media:Red Chapel", proposed.params)
    with pytest.raises(HgldError, match="another page"):
        show("File:Red Chapel", proposed.params)


def test_verdicts_have_annotator_date_and_comment(proposed) -> None:
    release.run(proposed.params)
    append_verdict(Path("review"), Verdict("Unknown Lake", "lake", "", "", "", "ana", "2026-01-03", "I was there"))
    text = show("Unknown Lake", proposed.params)
    assert "  verdict     lake  by ana on 2026-01-03: I was there" in text
    assert "the verdict is newer: run dvc repro" in text
    release.run(proposed.params)
    assert show("Unknown Lake", proposed.params).endswith("released    lake > natural  (source: verdict of ana)")
    append_verdict(Path("review"), Verdict("Unknown Lake", "", "", "", "", "bob", "2026-01-04"))
    assert "the verdicts conflict and are not applied" in show("Unknown Lake", proposed.params)
    assert "leave empty  by bob" in show("Unknown Lake", proposed.params)


def test_a_verdict_is_stale_after_the_suggestion_has_changed(proposed) -> None:
    def shown_after_verdict(label: str, suggested: str, date: str) -> str:
        by = "clip" if suggested else ""
        verdict = Verdict("Unknown Lake", label, suggested, by, "", "ana", date)
        append_verdict(Path("review"), verdict)
        return show("Unknown Lake", proposed.params)

    text = shown_after_verdict("church", "church", "2026-01-03")
    assert "\n    stale     the suggestion was church (by clip), now it is lake; review it again" in text
    # the same label again, given on the new suggestion
    assert "stale" not in shown_after_verdict("church", "lake", "2026-01-04")
    assert "stale" not in shown_after_verdict("lake", "church", "2026-01-05")
    assert "stale" not in shown_after_verdict("church", "", "2026-01-06")


def test_a_verdict_withdrawn_after_the_release_is_reported(proposed) -> None:
    verdict = Verdict("Unknown Lake", "lake", "", "", "", "ana", "2026-01-03")
    append_verdict(Path("review"), verdict)
    release.run(proposed.params)
    assert remove_verdict(Path("review"), verdict)
    assert show("Unknown Lake", proposed.params).endswith(
        "lake > natural  (source: verdict of ana); the verdict has been withdrawn: run dvc repro"
    )
    release.run(proposed.params)
    assert "withdrawn" not in show("Unknown Lake", proposed.params)


def test_without_a_release_the_command_to_run_is_named(proposed) -> None:
    assert show("Red Chapel", proposed.params).endswith("released  not yet; run: dvc repro")


@pytest.mark.parametrize(("key", "message"), [
    ("Red Chapl", "no category 'Red Chapl' in the metadata; did you mean 'Red Chapel'?"),
    ("RED CHAPEL", "no category 'RED CHAPEL' in the metadata; did you mean 'Red Chapel'?"),
    ("\udcff", "'\\udcff' is not UTF-8 text; give a landmark id, or a category's name or URL"),
    ("999", "no landmark id or category '999' in the metadata"),
    ("Category:", "no category name in 'Category:'"),
])  # fmt: skip
def test_unknown_keys_are_errors_with_a_suggestion(proposed, key: str, message: str) -> None:
    with pytest.raises(HgldError) as caught:
        show(key, proposed.params)
    assert str(caught.value) == message
