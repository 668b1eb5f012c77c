"""Verdict files: no row is lost by concurrent or killed writers, and invalid rows are refused."""

import csv
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.foundation.errors import HgldError
from hgld.hierarchy.curation.settled_verdicts import settled
from hgld.hierarchy.curation.verdict import CLASS, COLUMNS, LANDMARK, UNSURE, Verdict, VerdictError
from hgld.hierarchy.curation.verdicts import (
    append_verdict,
    load_all_verdicts,
    load_verdicts,
    read_verdicts,
    remove_verdict,
    rewrite_file,
)
from hgld.hierarchy.taxonomy.commons_category import normalise
from tests.paths import ROOT

LABELS = ["church", "lake", "ocean area ", "castle / fort"]
HEADER = ",".join(COLUMNS)
OLD_HEADER = ",".join(COLUMNS[:8])
# What follows the profile of a verdict on a landmark.
REST = ["landmark", "", "", "", ""]


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
        more.get("profile", "sample"),
    )


def test_new_file_has_a_header_and_one_line_per_verdict(tmp_path: Path) -> None:
    append_verdict(tmp_path / "review", _verdict())
    append_verdict(tmp_path / "review", _verdict("Lake, the", "lake"))
    assert (tmp_path / "review" / "ana.csv").read_text() == (
        f"{HEADER}\nAbbey,church,lake,clip,0.5000,ana,2026-01-03,,sample,landmark,,,,\n"
        '"Lake, the",lake,lake,clip,0.5000,ana,2026-01-03,,sample,landmark,,,,\n'
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
    with pytest.raises(HgldError, match=r"dir\.csv( is a folder|: not UTF-8)|no file .*dir\.csv"):
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


@pytest.mark.parametrize("name", ["", "Ana", "ana lopez", "../ana", "-ana", "ana-", "añа", "a" * 61])
def test_annotator_names_are_restricted(tmp_path: Path, name: str) -> None:
    with pytest.raises(HgldError, match="use lower-case letters, digits and hyphens only"):
        append_verdict(tmp_path, _verdict(annotator=name))


@pytest.mark.parametrize(("row", "message"), [
    ("Abbey,chruch,,,,ana,2026-01-03,", "unknown label 'chruch'; did you mean 'church'?"),
    ("Abbey,ocean area,,,,ana,2026-01-03,", "unknown label 'ocean area'; did you mean 'ocean area '?"),
    ("Abbey,church,,,,bob,2026-01-03,", "annotator 'bob' in the file of 'ana'"),
    ("Abbey,church,,,,ana,2026-02-30,", "decided_on '2026-02-30' is not a date YYYY-MM-DD"),
    ("Abbey,church,,,,ana,20260203,", "decided_on '20260203' is not a date YYYY-MM-DD"),
    ("my_abbey,church,,,,ana,2026-01-03,", "category 'my_abbey' is not in its normal form, 'My abbey'"),
    (",church,,,,ana,2026-01-03,", "no category name in ''"),
    ("Abbey,church,,,,ana,2026-01-03T25:00:00Z,", "decided_on '2026-01-03T25:00:00Z' is not a date"),
    ("Abbey,church,,,,ana,03/01/2026,", "decided_on '03/01/2026' is not a date"),
    ("Abbey,church,,,1.5,ana,2026-01-03,", "suggested_score '1.5' is not a number between 0 and 1"),
    ("Abbey,church,,,\"0,5\",ana,2026-01-03,", "suggested_score '0,5' is not a number between 0 and 1"),
    ("Abbey,church", "2 values for 14 columns: Abbey,church"),
    ("Abbey,church,,,,ana,2026-01-03,,sample,x", "10 values for 14 columns"),
    ('"Abbey,church,,,,ana,2026-01-03,', "not a CSV row"),
    ("<<<<<<< HEAD", "an unresolved git merge conflict"),
    ("=======,,,,,,,,", "an unresolved git merge conflict"),
    ("Abbey,church,,,,ana,2962-01-03,", "decided_on '2962-01-03' is not a date YYYY-MM-DD"),
    ("Abbey,church,,,,ana,2026-01-03T10:00:00+01:00,", "decided_on '2026-01-03T10:00:00+01:00' is not a date"),
    ('Abbey,church,,,,ana,2026-01-03,"one\ntwo"', "not a CSV row (unexpected end of data); a quotation mark is not "
     "closed, or a value has a line break"),
    ("Category:Abbey,church,,,,ana,2026-01-03,", "category 'Category:Abbey' is not in its normal form, 'Abbey'; to "
     "correct it: hgld check --fix"),
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


def test_last_row_of_an_annotator_at_the_same_time_counts(tmp_path: Path) -> None:
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
from hgld.hierarchy.curation.verdict import Verdict
from hgld.hierarchy.curation.verdicts import append_verdict
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
    shutil.copy(ROOT / ".gitattributes", tmp_path)
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


def _labels(folder: Path, profiles: list[str] | None = None) -> dict[str, str]:
    """Category → the label that counts."""
    accepted, _ = settled(load_verdicts(folder, LABELS, profiles))
    return dict(zip(accepted["category"], accepted["hierarchical_label"], strict=True))


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize(("older", "newer"), [
    ("2026-01-03", "2026-01-04"), ("2026-01-03T09:59:59Z", "2026-01-03T10:00:00Z"),
    ("2026-01-03", "2026-01-03T00:00:01Z"), ("2026-01-03T23:59:59Z", "2026-01-04"),
    ("2026-01-03 09:00", "2026-01-03T10:00:00"),
])  # fmt: skip
def test_newest_verdict_counts_whatever_the_order_of_lines(
    tmp_path: Path, older: str, newer: str, newest_first: bool
) -> None:
    rows = [f"Abbey,church,,,,ana,{older},,", f"Abbey,lake,,,,ana,{newer},,"]
    (tmp_path / "ana.csv").write_text("\n".join([HEADER, *(rows[::-1] if newest_first else rows), ""]))
    assert _labels(tmp_path) == {"Abbey": "lake"}


def test_newest_verdict_counts_after_a_union_merge(tmp_path: Path) -> None:
    """On main the newer verdict; on a branch that is merged into it the older one, which git puts last."""
    _git(tmp_path, "init", "-b", "main")
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    append_verdict(tmp_path / "review", _verdict("Lake", "lake"))
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "one")
    _git(tmp_path, "branch", "other")
    append_verdict(tmp_path / "review", _verdict(label="church", on="2026-01-05T10:00:00Z"))
    _git(tmp_path, "commit", "-am", "newer")
    _git(tmp_path, "checkout", "other")
    append_verdict(tmp_path / "review", _verdict(label="lake", on="2026-01-04T10:00:00Z"))
    _git(tmp_path, "commit", "-am", "older")
    _git(tmp_path, "checkout", "main")
    _git(tmp_path, "merge", "other", "-m", "both")
    lines = (tmp_path / "review/ana.csv").read_text().splitlines()
    assert "2026-01-04" in lines[-1]
    assert _labels(tmp_path / "review") == {"Abbey": "church", "Lake": "lake"}


def test_verdict_counts_for_its_profile_only(tmp_path: Path) -> None:
    append_verdict(tmp_path, _verdict("Drawn", profile="sample"))
    append_verdict(tmp_path, _verdict("Photographed", profile="gldv2"))
    append_verdict(tmp_path, _verdict("Unknown", profile=""))
    assert _labels(tmp_path, ["gldv2"]).keys() == {"Photographed", "Unknown"}
    assert _labels(tmp_path, ["gldv2", "sample"]).keys() == {"Drawn", "Photographed", "Unknown"}


def test_file_without_the_column_profile_is_read_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "ana.csv"
    path.write_text(f"{OLD_HEADER}\nAbbey,church,,,,ana,2026-01-03,\n")
    append_verdict(tmp_path, _verdict("Lake", "lake"))
    assert path.read_text().splitlines()[:2] == [HEADER, "Abbey,church,,,,ana,2026-01-03,,,landmark,,,,"]
    assert load_verdicts(tmp_path, LABELS)["profile"].tolist() == ["", "sample"]


def test_headers_of_two_merged_files_are_both_read(tmp_path: Path) -> None:
    rows = ["Abbey,church,,,,ana,2026-01-03,", "Lake,lake,,,,ana,2026-01-03,,sample"]
    bom = f"\ufeff{HEADER}"
    for lines in (
        [OLD_HEADER, rows[0], HEADER, rows[1]],
        [HEADER, OLD_HEADER, *rows],
        [bom, *rows],
        [HEADER, bom, *rows],
    ):
        (tmp_path / "ana.csv").write_text("\n".join([*lines, ""]))
        assert load_verdicts(tmp_path, LABELS)["profile"].tolist() == ["", "sample"]


ROWS = [
    ["Abbey", "church", "lake", "clip", "0.5", "ana", "2026-01-03T10:11:12Z", "so, so", "sample", *REST],
    ['The "Lake"', "ocean area ", "", "", "", "ana", "2026-01-04", "é; ü", "", *REST],
]


def _saved(delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL, order: list[int] | None = None, end: str = "\n",
           bom: bool = False, surplus: int = 0) -> bytes:  # fmt: skip
    """ROWS as a spreadsheet saves them."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end)
    for row in [COLUMNS, *ROWS]:
        writer.writerow([row[place] for place in order or range(len(row))] + [""] * surplus)
    return text.getvalue().encode("utf-8-sig" if bom else "utf-8")


@pytest.mark.parametrize("content", [
    _saved(quoting=csv.QUOTE_ALL), _saved(end="\r\n"), _saved(bom=True), _saved(";"), _saved("\t"), _saved(end="\r"),
    _saved(order=[8, 1, 2, 3, 4, 12, 5, 6, 7, 9, 10, 11, 13, 0]), _saved(surplus=2),
    _saved(";", csv.QUOTE_ALL, end="\r\n", bom=True),
    b"sep=;\r\n" + _saved(";", end="\r\n"), _saved(";").replace(b"0.5", b"0,5"), _saved() + b",,,,,,,,\n\n",
    _saved(";").replace(b"T10:11:12Z", b" 10:11:12"),
])  # fmt: skip
def test_file_that_a_spreadsheet_has_saved_says_the_same(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ana.csv"
    path.write_bytes(content)
    assert load_verdicts(tmp_path, LABELS).to_numpy().tolist() == ROWS
    assert remove_verdict(tmp_path, Verdict(*ROWS[0]))
    path.write_bytes(content)
    append_verdict(tmp_path, _verdict("Lake", "lake", on="2026-02-01"))
    assert load_verdicts(tmp_path, LABELS).to_numpy().tolist()[:2] == ROWS
    rewrite_file(path)
    assert path.read_bytes().startswith(_saved())
    assert not rewrite_file(path)


@pytest.mark.parametrize(("header", "message"), [
    (OLD_HEADER.replace("suggested_score", "sugested_score"),
     "no column 'suggested_score'; unknown column 'sugested_score'; did you mean 'suggested_score'?"),
    (OLD_HEADER.replace(",comment", ""), "no column 'comment'"),
    (HEADER + ",notes", "unknown column 'notes'"),
    (HEADER + ",category", "two columns 'category'"),
    (OLD_HEADER.replace("category", "\u200bcategory"), r"unknown column '\u200bcategory'"),
    ("one,two", "found 'one,two'"),
    ("", "found nothing"),
])  # fmt: skip
def test_other_header_is_refused_with_the_difference(tmp_path: Path, header: str, message: str) -> None:
    (tmp_path / "ana.csv").write_text(f"{header}\n")
    (problem,) = read_verdicts(tmp_path, LABELS).problems
    assert problem.startswith(f"{tmp_path}/ana.csv:1: expected the header {HEADER}; found")
    assert message in problem


@pytest.mark.parametrize(("name", "annotator", "message"), [
    ("ana.CSV", "ana", "rename it to ana.csv"), ("Ana.csv", "Ana", "rename it to ana.csv"),
    ("ana (1).csv", "ana", "rename it to ana.csv"), ("ana (1).csv", "bob", "add its rows to bob.csv"),
    ("Bob.csv", "Bob", "add its rows to bob.csv"), ("añа.csv", "añа", "rename it to a.csv"),
    (".csv.csv", "", "rename it to csv.csv"),
])  # fmt: skip
def test_file_that_is_not_named_after_an_annotator_is_a_problem(
    tmp_path: Path, name: str, annotator: str, message: str
) -> None:
    """It is to be named after the annotator of its rows, if that is a name, else as it is named."""
    append_verdict(tmp_path, _verdict(annotator="bob"))
    text = f"{HEADER}\nLake,lake,,,,{annotator},2026-01-03,,\n"
    (tmp_path / name).write_text(text)
    (problem,) = read_verdicts(tmp_path, LABELS).problems
    assert problem.startswith(f"{tmp_path / name}: not read, as the name of the file")
    assert problem.endswith(message)
    assert not rewrite_file(tmp_path / name)
    assert (tmp_path / name).read_text() == text


@pytest.mark.parametrize(("content", "message"), [
    (f"{HEADER}\n".encode("utf-16"), "found UTF-16 text; save the file as UTF-8"),
    (f"{HEADER}\n".encode("utf-16-le"), "found UTF-16 text; save the file as UTF-8"),
    (b"PK\x03\x04\x14\0\x06\0", "found a ZIP archive, as .xlsx and .ods are; save the sheet as CSV"),
])  # fmt: skip
def test_other_kinds_of_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "ana.csv").write_bytes(content)
    (problem,) = read_verdicts(tmp_path, LABELS).problems
    assert problem.startswith(f"{tmp_path}/ana.csv: expected a CSV file of verdicts, {message}")


def test_link_to_a_device_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "ana.csv").symlink_to("/dev/zero")
    (problem,) = read_verdicts(tmp_path, LABELS).problems
    assert problem == f"{tmp_path}/ana.csv is a device; a CSV file of verdicts was expected"


def test_every_other_file_is_listed_as_not_read(tmp_path: Path) -> None:
    append_verdict(tmp_path, _verdict())
    others = [".~lock.ana.csv#", "ana.csv.bak", "ana.xlsx", "bob.csv.gz", "notes.md", "old"]
    for name in [*others, "README.md"]:
        (tmp_path / name).mkdir() if name == "old" else (tmp_path / name).touch()
    files = read_verdicts(tmp_path, LABELS)
    assert sorted(path.name for path in files.not_read) == others
    assert (len(files.rows), files.problems) == (1, [])


def test_what_was_suggested_then_may_be_gone_today(tmp_path: Path) -> None:
    (tmp_path / "ana.csv").write_text(f"{HEADER}\nAbbey,church,kirk,oracle,1e-05,ana,2026-01-03,,sample\n")
    assert _labels(tmp_path) == {"Abbey": "church"}


@pytest.mark.parametrize("category", ["Caf\x80", "A\x9fB", "A\x85B", "=======", "Sep=;", 'A "B" C', "A;B\u2063C",
                                      "Media:Stadt", "Talk: show", "Animals: Cat: x"])  # fmt: skip
def test_every_category_can_be_judged(tmp_path: Path, category: str) -> None:
    assert normalise(f"Category:{category}") == category
    append_verdict(tmp_path, _verdict("Lake"))
    append_verdict(tmp_path, _verdict(category))
    assert load_verdicts(tmp_path, LABELS)["category"].tolist() == ["Lake", category]
    assert not rewrite_file(tmp_path / "ana.csv")
    assert remove_verdict(tmp_path, _verdict(category))


def test_long_comment_is_read_back(tmp_path: Path) -> None:
    append_verdict(tmp_path, _verdict(comment="x" * 140_000))
    assert len(load_verdicts(tmp_path, LABELS)["comment"][0]) == 140_000


@pytest.mark.parametrize("wrong", [
    {"label": "abbey"}, {"category": "my_abbey"}, {"on": "tomorrow"}, {"comment": "\ud800"}, {"profile": "a\nb"},
])  # fmt: skip
def test_verdict_that_cannot_be_read_back_is_not_written(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(VerdictError):
        append_verdict(tmp_path, _verdict(**wrong), LABELS)
    assert list(tmp_path.iterdir()) == []


def test_verdict_that_an_older_row_would_outlive_is_refused(tmp_path: Path) -> None:
    append_verdict(tmp_path, _verdict("Lake", on="2031-01-01"))
    append_verdict(tmp_path, _verdict(on="2031-01-01"))
    with pytest.raises(VerdictError, match=r"ana\.csv:3: this row on 'Abbey' is dated 2031-01-01, later than now"):
        append_verdict(tmp_path, _verdict(label="lake"))
    append_verdict(tmp_path, _verdict(label="lake", profile="gldv2"))
    assert load_verdicts(tmp_path, LABELS)["hierarchical_label"].tolist() == ["church", "church", "lake"]


def test_what_a_killed_writer_left_is_no_verdict_and_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".ana.csv.x1y2.part"
    left.mkdir()
    (left / "ana.csv").write_text("half a")
    assert read_verdicts(tmp_path, LABELS).not_read == []
    subprocess.run([sys.executable, "-c", WRITER, str(tmp_path), "Abbey", "1", ""], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["ana.csv"]
    done = subprocess.run(["git", "check-ignore", "review/.ana.csv.x1y2.part/ana.csv"], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_files_are_plain_csv(tmp_path: Path) -> None:
    append_verdict(tmp_path, _verdict('The "Abbey"', comment="a, b"))
    with (tmp_path / "ana.csv").open(encoding="utf-8", newline="") as handle:
        row = next(csv.DictReader(handle))
    assert (row["category"], row["comment"]) == ('The "Abbey"', "a, b")


@pytest.mark.parametrize(("changes", "message"), [
    ({"kind": "klass"}, "kind 'klass' is not landmark or class"),
    ({"kind": "class"}, "category 'Abbey' of a verdict on a class is not its QID"),
    ({"kind": "class", "category": "Q12", "supercategory": "Q1"}, "are for verdicts on landmarks"),
    ({"supercategory": "lake"}, "supercategory 'lake' is not a QID"),
    ({"rejected_item": "Q0"}, "rejected_item 'Q0' is not a QID"),
    ({"supercategory": "Q1", "hierarchical_label": ""}, "supercategory Q1 without a label"),
])  # fmt: skip
def test_verdict_that_does_not_fit_its_kind_is_refused(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(VerdictError, match=re.escape(message)):
        append_verdict(tmp_path, replace(_verdict(), **changes))
    assert not (tmp_path / "ana.csv").exists()


def test_verdicts_on_a_class_and_on_a_category_of_the_same_name_are_two(tmp_path: Path) -> None:
    append_verdict(tmp_path, _verdict("Q12", on="2026-02-01"))
    append_verdict(tmp_path, replace(_verdict("Q12", "lake"), kind=CLASS))
    assert load_verdicts(tmp_path, LABELS)["hierarchical_label"].tolist() == ["church"]
    assert load_verdicts(tmp_path, LABELS, kind=CLASS)["hierarchical_label"].tolist() == ["lake"]


def test_an_adjudicator_decides_where_others_disagree(tmp_path: Path) -> None:
    for annotator, label in (("ana", "church"), ("bob", "lake"), ("zoe", "lake")):
        append_verdict(tmp_path, _verdict(label=label, annotator=annotator))
    append_verdict(tmp_path, _verdict("Mill", "church", "bob"))
    verdicts = load_verdicts(tmp_path, LABELS)
    accepted, conflicts = settled(verdicts, ["ana"])
    assert accepted[["category", "hierarchical_label", "annotator"]].to_numpy().tolist() == [
        ["Abbey", "church", "ana"], ["Mill", "church", "bob"],
    ]  # fmt: skip
    assert conflicts.empty
    assert set(settled(verdicts, ["ana", "zoe"])[1]["annotator"]) == {"ana", "zoe"}


def test_unsure_takes_back_what_the_annotator_said_before_and_nothing_later(tmp_path: Path) -> None:
    unsure = _verdict(label="", on="2026-01-04")
    append_verdict(tmp_path, _verdict())
    append_verdict(tmp_path, _verdict(annotator="bob"))
    append_verdict(tmp_path, replace(unsure, answer=UNSURE))
    verdicts = load_all_verdicts(tmp_path, LABELS)[LANDMARK]
    assert verdicts.given["annotator"].tolist() == ["bob"]
    assert verdicts.unsure[["annotator", "category"]].to_numpy().tolist() == [["ana", "Abbey"]]
    append_verdict(tmp_path, _verdict(label="lake", on="2026-01-05"))
    verdicts = load_all_verdicts(tmp_path, LABELS)[LANDMARK]
    assert verdicts.given[["annotator", "hierarchical_label"]].to_numpy().tolist() == [
        ["ana", "lake"],
        ["bob", "church"],
    ]
    assert verdicts.unsure.empty


def test_the_newest_answer_counts_whatever_the_order_of_lines(tmp_path: Path) -> None:
    rows = [_verdict(label="lake", on="2026-01-05"), replace(_verdict(label="", on="2026-01-04"), answer=UNSURE)]
    for order in (rows, rows[::-1]):
        lines = [HEADER, *(",".join(vars(row).values()) for row in order), ""]
        (tmp_path / "ana.csv").write_text("\n".join(lines))
        assert load_verdicts(tmp_path, LABELS)["hierarchical_label"].tolist() == ["lake"]


def test_unsure_is_never_no_label(tmp_path: Path) -> None:
    append_verdict(tmp_path, replace(_verdict(label=""), answer=UNSURE))
    assert load_verdicts(tmp_path, LABELS).empty
    assert settled(load_verdicts(tmp_path, LABELS))[0].empty
    for changes, message in (
        ({"hierarchical_label": "lake"}, "answer unsure with a label"),
        ({"rejected_item": "Q7"}, "answer unsure with a label or a rejected item"),
        ({"answer": "maybe"}, "answer 'maybe' is neither empty nor unsure"),
    ):
        verdict = replace(_verdict("Mill", ""), **{"answer": UNSURE, **changes})
        with pytest.raises(VerdictError, match=message):
            append_verdict(tmp_path, verdict)
