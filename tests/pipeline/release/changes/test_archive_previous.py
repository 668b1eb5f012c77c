"""`hgld archive --previous`: what a published version says about the one before, and which step its number needs."""

import csv
import json
import re
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation.errors import HgldError
from hgld.foundation.files import sha256
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.hierarchy.curation.verdicts import Verdict, append_verdict
from hgld.pipeline.release.archive import archive
from hgld.pipeline.release.changes.version_step import Step, check_step, required_step
from hgld.pipeline.release.verification.verify import verify
from hgld.pipeline.stages import release
from tests.pipeline.release.conftest import rewrite
from tests.pipeline.release.plain_release import sign

PUBLISHED = Path("published")
NEW_FILES = {"CHANGES.md", "changes.csv", "changes.html", "changes.json", "deprecated.csv"}


@pytest.fixture
def old(proposed) -> Path:
    """The release of version 0.1, moved away."""
    release.run(proposed.params)
    return (proposed.data / "release").rename("old")


def judge(label: str = "castle / fort", when: str = "2026-01-03") -> None:
    append_verdict(Path("review"), Verdict("Red Chapel", label, "", "", "", "ana", when))


def next_version(proposed, version: str = "0.2") -> Path:
    rewrite(proposed, version=version)
    return Path(proposed.data / "release")


def unpacked(name: str, folder: str) -> Path:
    with zipfile.ZipFile(PUBLISHED / f"{name}.zip") as file:
        file.extractall(folder)
    return Path(folder) / name


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_the_published_folder_says_what_changed_and_verifies(proposed, old: Path) -> None:
    judge()
    new = next_version(proposed)
    done = archive(new, PUBLISHED, old)
    assert done.lines()[0] == "since 0.1, 2 landmark(s) changed: verdict on the landmark 2"
    folder = unpacked("H-GLDv2-sample-0.2", "unpacked")
    assert {path.name for path in folder.iterdir()} == {path.name for path in new.iterdir()} | NEW_FILES
    assert verify(folder).faults == []
    text = (folder / "CHANGES.md").read_text(encoding="utf-8")
    assert "## 0.2\n\n2 of 12 landmarks differ from 0.1 (minor: 2 landmark(s) differ)." in text
    assert "| verdict on the landmark | 2 |" in text and "| church | castle / fort | 2 |" in text
    found = [(row["split"], row["landmark_id"], row["cause"], row["by"]) for row in rows(folder / "changes.csv")]
    assert found == [("train", "10", "verdict", "ana"), ("index", "7", "verdict", "ana")]
    assert rows(folder / "deprecated.csv") == []
    page = (folder / "changes.html").read_text(encoding="utf-8")
    assert "<h1>H-GLDv2-sample: 0.1 → 0.2</h1>" in page and str(proposed.folder) not in page


def test_the_previous_version_may_be_its_archive_and_the_bytes_are_the_same(proposed, old: Path) -> None:
    archive(old, PUBLISHED)
    judge()
    new = next_version(proposed)
    first = archive(new, PUBLISHED, PUBLISHED / "H-GLDv2-sample-0.1.zip")
    again = archive(new, Path("elsewhere"), old)
    assert first.sha256 == again.sha256
    assert archive(new, PUBLISHED, old).existed
    with pytest.raises(HgldError, match=r"changes\.csv is in it, and not in the release"):
        archive(new, PUBLISHED)


def test_the_changelog_and_the_deprecations_go_on_from_version_to_version(proposed, old: Path) -> None:
    table = Path(proposed.data / "metadata/train_label_to_category.parquet")
    whole = {name: read_parquet(table.with_name(f"{name}.parquet"))
             for name in ("train", "train_clean", "train_label_to_category")}  # fmt: skip
    for name, frame in whole.items():
        write_parquet(frame[frame["landmark_id"] != "13"], table.with_name(f"{name}.parquet"))
    second = next_version(proposed)
    archive(second, PUBLISHED, old)
    assert rows(unpacked("H-GLDv2-sample-0.2", "u2") / "deprecated.csv") == [
        {"kind": "landmark", "split": "train", "id": "13", "label": "church", "since": "0.2", "replaced_by": ""},
    ]
    judge()
    third = next_version(proposed, "0.3")
    archive(third, PUBLISHED, PUBLISHED / "H-GLDv2-sample-0.2.zip")
    folder = unpacked("H-GLDv2-sample-0.3", "u3")
    versions = json.loads((folder / "changes.json").read_text())["versions"]
    found = [(own["version"], own["after"], own["changed"]) for own in versions]
    assert found == [("0.3", "0.2", 2), ("0.2", "0.1", 1)]
    assert [row["since"] for row in rows(folder / "deprecated.csv") if row["kind"] == "landmark"] == ["0.2"]
    text = (folder / "CHANGES.md").read_text(encoding="utf-8")
    assert text.index("## 0.3") < text.index("## 0.2") and text.count("GLDv2's own metadata") == 1
    assert verify(folder).faults == []
    for name, frame in whole.items():
        write_parquet(frame, table.with_name(f"{name}.parquet"))
    archive(next_version(proposed, "0.4"), PUBLISHED, PUBLISHED / "H-GLDv2-sample-0.3.zip")
    assert rows(unpacked("H-GLDv2-sample-0.4", "u4") / "deprecated.csv") == []


@pytest.mark.parametrize("version", ["0.1", "0.1.1", "0.0.9"])
def test_a_label_that_moves_needs_a_minor_step(proposed, old: Path, version: str) -> None:
    judge()
    new = next_version(proposed, version)
    with pytest.raises(HgldError) as caught:
        archive(new, PUBLISHED, old)
    assert str(caught.value) == (
        f"H-GLDv2-sample {version} is too small a step after 0.1, as 2 landmark(s) differ (minor): set release.version "
        'in params.yaml to "0.2" or higher, and run dvc repro release'
    )
    assert not PUBLISHED.exists()


def test_nothing_new_needs_no_step_and_another_table_a_minor_one(proposed, old: Path) -> None:
    new = next_version(proposed, "0.1.1")
    assert required_step(old, new, 0) == Step("none", "no table differs")
    archive(new, PUBLISHED, old)
    assert "No landmark differs from 0.1." in (unpacked("H-GLDv2-sample-0.1.1", "u") / "CHANGES.md").read_text()
    table = read_parquet(new / "evidence.parquet")
    write_parquet(table.assign(note="other"), new / "evidence.parquet")
    assert required_step(old, new, 0) == Step("minor", "evidence.parquet differs")
    write_parquet(table.assign(more=1), new / "evidence.parquet")
    assert required_step(old, new, 0) == Step("minor", "evidence.parquet has a further column")
    write_parquet(table, new / "evidence.parquet")
    write_parquet(table, new / "more.parquet")
    assert required_step(old, new, 0) == Step("minor", "more.parquet is new")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda table: table.drop(columns="note"), "evidence.parquet has no column note any more"),
        (lambda table: table.assign(score="1"), "column score of evidence.parquet is string, was double"),
        (lambda table: table[list(table)[::-1]], "the columns of evidence.parquet are in another order"),
        (None, "evidence.parquet is gone"),
    ],
)  # fmt: skip
def test_another_format_needs_a_major_step(proposed, old: Path, change, why: str) -> None:
    new = next_version(proposed, "0.9")
    path = new / "evidence.parquet"
    if change is None:
        path.unlink()
    else:
        write_parquet(change(read_parquet(path)), path)
    step = required_step(old, new, 0)
    assert step == Step("major", why)
    with pytest.raises(HgldError, match=re.escape(f'as {why} (major): set release.version in params.yaml to "1.0" or')):
        check_step(old, new, step)


def test_texts_that_differ_under_one_version_need_a_patch(proposed, old: Path) -> None:
    new = next_version(proposed, "0.1")
    (new / "README.md").write_text("other")
    step = required_step(old, new, 0)
    assert step == Step("patch", "README.md differs")
    with pytest.raises(HgldError, match=r'to "0\.1\.1" or higher'):
        check_step(old, new, step)


def test_what_is_no_former_version_is_one_line(proposed, old: Path) -> None:
    judge()
    new = next_version(proposed)
    Path("text.zip").write_text("no archive")
    with zipfile.ZipFile("slip.zip", "w") as file:
        file.writestr("../../evil.csv", "x")
    damaged = Path(shutil.copytree(old, "damaged"))
    (damaged / "labels.parquet").write_bytes(b"PAR1")
    other = Path(shutil.copytree(old, "other"))
    metadata = json.loads((other / "metadata.json").read_text())
    (other / "metadata.json").write_text(json.dumps({**metadata, "name": "Other"}))
    sign(other)
    for path, message in (
        ("nowhere", "no release nowhere"),
        ("text.zip", "text.zip: not an archive of a release"),
        ("slip.zip", "slip.zip: not an archive of a release: it holds '../../evil.csv'"),
        (str(damaged), "damaged/labels.parquet: differs from its checksum in SHA256SUMS"),
        (str(other), "other is Other, and not a former version of H-GLDv2-sample"),
        (str(new), "is the release itself; --previous takes the version before it"),
    ):
        done = CliRunner().invoke(main, ["archive", str(new), "--out", "published", "--previous", path])
        assert (done.exit_code, message in done.output) == (1, True), done.output
        assert "Traceback" not in done.output
    assert not PUBLISHED.exists() and not Path("../evil.csv").exists()


def test_a_former_release_of_an_older_version_gives_changes_without_causes(proposed, old: Path) -> None:
    for name in ("candidates.parquet", "verdicts.parquet", "cut_edges.parquet"):
        (old / name).unlink()
    sign(old)
    judge()
    new = next_version(proposed)
    done = CliRunner().invoke(main, ["archive", str(new), "--out", "published", "--previous", "old"])
    assert "since 0.1, 2 landmark(s) changed: not explained 2" in done.output
    folder = unpacked("H-GLDv2-sample-0.2", "u")
    note = "H-GLDv2-sample 0.1 lacks cut_edges.parquet, candidates.parquet, verdicts.parquet: an older version of hgld"
    assert note in (folder / "changes.html").read_text(encoding="utf-8")
    assert {row["edits"] for row in rows(folder / "changes.csv")} == {f"{note} wrote it"}
    text = (folder / "CHANGES.md").read_text(encoding="utf-8")
    assert "causes could not be found, as the former release was written by an older" in text
    done = CliRunner().invoke(main, ["compare", "old", str(new)])
    assert "causes could not be found: H-GLDv2-sample 0.1 (old) lacks cut_edges.parquet" in done.output


def test_verify_names_what_does_not_agree_with_the_changes(proposed, old: Path) -> None:
    judge()
    archive(next_version(proposed), PUBLISHED, old)
    folder = unpacked("H-GLDv2-sample-0.2", "unpacked")

    def faults(name: str, change) -> list[str]:
        copy = Path(shutil.copytree(folder, f"copy-{name}"))
        change(copy)
        sign(copy)
        found = [line.removeprefix(f"{copy}/") for line in verify(copy).faults]
        shutil.rmtree(copy)
        return found

    def edit(file: str, before: str, after: str):
        def change(copy: Path) -> None:
            text = (copy / file).read_text(encoding="utf-8")
            assert before in text
            (copy / file).write_text(text.replace(before, after), encoding="utf-8")

        return change

    assert faults("none", lambda copy: None) == []
    assert faults("gone", lambda copy: (copy / "changes.csv").unlink()) == ["changes.csv: missing beside CHANGES.md"]
    assert faults("label", edit("changes.csv", "castle / fort", "lake")) == [
        "changes.csv: landmarks with another new label than the release (2): 'train 10', 'index 7'"
    ]
    assert faults("cause", edit("changes.csv", ",verdict,", ",magic,")) == [
        "changes.json: counts the causes of changes otherwise than changes.csv has them",
        "changes.csv: rows of an unknown kind or cause (2): 'train 10', 'index 7'",
    ]
    assert faults("version", edit("changes.json", '"version": "0.2"', '"version": "0.3"')) == [
        "changes.json: its newest version is 0.3; metadata.json says 0.2"
    ]
    assert faults("text", lambda copy: (copy / "changes.json").write_text('{"versions": [1]}'))[0].startswith(
        "changes.json: not what hgld archive writes"
    )
    line = "landmark,train,10,church,0.2,\n"
    assert faults("back", edit("deprecated.csv", "replaced_by\n", f"replaced_by\n{line}")) == [
        "deprecated.csv: landmarks of train that are gone, and in the release (1): '10'"
    ]


def test_the_bytes_do_not_depend_on_the_run(proposed, old: Path) -> None:
    judge()
    new = next_version(proposed)
    assert (
        archive(new, Path("a"), old).sha256
        == archive(new, Path("b"), old).sha256
        == sha256(Path("a/H-GLDv2-sample-0.2.zip"))
    )


def test_every_column_of_the_changes_is_described(proposed, old: Path) -> None:
    judge()
    archive(next_version(proposed), PUBLISHED, old)
    folder = unpacked("H-GLDv2-sample-0.2", "u")
    text = (folder / "CHANGES.md").read_text(encoding="utf-8")
    for name in ("changes.csv", "deprecated.csv"):
        assert all(f"| `{column}` | " in text for column in pd.read_csv(folder / name, dtype=str).columns)
