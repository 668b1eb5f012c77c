"""Verdict files: no row is lost by concurrent or killed writers, and invalid rows are refused."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.foundation.errors import HgldError
from hgld.hierarchy.curation.verdicts import (
    COLUMNS,
    Verdict,
    append_verdict,
    load_verdicts,
    remove_verdict,
    settled,
)
from hgld.hierarchy.taxonomy.commons_category import normalise

LABELS = ["church", "lake", "ocean area ", "castle / fort"]
HEADER = ",".join(COLUMNS)


def _verdict(category: str = "Abbey", label: str = "church", annotator: str = "ana", **more: str) -> Verdict:
    return Verdict(
        category,
        label,
        "lake",
        "clip",
        "0.5000",
        annotator,
        more.get("on", "2026-01-03"),
        more.get("comment", ""),
    )


def test_new_file_has_a_header_and_one_line_per_verdict(tmp_path: Path) -> None:
    append_verdict(tmp_path / "review", _verdict())
    append_verdict(tmp_path / "review", _verdict("Lake, the", "lake"))
    assert (tmp_path / "review" / "ana.csv").read_text() == (
        f'{HEADER}\nAbbey,church,lake,clip,0.5000,ana,2026-01-03,\n"Lake, the",lake,lake,clip,0.5000,ana,2026-01-03,\n'
    )
    assert [path.name for path in (tmp_path / "review").iterdir()] == ["ana.csv"]


def test_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    append_verdict(tmp_path, _verdict())
    path = tmp_path / "ana.csv"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    append_verdict(tmp_path, _verdict("Lake"))
    assert list(load_verdicts(tmp_path, LABELS)["category"]) == ["Abbey", "Lake"]


@pytest.mark.parametrize("kind", ["folder", "dangling link", "not UTF-8"])
def test_unreadable_file_is_reported(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "dir.csv"
    if kind == "folder":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(b"\xff")
    with pytest.raises(HgldError, match=r"dir\.csv: (cannot be read|not UTF-8)"):
        load_verdicts(tmp_path, LABELS)


_TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=30)


def _is_name(text: str) -> bool:
    try:
        return normalise(text) == text
    except HgldError:
        return False


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(_TEXT.filter(_is_name), _TEXT), min_size=1, max_size=4))
def test_verdict_round_trip(tmp_path_factory: pytest.TempPathFactory, verdicts: list[tuple[str, str]]) -> None:
    folder = tmp_path_factory.mktemp("review")
    rows = [_verdict(category, comment=comment) for category, comment in verdicts]
    for row in rows:
        append_verdict(folder, row)
    loaded = load_verdicts(folder, LABELS)
    assert [Verdict(*row) for row in loaded.to_numpy().tolist()] == rows


@pytest.mark.parametrize("character", ["\n", "\r", "\0", "\x85", "\u2028"])
def test_control_characters_are_refused(tmp_path: Path, character: str) -> None:
    with pytest.raises(HgldError, match="comment has a line break or another control character"):
        append_verdict(tmp_path, _verdict(comment=f"one{character}two"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "Ana", "ana lopez", "../ana", "-ana", "ana-", "añа"])
def test_annotator_names_are_restricted(tmp_path: Path, name: str) -> None:
    with pytest.raises(HgldError, match="use lower-case letters, digits and hyphens only"):
        append_verdict(tmp_path, _verdict(annotator=name))


@pytest.mark.parametrize(("row", "message"), [
    ("Abbey,chruch,,,,ana,2026-01-03,", "unknown label 'chruch'; did you mean 'church'?"),
    ("Abbey,ocean area,,,,ana,2026-01-03,", "unknown label 'ocean area'; did you mean 'ocean area '?"),
    ("Abbey,church,see,,,ana,2026-01-03,", "unknown suggested label 'see'"),
    ("Abbey,church,,,,bob,2026-01-03,", "annotator 'bob' in the file of 'ana'"),
    ("Abbey,church,,,,ana,2026-02-30,", "decided_on '2026-02-30' is not a date YYYY-MM-DD"),
    ("Abbey,church,,,,ana,20260203,", "decided_on '20260203' is not a date YYYY-MM-DD"),
    ("my_abbey,church,,,,ana,2026-01-03,", "category 'my_abbey' is not in its normal form, 'My abbey'"),
    (",church,,,,ana,2026-01-03,", "no category name in ''"),
    ("Abbey,church,,clop,,ana,2026-01-03,", "unknown suggested_by 'clop'; did you mean 'clip'?"),
    ("Abbey,church,,,\"0,5\",ana,2026-01-03,", "suggested_score '0,5' is not a number between 0 and 1"),
    ("Abbey,church", "2 values for 8 columns: Abbey,church"),
    ('"Abbey,church,,,,ana,2026-01-03,', "not a CSV row"),
    ("<<<<<<< HEAD", "an unresolved git merge conflict"),
])  # fmt: skip
def test_invalid_row_is_reported_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "ana.csv").write_text(f"{HEADER}\nLake,lake,,,,ana,2026-01-03,\n{row}\n")
    with pytest.raises(HgldError) as caught:
        load_verdicts(tmp_path, LABELS)
    assert f"{tmp_path}/ana.csv:3: {message}" in str(caught.value)


def test_crlf_file_without_final_newline_is_read_and_appended_to(tmp_path: Path) -> None:
    (tmp_path / "ana.csv").write_bytes(f"{HEADER}\r\nAbbey,church,,,,ana,2026-01-03,".encode())
    append_verdict(tmp_path, _verdict("Lake", "lake"))
    assert list(load_verdicts(tmp_path, LABELS)["category"]) == ["Abbey", "Lake"]


def test_last_row_of_an_annotator_counts(tmp_path: Path) -> None:
    for label in ("church", "lake", ""):
        append_verdict(tmp_path, _verdict(label=label))
    accepted, conflicts = settled(load_verdicts(tmp_path, LABELS))
    assert accepted["hierarchical_label"].tolist() == [""]
    assert conflicts.empty


def test_disagreement_is_a_conflict_until_one_annotator_agrees(tmp_path: Path) -> None:
    append_verdict(tmp_path, _verdict(label="church"))
    append_verdict(tmp_path, _verdict(label="lake", annotator="bob", on="2026-01-04"))
    append_verdict(tmp_path, _verdict("Lake", "lake", annotator="bob"))
    accepted, conflicts = settled(load_verdicts(tmp_path, LABELS))
    assert accepted["category"].tolist() == ["Lake"]
    assert conflicts["annotator"].tolist() == ["ana", "bob"]
    append_verdict(tmp_path, _verdict(label="lake"))
    accepted, conflicts = settled(load_verdicts(tmp_path, LABELS))
    assert accepted.iloc[0][["annotator", "decided_on"]].tolist() == ["ana, bob", "2026-01-04"]
    assert conflicts.empty


def test_missing_folder_has_no_verdicts(tmp_path: Path) -> None:
    accepted, conflicts = settled(load_verdicts(tmp_path / "none", LABELS))
    assert accepted.empty
    assert conflicts.empty
    assert list(accepted.columns) == COLUMNS


def test_removing_a_verdict_removes_only_its_last_row(tmp_path: Path) -> None:
    append_verdict(tmp_path, _verdict())
    append_verdict(tmp_path, _verdict("Lake"))
    append_verdict(tmp_path, _verdict())
    assert remove_verdict(tmp_path, _verdict())
    assert load_verdicts(tmp_path, LABELS)["category"].tolist() == ["Abbey", "Lake"]
    assert not remove_verdict(tmp_path, _verdict("Other"))
    assert not remove_verdict(tmp_path, _verdict(annotator="bob"))


WRITER = """
import sys
from pathlib import Path
from hgld.hierarchy.curation.verdicts import Verdict, append_verdict
folder, name, count, comment = sys.argv[1:]
for n in range(int(count)):
    append_verdict(Path(folder), Verdict(f"{name} {n}", "church", "", "", "", "ana", "2026-01-03", comment))
    print(n, flush=True)
"""


def _writer(folder: Path, name: str, count: int, comment: str = "") -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count), comment]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_concurrent_writers_lose_no_row(tmp_path: Path) -> None:
    names = ("One", "Two", "Three")
    for writer in [_writer(tmp_path, name, 25) for name in names]:
        writer.communicate()
        assert writer.returncode == 0
    categories = load_verdicts(tmp_path, LABELS)["category"].tolist()
    assert len(categories) == 75
    for name in names:
        assert [c for c in categories if c.startswith(name)] == [f"{name} {n}" for n in range(25)]


def test_killed_writer_leaves_whole_rows_and_all_that_it_reported(tmp_path: Path) -> None:
    writer = _writer(tmp_path, "Abbey", 10**6, "x" * 5000)
    assert writer.stdout
    for _ in range(20):
        writer.stdout.readline()
    time.sleep(0.003)
    os.kill(writer.pid, signal.SIGKILL)
    reported = 20 + len(writer.stdout.read().splitlines())
    writer.wait()
    writer.stdout.close()
    verdicts = load_verdicts(tmp_path, LABELS)
    assert reported <= len(verdicts) <= reported + 1
    append_verdict(tmp_path, _verdict("Lake"))  # the lock ended with the process
    assert len(load_verdicts(tmp_path, LABELS)) == len(verdicts) + 1


def _git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def test_git_merges_verdicts_of_two_branches(tmp_path: Path) -> None:
    _git(tmp_path, "init", "-b", "main")
    (tmp_path / ".gitattributes").write_text("review/*.csv merge=union\n")
    append_verdict(tmp_path / "review", _verdict())
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "one")
    _git(tmp_path, "branch", "other")
    append_verdict(tmp_path / "review", _verdict("Here"))
    _git(tmp_path, "commit", "-am", "here")
    _git(tmp_path, "checkout", "other")
    append_verdict(tmp_path / "review", _verdict("There"))
    append_verdict(tmp_path / "review", _verdict("There", annotator="bob"))
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "there")
    _git(tmp_path, "merge", "main", "-m", "both")
    merged = load_verdicts(tmp_path / "review", LABELS)
    assert sorted(merged["category"]) == ["Abbey", "Here", "There", "There"]


def test_files_are_plain_csv(tmp_path: Path) -> None:
    append_verdict(tmp_path, _verdict('The "Abbey"', comment="a, b"))
    with (tmp_path / "ana.csv").open(encoding="utf-8", newline="") as handle:
        row = next(csv.DictReader(handle))
    assert (row["category"], row["comment"]) == ('The "Abbey"', "a, b")
