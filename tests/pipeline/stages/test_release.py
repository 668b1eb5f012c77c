"""The stage `release`: the source of each label, the content of the tables, and identical bytes on a second run."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.files import sha256
from hgld.foundation.tables import read_csv, read_parquet, write_parquet
from hgld.hierarchy.curation.verdicts import Verdict, append_verdict
from hgld.pipeline.stages import queue
from hgld.pipeline.stages.release import run

FIVE = ["landmark_id", "category", "supercategory", "hierarchical_label", "natural_or_human_made"]


def _verdict(category: str, label: str, annotator: str = "ana") -> Verdict:
    return Verdict(category, label, "", "", "", annotator, "2026-01-03", "seen")


def _labels(world) -> pd.DataFrame:
    return read_parquet(world.data / "release" / "labels.parquet").set_index("category")


def test_csvs_have_gldv2s_columns_ids_and_spelling(proposed) -> None:
    run(proposed.params)
    table = read_csv(proposed.data / "release" / "train_label_to_hierarchical.csv", FIVE)
    assert list(table["landmark_id"]) == ["10", "11", "12", "13", "14", "15", "16"]
    assert tuple(table.iloc[1]) == (
        "11", "http://commons.wikimedia.org/wiki/Category:%C3%89glise_Saint-Rouge",
        "church building", "church", "human-made",
    )  # fmt: skip
    assert tuple(table.iloc[4, 2:]) == ("", "", "")  # a proposal below the thresholds gives no label
    index = read_csv(proposed.data / "release" / "index_label_to_hierarchical.csv", FIVE)
    # 10 is Red Chapel in train and Blue Lake in index: the id spaces are never joined
    assert index.set_index("landmark_id").loc["10", "hierarchical_label"] == "lake"
    assert table.set_index("landmark_id").loc["10", "hierarchical_label"] == "church"


def test_every_label_has_its_source_and_evidence(proposed) -> None:
    append_verdict(Path("review"), _verdict("Unknown Lake", "lake"))
    run(proposed.params)
    labels = _labels(proposed)
    assert dict(labels["source"]) == {
        "Blue Lake": "wikidata", "Lago Azul": "wikidata", 'Nowhere, "Purple"': "", "Red Chapel": "wikidata",
        "Torn Place": "", "Unknown Chapel": "clip", "Unknown Lake": "review", "Église Saint-Rouge": "wikidata",
    }  # fmt: skip
    assert labels.loc["Red Chapel", "path"] == "Q16970"
    assert (labels.loc["Unknown Chapel", "score"], labels.loc["Unknown Chapel", "margin"]) == (0.9, 0.85)
    lake = labels.loc["Unknown Lake"]
    assert (lake["annotator"], lake["decided_on"], lake["supercategory"]) == ("ana", "2026-01-03", "")
    assert "seen" in lake["note"]
    assert set(labels["snapshot"]) == {"2026-01-02"}


def test_a_verdict_overrides_wikidata_and_may_be_empty(proposed) -> None:
    append_verdict(Path("review"), _verdict("Red Chapel", ""))
    append_verdict(Path("review"), _verdict("Blue Lake", "river"))
    run(proposed.params)
    labels = _labels(proposed)
    assert tuple(labels.loc["Red Chapel", ["hierarchical_label", "supercategory", "source"]]) == (
        "",
        "",
        "review",
    )
    river = labels.loc["Blue Lake"]
    assert tuple(river[["hierarchical_label", "supercategory", "natural_or_human_made"]]) == (
        "river",
        "",
        "natural",
    )
    assert river["path"] == ""


def test_conflicting_verdicts_are_counted_and_not_applied(proposed) -> None:
    run(proposed.params)
    before = _labels(proposed)
    append_verdict(Path("review"), _verdict("Red Chapel", "river"))
    append_verdict(Path("review"), _verdict("Red Chapel", "lake", "bob"))
    run(proposed.params)
    pd.testing.assert_frame_equal(_labels(proposed), before)
    assert _metadata(proposed)["settled_by_rule"]["conflicting_verdicts"] == 1


def test_verdict_of_another_profile_does_not_count_unless_the_settings_say_so(proposed) -> None:
    """A verdict on a drawing must not label a photograph."""
    run(proposed.params)
    before = _labels(proposed)
    append_verdict(Path("review"), replace(_verdict("Blue Lake", "river"), profile="drawings"))
    run(proposed.params)
    pd.testing.assert_frame_equal(_labels(proposed), before)
    release = proposed.params.release.model_copy(update={"verdicts_from": ["drawings"]})
    run(proposed.params.model_copy(update={"release": release}))
    assert _labels(proposed).loc["Blue Lake", "source"] == "review"


def test_verdict_on_an_unknown_category_is_named(proposed, capsys: pytest.CaptureFixture[str]) -> None:
    append_verdict(Path("review"), _verdict("Blue Lakke", "river"))
    run(proposed.params)
    assert "review/ana.csv:2: the verdict has no effect: no category 'Blue Lakke'" in capsys.readouterr().out
    queue.run(proposed.params)
    assert "did you mean 'Blue Lake'?" in capsys.readouterr().out


def test_labels_and_splits_say_where_a_landmark_is_and_gldv2s_tables_do_not(proposed) -> None:
    run(proposed.params)
    labels = _labels(proposed)
    places = {name: tuple(labels.loc[name, ["country", "continent"]]) for name in labels.index}
    nowhere = ['Nowhere, "Purple"', "Torn Place", "Unknown Chapel", "Unknown Lake"]
    assert places == {
        "Red Chapel": ("GE", "Asia"), "Église Saint-Rouge": ("CH|FR", "Europe"), "Blue Lake": ("TR", "Asia"),
        "Lago Azul": ("TR", "Europe"), **dict.fromkeys(nowhere, ("", "")),
    }  # fmt: skip
    assert tuple(labels.loc["Red Chapel", ["latitude", "longitude"]]) == (41.69, 44.8)
    assert labels.loc[["Blue Lake", *nowhere], ["latitude", "longitude"]].isna().all(axis=None)
    for split in ("train", "index", "test"):
        table = read_parquet(proposed.data / "release" / f"{split}.parquet")
        placed = table[table["category"] != ""]
        assert list(zip(placed["country"], placed["continent"], strict=True)) == [
            places[name] for name in placed["category"]
        ]
        assert set(table.loc[table["category"] == "", "continent"]) <= {""}
        assert table["latitude"].dtype == table["longitude"].dtype == "float64"
    for split in ("train", "index"):
        read_csv(proposed.data / "release" / f"{split}_label_to_hierarchical.csv", FIVE)


def test_item_that_a_verdict_rejects_says_nothing_about_the_place(proposed) -> None:
    append_verdict(Path("review"), replace(_verdict("Red Chapel", "church"), rejected_item="Q101"))
    run(proposed.params)
    labels = _labels(proposed)
    assert tuple(labels.loc["Red Chapel", ["hierarchical_label", "qid", "country", "continent"]]) == (
        "church",
        "",
        "",
        "",
    )
    assert pd.isna(labels.loc["Red Chapel", "latitude"]) and labels.loc["Blue Lake", "country"] == "TR"


def test_card_counts_places_and_the_map_shows_them(proposed) -> None:
    run(proposed.params)
    card = json.loads((proposed.data / "release" / "card.json").read_text(encoding="utf-8"))
    assert card["continents"]["Asia"] == {
        "categories": 2, "natural": 1, "human-made": 1, "no label": 0, "train": 4, "index": 2, "test": 2,
    }  # fmt: skip
    assert card["continents"]["(none)"]["no label"] == 3 and card["continents"]["Africa"]["categories"] == 0
    assert {code: counts["categories"] for code, counts in card["countries"].items()} == {
        "CH": 1, "FR": 1, "GE": 1, "TR": 2, "(none)": 4,
    }  # fmt: skip
    assert card["countries"]["CH"]["name"] == "Switzerland"
    drawn = ElementTree.parse(proposed.data / "release" / "map.svg").getroot()
    assert len(drawn.findall(".//{*}circle")) == 2
    assert drawn.get("aria-label") == "2 of 8 landmarks have coordinates"
    assert "  map.svg\n" in (proposed.data / "release" / "SHA256SUMS").read_text()


def test_country_that_the_table_lacks_is_named(proposed, capsys: pytest.CaptureFixture[str]) -> None:
    facts = proposed.data / "wikidata" / "item_facts.parquet"
    table = read_parquet(facts)
    write_parquet(table.assign(countries=[f"{text} Q7" for text in table["countries"]]), facts)
    run(proposed.params)
    assert (
        "not in countries.csv, so without a country: 1 value(s) of P17, such as Q7 (4 items)" in capsys.readouterr().out
    )
    assert _labels(proposed).loc["Red Chapel", "country"] == "GE"


def _metadata(world) -> dict:
    return json.loads((world.data / "release" / "metadata.json").read_text())


def test_images_carry_the_labels_of_their_landmark(proposed) -> None:
    run(proposed.params)
    train = read_parquet(proposed.data / "release" / "train.parquet")
    assert len(train) == 14
    assert list(train["clean"]) == [True, False] * 7
    assert train["clean"].dtype == bool
    first = train[train["landmark_id"] == "13"].iloc[0]
    assert (first["category"], first["hierarchical_label"]) == ("Unknown Chapel", "church")


def test_a_query_has_the_category_of_its_relevant_images(proposed) -> None:
    run(proposed.params)
    test = read_parquet(proposed.data / "release" / "test.parquet").set_index("image_id")
    red, mixed, recognised, nothing = (test.loc[f"c{number:015d}"] for number in range(4))
    assert (red["usage"], red["category"], red["hierarchical_label"]) == ("Public", "Red Chapel", "church")
    # two categories with one image each: the alphabetically first; an id that is not an index image is dropped
    assert (mixed["category"], mixed["relevant"]) == ("Blue Lake", "b000000100000000 b000000120000000")
    assert (recognised["category"], recognised["relevant"]) == ("Unknown Chapel", "")
    assert (nothing["category"], nothing["hierarchical_label"], nothing["usage"]) == ("", "", "Ignored")
    assert _metadata(proposed)["settled_by_rule"] == {
        "relevant_not_in_index": 1, "test_of_several_categories": 1, "test_without_solution": 0,
        "conflicting_verdicts": 0,
    }  # fmt: skip


def test_checksums_pass_sha256sum(proposed) -> None:
    run(proposed.params)
    folder = proposed.data / "release"
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.count(": OK") == len(list(folder.iterdir())) - 1


def test_output_is_independent_of_row_order(proposed) -> None:
    run(proposed.params)
    first = sha256(proposed.data / "release" / "SHA256SUMS")
    for path in [proposed.data / "build" / "labels.parquet", *(proposed.data / "metadata").glob("*.parquet")]:
        write_parquet(read_parquet(path).iloc[::-1], path)
    run(proposed.params)
    assert sha256(proposed.data / "release" / "SHA256SUMS") == first


def test_violated_guarantees_stop_the_release(proposed) -> None:
    path = proposed.data / "build" / "labels.parquet"
    run(proposed.params)
    before = sha256(proposed.data / "release" / "SHA256SUMS")
    labels = read_parquet(path)
    write_parquet(labels.assign(hierarchical_label=labels["hierarchical_label"].replace("lake", "lakes")), path)
    with pytest.raises(HgldError, match="'lakes'"):
        run(proposed.params)
    write_parquet(labels, path)
    pairs = proposed.data / "metadata" / "index_image_to_landmark.parquet"
    write_parquet(read_parquet(pairs).iloc[1:], pairs)
    with pytest.raises(HgldError, match=r"index.parquet: its 4 ids are not the 5 ids"):
        run(proposed.params)
    assert sha256(proposed.data / "release" / "SHA256SUMS") == before


def test_a_malformed_verdict_stops_the_release(proposed) -> None:
    Path("review").mkdir()
    Path("review/ana.csv").write_text("category,label\n")
    with pytest.raises(HgldError, match=r"review/ana.csv:1: expected the header category,hierarchical_label"):
        run(proposed.params)


def test_verdicts_on_landmarks_of_other_profiles_are_ignored(proposed) -> None:
    append_verdict(Path("review"), _verdict("Elsewhere", "lake"))
    run(proposed.params)
    assert "Elsewhere" not in _labels(proposed).index
