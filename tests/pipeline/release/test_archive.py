"""`hgld archive`: the same bytes each time, and no version under which another content was published."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation.errors import HgldError
from hgld.foundation.files import sha256
from hgld.hierarchy.curation.verdict import Verdict
from hgld.hierarchy.curation.verdicts import append_verdict
from hgld.pipeline.release.archive import archive
from tests.pipeline.release.conftest import rewrite

PUBLISHED = Path("published")
ZIP = PUBLISHED / "H-GLDv2-sample-0.1.zip"


def test_two_archives_are_byte_equal_whatever_the_clock_and_the_modes(folder: Path) -> None:
    first = archive(folder, PUBLISHED)
    copy = Path(shutil.copytree(folder, "copy"))
    for number, path in enumerate(sorted(copy.iterdir(), reverse=True)):
        os.utime(path, (10**9 + number, 10**9 + number))
        path.chmod(0o600)
    second = archive(copy, Path("elsewhere"))
    assert first.sha256 == second.sha256 == sha256(ZIP)
    assert (first.existed, second.existed) == (False, False)


def test_it_unpacks_to_a_folder_with_name_and_version_whose_checksums_hold(folder: Path) -> None:
    archive(folder, PUBLISHED)
    with zipfile.ZipFile(ZIP) as file:
        file.extractall("unpacked")
    unpacked = Path("unpacked/H-GLDv2-sample-0.1")
    assert {path.name: sha256(path) for path in unpacked.iterdir()} == {p.name: sha256(p) for p in folder.iterdir()}


def test_the_same_version_twice_changes_nothing(folder: Path) -> None:
    archive(folder, PUBLISHED)
    before = ZIP.stat().st_mtime_ns
    again = archive(folder, PUBLISHED)
    assert again.existed and "is there already, unchanged" in again.text()
    assert ZIP.stat().st_mtime_ns == before


def test_a_version_with_other_content_is_refused_and_the_first_table_that_differs_is_named(
    proposed, folder: Path
) -> None:
    before = archive(folder, PUBLISHED).sha256
    append_verdict(Path("review"), Verdict("Unknown Lake", "lake", "", "", "", "ana", "2026-01-03", ""))
    rewrite(proposed)
    with pytest.raises(HgldError) as caught:
        archive(folder, PUBLISHED)
    message = str(caught.value)
    assert f"{ZIP} is another release under the same name and version: evidence.parquet differs" in message
    assert "raise release.version in params.yaml" in message
    assert sha256(ZIP) == before
    rewrite(proposed, version="0.2")
    assert archive(folder, PUBLISHED).path.name == "H-GLDv2-sample-0.2.zip"


def test_a_file_more_or_less_is_named(folder: Path) -> None:
    archive(folder, PUBLISHED)
    with zipfile.ZipFile(ZIP, "a") as file:
        file.writestr("H-GLDv2-sample-0.1/more.csv", "a\n")
    with pytest.raises(HgldError, match=r"more\.csv is in it, and not in the release"):
        archive(folder, PUBLISHED)
    with zipfile.ZipFile(ZIP, "w") as file:
        file.writestr("other/x", "a\n")
    with pytest.raises(HgldError, match=r"candidates\.parquet is not in it"):
        archive(folder, PUBLISHED)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("text", "not an archive of a release: File is not a zip file"),
        ("cut", "not an archive of a release: "),
        ("content", "not an archive of a release: Bad CRC-32"),
        ("a date", "packed otherwise or damaged"),
    ],
)
def test_a_damaged_archive_is_one_line(folder: Path, damage: str, message: str) -> None:
    archive(folder, PUBLISHED)
    data = ZIP.read_bytes()
    place = data.index(b"PAR1") + 100 if damage == "content" else 10  # the time of the first member
    flipped = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    ZIP.write_bytes({"text": b"x", "cut": data[:-30]}.get(damage, flipped))
    with pytest.raises(HgldError) as caught:
        archive(folder, PUBLISHED)
    assert str(caught.value).startswith(str(ZIP)) and str(caught.value).count("\n") == 0
    assert message in str(caught.value)


def test_a_release_that_was_changed_by_hand_is_not_archived(folder: Path) -> None:
    copy = Path(shutil.copytree(folder, "copy"))
    data = bytearray((copy / "train.parquet").read_bytes())
    data[100] ^= 1
    (copy / "train.parquet").write_bytes(data)
    (copy / "test.parquet").unlink()
    (copy / "notes.txt").write_text("mine")
    with pytest.raises(HgldError) as caught:
        archive(copy, PUBLISHED)
    lines = str(caught.value).splitlines()
    assert lines[1:] == [
        "copy/notes.txt: not in SHA256SUMS",
        "copy/test.parquet: missing",
        "copy/train.parquet: differs from its checksum in SHA256SUMS",
    ]
    assert not PUBLISHED.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no copy/SHA256SUMS; write it again: dvc repro release"),
        ("abc  train.parquet\n", "copy/SHA256SUMS:1: expected a checksum and a file name"),
        (f"{'0' * 64}  ../secret\n", "copy/SHA256SUMS:1: expected a checksum and a file name"),
    ],
)
def test_checksums_that_are_none_are_errors(folder: Path, text: str | None, message: str) -> None:
    copy = Path(shutil.copytree(folder, "copy"))
    (copy / "SHA256SUMS").unlink()
    if text is not None:
        (copy / "SHA256SUMS").write_text(text)
    with pytest.raises(HgldError) as caught:
        archive(copy, PUBLISHED)
    assert message in str(caught.value)


def test_a_name_that_leads_elsewhere_is_refused(folder: Path) -> None:
    copy = Path(shutil.copytree(folder, "copy"))
    metadata = json.loads((copy / "metadata.json").read_text())
    (copy / "metadata.json").write_text(json.dumps({**metadata, "name": "../../etc/x"}))
    sums = (copy / "SHA256SUMS").read_text().splitlines()
    own = f"{sha256(copy / 'metadata.json')}  metadata.json"
    (copy / "SHA256SUMS").write_text("".join(f"{own if 'metadata' in line else line}\n" for line in sums))
    with pytest.raises(HgldError, match=r"'\.\./\.\./etc/x-0\.1' are no file name"):
        archive(copy, PUBLISHED)


def test_the_command_archives_a_folder_outside_the_repository(folder: Path) -> None:
    done = CliRunner().invoke(main, ["archive", str(folder), "--out", str(PUBLISHED)])
    assert done.exit_code == 0, done.output
    assert f"{ZIP} written (sha256 {sha256(ZIP)})" in done.output
    done = CliRunner().invoke(main, ["archive", str(folder.parent), "--out", str(PUBLISHED)])
    assert done.exit_code == 1 and "SHA256SUMS; write it again" in done.output
