"""The release as a folder that stands alone: what is in it, what describes it, and that it is the same each time."""

import json
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from hgld.foundation.errors import HgldError
from hgld.foundation.files import sha256
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.pipeline.release.texts.columns import TABLES, check_columns
from hgld.pipeline.release.texts.licences import LICENCES
from hgld.pipeline.stages import release
from tests.paths import ROOT
from tests.pipeline.release.conftest import rewrite


def test_every_file_is_in_the_checksums_and_in_the_readme(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    done = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert {line.split(": ")[0] for line in done.stdout.splitlines()} == names - {"SHA256SUMS"}
    text = (folder / "README.md").read_text()
    assert [name for name in names - {"README.md"} if f"[{name}]({name})" not in text] == []


def test_a_second_run_gives_the_same_bytes(proposed, folder: Path) -> None:
    first = {path.name: sha256(path) for path in folder.iterdir()}
    shutil.rmtree(proposed.data / "release")
    release.run(proposed.params)
    assert {path.name: sha256(path) for path in folder.iterdir()} == first


def test_columns_json_describes_every_column_of_every_table(folder: Path) -> None:
    content = json.loads((folder / "columns.json").read_text())
    tables = [path for path in folder.iterdir() if path.suffix in (".parquet", ".csv")]
    assert sorted(content) == sorted(path.name for path in tables)
    for path in tables:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str)
        table = content[path.name]
        assert [column["name"] for column in table["columns"]] == list(frame)
        assert all(len(column["about"]) > 5 for column in table["columns"])
        assert table["rows"] == len(frame)
        assert not frame.duplicated(table["key"]).any()


def test_a_column_that_nobody_described_is_an_error() -> None:
    frames = {
        table.file: pd.DataFrame({name: pd.Series(dtype="str") for name in table.columns})
        for table in TABLES
        if table.file.endswith("_hierarchical.csv")
    }
    train, index = frames
    frames[train]["height"] = "tall"
    frames[index]["supercategory"] = 1.5
    frames["more.parquet"] = frames[train]
    with pytest.raises(HgldError) as caught:
        check_columns(frames)
    text = str(caught.value)
    assert (
        f"{train}: has the columns landmark_id, category, supercategory" in text and "made, height; described" in text
    )
    assert f"{index}: column supercategory is number, described as text" in text
    assert "more.parquet: no such table in TABLES" in text
    assert "labels.parquet: not written" in text


def test_the_taxonomy_has_every_anchor_with_its_definition(folder: Path) -> None:
    curated = pd.read_csv(ROOT / "hierarchy/curated/taxonomy.csv", dtype=str, keep_default_na=False)
    definitions = pd.read_csv(ROOT / "hierarchy/curated/label_definitions.csv", dtype=str, keep_default_na=False)
    table = read_parquet(folder / "taxonomy.parquet")
    assert list(table["anchor_qid"]) == list(curated["anchor_qid"])
    assert set(table["hierarchical_label"]) == set(definitions["hierarchical_label"]) and "ocean area " in set(
        table["hierarchical_label"]
    )
    merged = table.merge(definitions, on="hierarchical_label")
    assert (merged["definition_x"] == merged["definition_y"]).all() and (merged["definition_x"] != "").all()
    as_csv = pd.read_csv(folder / "taxonomy.csv", keep_default_na=False)
    assert as_csv.astype(str).equals(table.astype(str))


def test_the_class_graph_has_every_step_of_a_path_also_the_shortcuts(folder: Path) -> None:
    table = read_parquet(folder / "class_graph.parquet")
    edges = dict(zip(zip(table["class"], table["parent"], strict=True), table["shortcut"], strict=True))
    # the edge that closed a cycle is not among them
    assert edges == {
        ("Q16970", "Q811979"): True, ("Q16970", "Q1370598"): False, ("Q23397", ""): False, ("Q811979", ""): False,
        ("Q1370598", "Q811979"): False,
    }  # fmt: skip
    assert list(table["class"].str[1:].astype(int)) == sorted(table["class"].str[1:].astype(int))
    church = table[table["class"] == "Q16970"].iloc[0]
    assert (church["class_label"], church["parent_label"], church["hierarchical_label"]) == (
        "church building",
        "architectural structure",
        "church",
    )


def test_each_source_has_its_licence(folder: Path) -> None:
    card = (ROOT / "DATA_CARD.md").read_text()
    for licence in LICENCES:
        text = (folder / licence.file).read_text()
        assert licence.title in text and licence.url in text and len(text) < 500
        short = {"CC-BY-4.0": "CC BY 4.0", "CC0-1.0": "CC0", "": "Creative Commons licences or public domain"}
        assert f"| {short[licence.spdx]}" in card


def test_the_citation_is_that_of_the_repository_for_a_data_set(proposed, folder: Path) -> None:
    rewrite(proposed, version="1.2.3", date="2026-01-31", homepage="https://example.org/h")
    cited = YAML(typ="safe").load(folder / "CITATION.cff")
    own = YAML(typ="safe").load(ROOT / "CITATION.cff")
    assert cited["references"] == own["references"] and cited["authors"] == own["authors"]
    assert (cited["type"], cited["version"], cited["license"]) == ("dataset", "1.2.3", "CC-BY-4.0")
    assert (str(cited["date-released"]), cited["url"]) == ("2026-01-31", "https://example.org/h")
    line = "H-GLDv2-sample, version 1.2.3. 2026-01-31. https://example.org/h."
    assert line in (folder / "README.md").read_text()


def test_a_person_is_cited_as_one(proposed, folder: Path) -> None:
    own = Path("CITATION.cff")
    person = "authors:\n  - {family-names: Lopes, given-names: Ana}\n"
    own.write_text(own.read_text().replace("authors:\n", person, 1))
    rewrite(proposed)
    creators = json.loads((folder / "croissant.json").read_text())["creator"]
    assert creators == [
        {"@type": "sc:Person", "name": "Ana Lopes"},
        {"@type": "sc:Organization", "name": "The hgld maintainers"},
    ]
    assert "\nAna Lopes, The hgld maintainers. H-GLDv2-sample, version 0.1.\n" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("DATA_CARD.md", None, "no DATA_CARD.md here; run hgld in the root"),
        ("CITATION.cff", None, "no CITATION.cff here; run hgld in the root"),
        ("CITATION.cff", "title: x\n", "CITATION.cff: expected a citation file with authors and references"),
        ("DATA_CARD.md", "prose\n", "DATA_CARD.md: no text between <!-- release --> and <!-- /release -->"),
        ("DATA_CARD.md", "a\n<!-- release -->\nb\n", "DATA_CARD.md:2: <!-- release --> is never closed"),
        ("DATA_CARD.md", "a\n<!-- /release -->\n", "DATA_CARD.md:2: <!-- release --> and <!-- /release --> do not"),
        (
            "DATA_CARD.md",
            "<!-- release -->\n<!-- numbers:benchmark -->\n<!-- /numbers -->\n<!-- /release -->\n",
            "DATA_CARD.md:2: block 'numbers:benchmark' is not one of a release",
        ),
        (
            "DATA_CARD.md",
            "<!-- release -->\n<!-- numbers:split -->\n<!-- /numbers -->\n<!-- /release -->\n",
            "did you mean 'splits'?",
        ),
        ("DATA_CARD.md", "<!-- release -->\n<!-- numbers:splits -->\n<!-- /release -->\n", "or never closed"),
    ],
)
def test_a_text_that_is_missing_or_malformed_stops_the_release(
    proposed, folder: Path, file: str, text: str | None, message: str
) -> None:
    before = sha256(folder / "SHA256SUMS")
    Path(file).unlink()
    if text is not None:
        Path(file).write_text(text)
    with pytest.raises(HgldError) as caught:
        release.run(proposed.params)
    assert message in str(caught.value)
    assert sha256(folder / "SHA256SUMS") == before


def test_the_readme_repeats_the_marked_text_with_the_numbers_of_the_release(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    assert "## Known limits" in text and "| train | 7 | 14 | 8 |" in text
    assert "sample** " not in text and "<!--" not in text and "Made from" not in text
    assert "What a model reaches" not in text


def test_a_label_without_a_definition_is_named(proposed) -> None:
    curated = Path("curated")
    shutil.copytree(ROOT / "hierarchy/curated", curated)
    path = curated / "label_definitions.csv"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("beach,")))
    with pytest.raises(HgldError, match="no definition of 'beach'"):
        release.run(proposed.with_settings("build", taxonomy=str(curated)))


def test_the_class_graph_is_independent_of_row_order(proposed, folder: Path) -> None:
    first = sha256(folder / "class_graph.parquet")
    for name in ("classes", "dag", "removed_edges"):
        path = proposed.data / "build" / f"{name}.parquet"
        write_parquet(read_parquet(path).iloc[::-1], path)
    release.run(proposed.params)
    assert sha256(folder / "class_graph.parquet") == first
