"""The stage `refine`: proposals from each method, their accuracy, and determinism."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.pipeline.evidence.accuracy import unlabelled_accuracy
from hgld.pipeline.stages import embed, images, queue, release
from hgld.pipeline.stages.refine import run
from tests.paths import ROOT

CHURCH, LAKE = [1.0, 0.0], [0.0, 1.0]
PROMPTS = [("church", "a church", CHURCH), ("church", "the church", CHURCH), ("lake", "a lake", LAKE)]
# what each image shows; the Red Chapel looks like a lake, so one of the four known categories is wrong
IMAGES = [
    ("01", "Red Chapel", LAKE), ("02", "Église Saint-Rouge", CHURCH), ("03", "Blue Lake", LAKE),
    ("04", "Lago Azul", LAKE), ("05", "Unknown Chapel", CHURCH), ("06", "Unknown Chapel", CHURCH),
    ("07", "Unknown Lake", LAKE), ("08", "Torn Place", [0.8, 0.6]),
]  # fmt: skip


@pytest.fixture
def embedded(world):
    folder = world.data / "embed"
    folder.mkdir(parents=True)
    for name, rows, columns in (
        ("images", IMAGES, ["id", "category"]),
        ("prompts", PROMPTS, ["hierarchical_label", "prompt"]),
    ):
        np.save(folder / f"{name}.npy", np.array([row[2] for row in rows], np.float32))
        write_parquet(pd.DataFrame([row[:2] for row in rows], columns=columns), folder / f"{name}.parquet")
    (folder / "summary.json").write_text(json.dumps({"model": "test CLIP"}))
    # images only; fusion with the other evidence is tested below
    return type(world)(world.folder, world.with_settings("refine", method="image"))


def _metrics(world) -> dict:
    return json.loads((world.data / "refine" / "metrics.json").read_text())


def test_one_proposal_for_every_unlabelled_category_with_images(embedded) -> None:
    run(embedded.params)
    table = read_parquet(embedded.data / "refine" / "proposals.parquet").set_index("category")
    assert dict(table["hierarchical_label"]) == {
        "Torn Place": "church",
        "Unknown Chapel": "church",
        "Unknown Lake": "lake",
    }
    torn = table.loc["Torn Place"]
    expected = 1 / (1 + np.exp((0.6 - 0.8) / embedded.params.refine.temperature))
    assert torn["score"] == pytest.approx(expected, abs=1e-4)
    assert torn["margin"] == pytest.approx(2 * expected - 1, abs=2e-4)
    assert (torn["images"], torn["evidence"], table.loc["Unknown Chapel", "images"]) == (
        1,
        "test CLIP: 1 image: church 0.98",
        2,
    )


def test_accuracy_is_measured_on_categories_with_a_known_label(embedded) -> None:
    run(embedded.params)
    metrics = _metrics(embedded)
    assert (metrics["accuracy"], metrics["chance"], metrics["majority"]) == (0.75, 0.5, 0.5)
    assert (metrics["coverage"], metrics["precision"], metrics["calibration_categories"]) == (1.0, 0.75, 4)
    assert (metrics["proposals"], metrics["accepted"]) == (3, 3)
    assert "accuracy_unlabelled" not in metrics
    known = read_parquet(embedded.data / "refine" / "calibration.parquet").set_index("category")
    assert known.loc["Red Chapel", ["hierarchical_label", "truth"]].tolist() == ["lake", "church"]


def test_true_labels_change_the_metrics_but_no_proposal(embedded) -> None:
    run(embedded.params)
    before = (embedded.data / "refine" / "proposals.parquet").read_bytes()
    Path("truth.csv").write_text(
        "category,train_landmark_id,drawn_as\n"
        "http://commons.wikimedia.org/wiki/Category:Unknown_Chapel,13,church\n"
        "Unknown Lake,14,church\nElsewhere,1,lake\n"
    )
    run(embedded.with_settings("refine", truth="truth.csv"))
    assert _metrics(embedded)["accuracy_unlabelled"] == 0.5
    assert _metrics(embedded)["unlabelled_measured"] == 2
    assert (embedded.data / "refine" / "proposals.parquet").read_bytes() == before


def test_accuracy_without_known_categories_is_null(embedded) -> None:
    folder = embedded.data / "embed"
    keep = [number for number, row in enumerate(IMAGES) if row[0] > "04"]
    np.save(folder / "images.npy", np.load(folder / "images.npy")[keep])
    write_parquet(read_parquet(folder / "images.parquet").iloc[keep], folder / "images.parquet")
    run(embedded.params)
    assert _metrics(embedded)["accuracy"] is None
    assert _metrics(embedded)["precision"] is None


def test_missing_truth_file_is_an_error(embedded) -> None:
    with pytest.raises(HgldError, match=r"no file truth.csv"):
        run(embedded.with_settings("refine", truth="truth.csv"))
    assert not (embedded.data / "refine").exists()


def test_unlabelled_accuracy_of_no_categories_counts_none() -> None:
    none = pd.DataFrame(columns=["category", "hierarchical_label"])
    assert unlabelled_accuracy(none, ROOT / "sources" / "sample" / "landmarks.csv")[1] == 0


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((3, 2), np.float32), r"\(3, 2\) vectors for 8 rows"),
        (np.eye(8, dtype=np.float32)[0], r"\(8,\) vectors for 8 rows"),
        (np.eye(8), "expected float32, found float64"),
        (np.eye(8, dtype=np.float32).astype("U4"), "expected float32, found <U4"),
        (np.eye(8, dtype=np.float32) * 7, "row 0 has the length 7, and not 1"),
        (np.diag(np.array([1, 1, np.nan, 1, 1, 1, 1, 1], np.float32)), "row 2 has the length nan"),
        (np.eye(8, dtype=np.float32), "images.npy has 8 columns and prompts.npy 2: not from the same run"),
    ],
)
def test_arrays_that_are_not_the_vectors_of_their_table_are_rejected(
    vectors: np.ndarray, message: str, embedded
) -> None:
    np.save(embedded.data / "embed" / "images.npy", vectors)
    with pytest.raises(HgldError, match=rf"embed.*{message}.*; run the stage that makes it: dvc repro embed"):
        run(embedded.params)


def test_vectors_that_do_not_match_their_table_are_rejected(embedded) -> None:
    (embedded.data / "embed" / "images.npy").write_bytes(b"\x93NUMPY nonsense")
    with pytest.raises(HgldError, match="not an array of vectors"):
        run(embedded.params)


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_summary_without_a_model_is_rejected(embedded, text: str | None) -> None:
    path = embedded.data / "embed" / "summary.json"
    path.unlink() if text is None else path.write_text(text, encoding="utf-8")
    with pytest.raises(HgldError, match=r"summary\.json.*dvc repro embed"):
        run(embedded.params)


def test_fused_evidence_gives_a_proposal_even_without_images(embedded) -> None:
    run(embedded.with_settings("refine", method="fused"))
    table = read_parquet(embedded.data / "refine" / "proposals.parquet").set_index("category")
    assert dict(table["hierarchical_label"])["Unknown Chapel"] == "church"
    assert dict(table["hierarchical_label"])["Unknown Lake"] == "lake"
    assert table.loc['Nowhere, "Purple"', "images"] == 0
    assert set(table["outcome"]) <= {"accepted", "review", "empty"}
    assert table.loc["Unknown Chapel", "evidence"].startswith("name: church")
    assert "test CLIP: 2 images: church" in table.loc["Unknown Chapel", "evidence"]
    metrics = _metrics(embedded)
    assert set(metrics["ablation"]) == {"class", "name", "image", "fused", "clip", "knn"}
    assert metrics["ablation"]["fused"]["accuracy"] >= metrics["ablation"]["image"]["accuracy"]
    assert set(metrics["image_accuracy_by_images_per_landmark"]) == {"1", "2"}


@pytest.mark.parametrize("method", ["clip", "knn"])
def test_published_baselines_vote(embedded, method: str) -> None:
    run(embedded.with_settings("refine", method=method, neighbours=3))
    table = read_parquet(embedded.data / "refine" / "proposals.parquet").set_index("category")
    assert dict(table["hierarchical_label"])["Unknown Lake"] == "lake"
    assert set(table["source"]) == {"clip"}
    assert table["score"].between(0, 1).all()


def test_the_name_of_a_class_without_a_path_labels_its_landmarks(embedded) -> None:
    folder = embedded.data / "wikidata"
    classes = read_parquet(folder / "item_classes.parquet")
    write_parquet(
        pd.concat([classes, pd.DataFrame({"qid": ["Q900"], "class": ["Q777"]})]),
        folder / "item_classes.parquet",
    )
    names = read_parquet(folder / "class_labels.parquet")
    write_parquet(pd.concat([names, pd.DataFrame({"qid": ["Q777"], "label": ["crater lakes of the moon"]})]),
                  folder / "class_labels.parquet")  # fmt: skip
    labels = read_parquet(embedded.data / "build" / "labels.parquet")
    labels.loc[labels["category"] == 'Nowhere, "Purple"', "qid"] = "Q900"
    write_parquet(labels, embedded.data / "build" / "labels.parquet")
    run(embedded.with_settings("refine", method="fused"))
    row = read_parquet(embedded.data / "refine" / "classes.parquet").set_index("class").loc["Q777"]
    assert (row["hierarchical_label"], row["categories"], row["evidence"]) == ("lake", 1, "head: crater lake")
    table = read_parquet(embedded.data / "refine" / "proposals.parquet").set_index("category")
    assert table.loc['Nowhere, "Purple"', ["hierarchical_label", "source"]].to_list() == ["lake", "class"]


def test_output_is_independent_of_row_order(embedded) -> None:
    params = embedded.with_settings("refine", method="fused")
    run(params)
    first = {path.name: path.read_bytes() for path in (embedded.data / "refine").iterdir()}
    for table in ("wikidata/item_classes", "wikidata/class_labels", "build/labels"):
        path = embedded.data / f"{table}.parquet"
        write_parquet(read_parquet(path).iloc[::-1], path)
    run(params)
    assert {path.name: path.read_bytes() for path in (embedded.data / "refine").iterdir()} == first


def test_names_and_classes_decide_without_any_image(world) -> None:
    """No tar is selected: nothing is embedded, CLIP is not loaded, and the other evidence still gives proposals."""
    images.run(world.with_settings("images", source=".", train=0, index=0, test=0))
    embed.run(world.with_settings("embed", model="not to be loaded"))
    run(world.params)
    table = read_parquet(world.data / "refine" / "proposals.parquet").set_index("category")
    assert table.loc["Unknown Chapel", "hierarchical_label"] == "church"
    assert table.loc["Unknown Lake", "hierarchical_label"] == "lake"
    assert set(table["images"]) == {0}
    assert set(table["source"]) <= {"class", "name"}
    assert _metrics(world)["ablation"]["image"]["speaks"] == 0.0
    queue.run(world.params)
    release.run(world.params)
    labels = read_parquet(world.data / "release" / "labels.parquet").set_index("category")
    assert labels.loc["Red Chapel", "source"] == "wikidata"
