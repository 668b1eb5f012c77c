"""A release loads where people work: each library, each configuration, and every snippet of the two documents."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hgld.foundation.tables import read_parquet
from hgld.hierarchy.curation.verdict import Verdict
from hgld.hierarchy.curation.verdicts import append_verdict
from hgld.pipeline.release.texts.columns import CONFIGS, TABLES
from tests.paths import ROOT
from tests.pipeline.release.conftest import rewrite

# Of libraries that are not ours, and of what they use.
pytestmark = pytest.mark.filterwarnings("ignore")
NAMES = ["labels", "train", "index", "test", "taxonomy", "evidence", "quality", "class_graph"]


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request, and no file outside the folder of the test."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.mark.parametrize("name", NAMES)
def test_hugging_face_datasets(folder: Path, offline: None, tmp_path: Path, name: str) -> None:
    import datasets

    table = datasets.load_dataset(str(folder), name, split=name, cache_dir=str(tmp_path / "cache"))
    assert table.to_list() == _rows(read_parquet(folder / CONFIGS[name].file))


def test_hugging_face_lists_the_configurations_and_checks_the_number_of_rows(
    folder: Path, offline: None, tmp_path: Path
) -> None:
    import datasets
    from datasets.exceptions import NonMatchingSplitsSizesError

    assert datasets.get_dataset_config_names(str(folder)) == NAMES
    assert list(datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))) == ["labels"]
    copy = shutil.copytree(folder, tmp_path / "cut")
    pd.read_parquet(copy / "train.parquet").iloc[1:].to_parquet(copy / "train.parquet", index=False)
    with pytest.raises(NonMatchingSplitsSizesError):
        datasets.load_dataset(str(copy), "train", cache_dir=str(tmp_path / "cache"))


def test_hugging_face_accepts_the_head_of_the_card(proposed, folder: Path) -> None:
    from huggingface_hub import DatasetCard, DatasetCardData

    card = DatasetCard.load(folder / "README.md")
    assert isinstance(card.data, DatasetCardData)
    assert DatasetCard(str(card)).data.to_dict() == card.data.to_dict()
    assert (card.data.license, card.data.language) == ("cc-by-4.0", ["en"])
    assert card.data.size_categories == ["n<1K"]
    assert card.data.annotations_creators == ["machine-generated"]
    assert "H-GLDv2-sample 0.1" in card.text and "drawn images" in card.text


def test_the_card_says_that_people_decided_labels(proposed, folder: Path) -> None:
    from huggingface_hub import DatasetCard

    append_verdict(Path("review"), Verdict("Unknown Lake", "lake", "", "", "", "ana", "2026-01-03", ""))
    rewrite(proposed, name="Other", version="1.0")
    card = DatasetCard.load(folder / "README.md")
    assert card.data.annotations_creators == ["machine-generated", "expert-generated"]
    assert card.data.pretty_name == "Other" and "| annotators | 1 | 2 | 0 | 0 |" in card.text


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.file)
def test_polars_and_duckdb_read_what_pandas_reads(folder: Path, table: Any) -> None:
    import duckdb
    import polars

    path = folder / table.file
    if path.suffix == ".parquet":
        expected = read_parquet(path)
        frame = polars.read_parquet(path)
        relation = duckdb.sql(f"SELECT * FROM '{path}'")
    else:
        expected = pd.read_csv(path, dtype=str, keep_default_na=False)
        frame = polars.read_csv(path, infer_schema=False).fill_null("")
        relation = duckdb.sql(f"SELECT * FROM read_csv('{path}', all_varchar=true, force_not_null={list(expected)})")
    assert frame.to_dicts() == _rows(expected)
    assert [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()] == _rows(expected)


def _plain(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("name", NAMES)
def test_mlcroissant_iterates_over_the_records(folder: Path, name: str) -> None:
    import mlcroissant

    records = mlcroissant.Dataset(str(folder / "croissant.json")).records(name)
    found = [{key.removeprefix(f"{name}/"): _plain(value) for key, value in record.items()} for record in records]
    assert found == _rows(read_parquet(folder / CONFIGS[name].file))


def test_croissant_is_valid_without_a_warning_once_it_is_published(proposed, folder: Path) -> None:
    import mlcroissant

    rewrite(proposed, version="2.0", date="2026-01-31", homepage="https://example.org/h")
    metadata = mlcroissant.Dataset(str(folder / "croissant.json")).metadata
    assert not metadata.issues.errors and not metadata.issues.warnings
    assert str(metadata.conforms_to[0]).endswith("croissant/1.1")
    assert (metadata.name, str(metadata.version)) == ("H-GLDv2-sample", "2.0.0")
    assert metadata.data_biases and metadata.data_limitations and metadata.personal_sensitive_information
    files = {file.name: file for file in metadata.distribution}
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert {name: file.sha256 for name, file in files.items()} == {table.file: sums[table.file] for table in TABLES}


def test_a_program_that_reads_gldv2s_file_reads_ours(folder: Path) -> None:
    """Columns, order and quoting of the published file, as pandas and as the csv module see them."""
    lines = (folder / "train_label_to_hierarchical.csv").read_bytes().decode().split("\n")
    assert lines[0] == "landmark_id,category,supercategory,hierarchical_label,natural_or_human_made"
    assert lines[1] == "10,http://commons.wikimedia.org/wiki/Category:Red_Chapel,church building,church,human-made"
    table = pd.read_csv(folder / "train_label_to_hierarchical.csv")
    assert table["landmark_id"].tolist() == list(range(10, 17)) and table["landmark_id"].dtype == "int64"
    assert table["supercategory"].isna().tolist() == [False, False, False, True, True, True, True]


def _snippets(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def _run(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    cache = {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1"}
    path = os.pathsep.join(filter(None, [str(ROOT / ".typing"), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **cache, "PYTHONPATH": path}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


CHECKS = [
    "assert len(train) == 14 and len(landmarks) == 7 and landmarks['hierarchical_label'][6] == ''",
    "assert labels.num_rows == 8 and labels.column_names[0] == 'category'",
    "assert sum(largest['len']) == 14",
    "assert len(natural.fetchall()) == 2",
    "assert label == 'zoo', label",
    "assert image.size == (24, 20) and labels.shape == (3,)",
]


@pytest.fixture
def pictures(pictured, folder: Path) -> Path:
    """The folder beside the release, with the images where its README.md and docs/release.md expect them."""
    (pictured.folder / "images").symlink_to(pictured.folder / pictured.data / "images")
    return pictured.folder


def test_every_snippet_of_the_readme_runs(pictures: Path, folder: Path) -> None:
    snippets = _snippets((folder / "README.md").read_text())
    code = "\n".join(part for pair in zip(snippets, CHECKS, strict=True) for part in pair)
    done = _run(code, pictures)
    assert done.returncode == 0, done.stderr


def test_every_snippet_of_the_page_runs(pictures: Path, folder: Path) -> None:
    snippets = _snippets((ROOT / "docs" / "release.md").read_text())
    checks = [
        "assert labels.num_rows == 8",
        "assert len(natural) == 2",
        "assert [len(row) for row in unlabelled] == [2] * 3",
        "assert images.shape[1:] == (3, 64, 64) and len(images) == len(labels) and labels.shape[1] == 3\n"
        "assert train.class_names[1][labels[0, 1]] in ('church', 'lake')",
    ]
    done = _run("\n".join(part for pair in zip(snippets, checks, strict=True) for part in pair), pictures)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["metadata.json", "card.json", "columns.json", "croissant.json"])
def test_json_has_no_number_that_json_does_not_know(folder: Path, name: str) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads((folder / name).read_text(), parse_constant=refuse)
