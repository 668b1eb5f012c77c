"""`hgld classify` on class names, landmark names and URLs."""

import csv
import gzip
import os
import random
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv
from hgld.pipeline.commands.classify import classify
from tests.paths import PUBLISHED_LABELS, SHARED

WITH_PUBLISHED = pytest.mark.skipif(
    not PUBLISHED_LABELS.is_file(), reason="the published labels are not beside this checkout"
)


def write(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([columns, *rows])
    return path


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_every_text_gets_a_row_in_the_order_of_the_input(tmp_path):
    texts = ["parish church", "", "http://commons.wikimedia.org/wiki/Category:Farol_da_Barra", "Category:Wat Pho",
             "parish church", "Qwrtzp", "province"]  # fmt: skip
    table = write(tmp_path / "in.csv", ["n", "text"], [[str(n), text] for n, text in enumerate(texts)])
    classify(table, "text", tmp_path / "out.csv")
    result = read(tmp_path / "out.csv")
    assert list(result.columns) == [
        "n",
        "text",
        "hierarchical_label",
        "score",
        "margin",
        "evidence",
        "because",
    ]
    assert result["text"].tolist() == texts
    labels = result["hierarchical_label"].tolist()
    assert labels[0] == labels[4] == "church"
    assert labels[1] == "" and result["evidence"][1] == "empty"
    assert labels[2:4] == ["lighthouse", "buddhist temple"]
    assert labels[5] != "" and result["evidence"][5] == "class text"
    assert labels[6] == "" and result["evidence"][6] == "open"
    scores = result["score"].astype(float)
    assert scores.between(0, 1).all() and (result["margin"].astype(float) <= scores).all()


def test_input_columns_with_the_name_of_an_output_column_are_renamed(tmp_path):
    table = write(tmp_path / "in.csv", ["text", "hierarchical_label"], [["lake", "mine"]])
    classify(table, "text", tmp_path / "out.csv")
    row = read(tmp_path / "out.csv").iloc[0]
    assert (row["input_hierarchical_label"], row["hierarchical_label"]) == ("mine", "lake")


def test_its_own_output_can_be_classified_again(tmp_path):
    """Each column keeps its values under a name of its own."""
    path = write(tmp_path / "0.csv", ["text", "score"], [["lake", "mine"]])
    for turn in range(1, 4):
        path, before = tmp_path / f"{turn}.csv", path
        classify(before, "text", path)
    result = read_csv(path, ["text", "score"], extra=True)
    assert result.filter(like="score").iloc[0].to_dict() == {
        "input_score": "mine", "input_input_score": "0.9900", "input_input_input_score": "0.9900", "score": "0.9900",
    }  # fmt: skip


def test_labelled_names_train_the_model_and_empty_labels_are_ignored(tmp_path):
    rows = [[f"Zork {n}", "lake"] for n in range(12)] + [[f"Blorb {n}", "church"] for n in range(12)]
    labels = tmp_path / "labels.csv.gz"
    with gzip.open(labels, "wt", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([["category", "hierarchical_label"], *rows, ["Zork 99", ""]])
    table = write(tmp_path / "in.csv", ["name"], [["Zork 77"], ["Blorb 78"], ["Zork 3"], ["Zork 99"]])
    classify(table, "name", tmp_path / "out.csv", labelled=labels)
    result = read(tmp_path / "out.csv")
    assert result["hierarchical_label"].tolist() == ["lake", "church", "lake", "lake"]
    assert result["evidence"][2] == "labelled"
    assert result["evidence"][3] == "name model"
    assert result["because"][3].startswith("24 labelled names; next: ")


@pytest.mark.parametrize(
    ("rows", "column", "message"),
    [
        ([["lake"]], "nme", "no column 'nme'.*did you mean 'name'"),
        ([["lake"], ["%E9cole"]], "name", r"in\.csv:3: the percent-encoding"),
        ([["lake", "x"]], "name", r"in\.csv:2: 2 values for 1 columns"),
    ],
)
def test_invalid_input_is_reported_with_file_and_line(tmp_path, rows, column, message):
    table = write(tmp_path / "in.csv", ["name"], rows)
    with pytest.raises(HgldError, match=message):
        classify(table, column, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_the_input_is_not_overwritten(tmp_path):
    table = write(tmp_path / "in.csv", ["name"], [["lake"]])
    with pytest.raises(HgldError, match="is the input"):
        classify(table, "name", table)


def test_a_single_label_is_not_enough_to_train(tmp_path):
    table = write(tmp_path / "in.csv", ["name"], [["lake"]])
    labels = write(tmp_path / "labels.csv", ["name", "hierarchical_label"], [["a", "lake"], ["b", "lake"], ["c", ""]])
    with pytest.raises(HgldError, match="two different labels"):
        classify(table, "name", tmp_path / "out.csv", labelled=labels)


def test_a_folder_without_a_snapshot_is_an_error(tmp_path):
    table = write(tmp_path / "in.csv", ["name"], [["lake"]])
    with pytest.raises(HgldError, match="no snapshot"):
        classify(table, "name", tmp_path / "out.csv", facts=tmp_path)


@pytest.mark.skipif(not (SHARED / "wikidata").is_dir(), reason="the excerpt of Wikidata is not beside this checkout")
def test_a_snapshot_is_evidence_with_class_and_path(tmp_path):
    table = write(tmp_path / "in.csv", ["name"], [["grande école"]])
    classify(table, "name", tmp_path / "out.csv", facts=SHARED / "wikidata")
    row = read(tmp_path / "out.csv").iloc[0]
    assert row["hierarchical_label"] == "school"
    assert row["evidence"] == "class"
    assert row["because"].startswith("class Q") and " → " in row["because"]


@WITH_PUBLISHED
def test_output_does_not_depend_on_the_order_of_labels_or_the_hash_seed(tmp_path):
    with gzip.open(PUBLISHED_LABELS, "rt", encoding="utf-8", newline="") as handle:
        header, *rows = list(csv.reader(handle))
    table = write(tmp_path / "in.csv", header, rows[:60])
    training = rows[60:460]
    outputs = []
    for seed in ("1", "2"):
        random.Random(seed).shuffle(training)
        labels = write(tmp_path / f"labels{seed}.csv", header, training)
        out = tmp_path / f"out{seed}.csv"
        command = [sys.executable, "-m", "hgld.cli", "classify", str(table), "--column", "category",
                   "--labelled", str(labels), "-o", str(out)]  # fmt: skip
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True)
        outputs.append(out.read_bytes())
    assert outputs[0] == outputs[1]
