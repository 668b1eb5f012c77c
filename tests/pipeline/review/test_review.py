"""The review session: keys, labels, undo; each verdict is on disk at once; answers may come from a pipe."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hgld.foundation.errors import HgldError
from hgld.hierarchy.curation.settled_verdicts import settled
from hgld.hierarchy.curation.verdict import LANDMARK, Verdict
from hgld.hierarchy.curation.verdicts import append_verdict, load_all_verdicts, load_verdicts
from hgld.pipeline.review.desk import Desk
from hgld.pipeline.review.queue_items import Item, ItemTexts, Selection, chosen_items, open_items, with_class_names
from hgld.pipeline.review.terminal.prompt import default_annotator, review
from hgld.pipeline.review.terminal.session import ReviewSession, match_label
from hgld.pipeline.stages import queue
from tests.paths import ROOT

LABELS = ["castle / fort", "cave", "church", "house", "lake", "lighthouse", "ocean area "]
REVIEW = Path("review")
NOW = "2026-01-03T10:11:12Z"


def _item(name: str, label: str = "church") -> Item:
    by = "clip" if label else ""
    return Item(name, label, by, "0.5000", "0.1000", "lake" if label else "", "3", "doubtful", "test")


@pytest.fixture
def session(tmp_path: Path) -> ReviewSession:
    items = [_item("One"), _item("Two"), _item("Three", "")]
    return _session(items, tmp_path / "review")


def _session(items: list[Item], folder: Path) -> ReviewSession:
    return ReviewSession(Desk(items, LABELS, "ana", folder, "sample", lambda: NOW))


def _verdicts(session: ReviewSession) -> list[tuple[str, str]]:
    table = load_verdicts(session.desk.folder, LABELS)
    return list(zip(table["category"], table["hierarchical_label"], strict=True))


def test_each_verdict_is_on_disk_before_the_next_question(session: ReviewSession) -> None:
    assert session.answer("") == "One: church."
    assert _verdicts(session) == [("One", "church")]
    assert session.answer("r") == "Two: lake."
    assert session.answer("ocean") == "Three: ocean area."
    assert _verdicts(session) == [("One", "church"), ("Two", "lake"), ("Three", "ocean area ")]
    assert session.done


def test_a_verdict_records_the_suggestion_annotator_and_date(session: ReviewSession) -> None:
    session.answer("e # not a place")
    row = load_verdicts(session.desk.folder, LABELS).iloc[0]
    assert row.to_list() == [
        "One", "", "church", "clip", "0.5000", "ana", NOW, "not a place", "sample",
        "landmark", "", "", version("hgld"), "",
    ]  # fmt: skip


def test_not_sure_is_written_as_such(session: ReviewSession) -> None:
    assert session.answer("n # too dark") == "One: unsure."
    assert _verdicts(session) == []
    (row,) = load_all_verdicts(session.desk.folder, LABELS)[LANDMARK].unsure.to_dict("records")
    assert (row["category"], row["answer"], row["comment"]) == ("One", "unsure", "too dark")
    assert session.answer("u") == "Removed the verdict on One."
    assert load_all_verdicts(session.desk.folder, LABELS)[LANDMARK].unsure.empty


def test_skipping_writes_nothing(session: ReviewSession) -> None:
    assert session.answer("s") == "Skipped One."
    assert session.desk.items[session.position].category == "Two"
    assert _verdicts(session) == []


def test_undo_takes_back_skips_and_verdicts_in_turn(session: ReviewSession) -> None:
    append_verdict(session.desk.folder, Verdict("Before", "cave", "", "", "", "ana", "2026-01-02"))
    assert session.answer("u") == "Nothing to undo."
    session.answer("y")
    session.answer("s")
    # another process of the same annotator has written since
    append_verdict(session.desk.folder, Verdict("Since", "cave", "", "", "", "ana", "2026-01-03"))
    assert session.answer("u") == "Removed the skip on Two."
    assert session.position == 1 and len(_verdicts(session)) == 3
    assert session.answer("u") == "Removed the verdict on One."
    assert _verdicts(session) == [("Before", "cave"), ("Since", "cave")]
    assert session.position == 0
    assert session.answer("u") == "Nothing to undo."


def test_undo_goes_back_before_a_restart_in_the_same_profile_only(session: ReviewSession) -> None:
    session.answer("y")
    session.answer("e")
    other = Verdict("Else", "cave", "", "", "", "ana", "2026-01-09T00:00:00Z", "", "gldv2")
    append_verdict(session.desk.folder, other)
    again = _session([_item("Three", "")], session.desk.folder)
    assert again.answer("u") == "Removed the verdict on Two."
    assert again.answer("u") == "Removed the verdict on One."
    assert again.answer("u") == "Nothing to undo."
    assert (again.position, again.desk.written, _verdicts(again)) == (0, 0, [("Else", "cave")])
    assert again.answer("cave") == "Three: cave."
    assert again.desk.written == 1


def test_undo_keeps_a_row_that_was_edited_since(session: ReviewSession) -> None:
    session.answer("y")
    path = session.desk.folder / "ana.csv"
    path.write_text(path.read_text().replace("One,church", "One,lake"))
    assert "no longer in the file" in session.answer("u")
    assert _verdicts(session) == [("One", "lake")]


def test_invalid_answers_change_nothing(session: ReviewSession) -> None:
    assert session.answer("xyzzy") == "There is no label 'xyzzy'; ? lists them."
    assert session.answer("ca") == "There is no label 'ca'; did you mean castle / fort, cave?"
    assert session.answer("?") == "castle / fort, cave, church, house, lake, lighthouse, ocean area"
    session.position = 2
    assert session.answer("y") == "There is no suggestion to accept: type a label, or e to leave it empty."
    assert session.answer("r") == "There is no runner-up."
    assert (session.position, _verdicts(session)) == (2, [])


@pytest.mark.parametrize(("word", "label"), [
    ("house", "house"), ("HOUSE", "house"), ("light", "lighthouse"),
    ("ocean area", "ocean area "),
])  # fmt: skip
def test_a_label_may_be_abbreviated_to_a_prefix(word: str, label: str) -> None:
    assert match_label(word, LABELS) == (label, "")


@pytest.mark.parametrize("word", ["chruch", "cathedral", "no", "none", "leave", "fort", "chu rch", "la"])
def test_similar_labels_are_suggested_but_never_chosen(session: ReviewSession, word: str) -> None:
    assert session.answer(word).startswith(f"There is no label '{word}'; ")
    assert session.position == 0 and not session.desk.folder.exists()


@pytest.mark.parametrize(("line", "reply"), [
    ("Y", "One: church."), ("YES # sure", "One: church."), ("E", "One: left empty."), ("S", "Skipped One."),
    ("U", "Nothing to undo."), ("Church", "One: church."), ("R", "One: lake."),
])  # fmt: skip
def test_keys_ignore_case(session: ReviewSession, line: str, reply: str) -> None:
    assert session.answer(line) == reply


def test_an_item_shows_its_reason_and_suggestion() -> None:
    text = _item('Nowhere, "Purple"').text("[1/2]")
    assert text.splitlines()[0] == '[1/2]  Nowhere, "Purple"'
    assert "  page        http://commons.wikimedia.org/wiki/Category:Nowhere,_%22Purple%22" in text
    assert "  suggestion  church   (by clip, score 0.5000, margin 0.1000)" in text
    assert "  runner-up   lake" in text
    assert "  reason      doubtful" in text


def test_suggestion_that_is_no_label_any_more_cannot_be_accepted_but_another_label_can(session: ReviewSession) -> None:
    """After a label was renamed in the taxonomy, an old queue suggests its old name."""
    session = _session([_item("One", "kirk"), _item("Two")], session.desk.folder)
    assert session.answer("y") == (
        "'kirk' is no label any more: type another one, or update the queue with: dvc repro queue"
    )
    assert session.position == 0 and not session.desk.folder.exists()
    assert session.answer("church") == "One: church."
    assert _verdicts(session) == [("One", "church")]


@pytest.mark.parametrize("comment", ["a\tb", "a\x85b", "\ud800"])
def test_comment_that_cannot_be_stored_is_refused_and_the_item_stays(session: ReviewSession, comment: str) -> None:
    assert "comment has a line break or another control character" in session.answer(f"y # {comment}x")
    assert session.position == 0 and not session.desk.folder.exists()


@pytest.mark.parametrize("category", ["Caf\x80", "A\x9fB", "A\x85B"])
def test_every_category_of_the_queue_can_be_judged(session: ReviewSession, category: str) -> None:
    session = _session([_item(category)], session.desk.folder)
    session.answer("y # " + "x" * 140_000)
    assert _verdicts(session) == [(category, "church")]
    assert session.answer("u").startswith("Removed the verdict on")


@pytest.fixture
def queued(proposed):
    queue.run(proposed.params)
    return proposed


def test_items_have_landmark_ids_and_class_names(queued) -> None:
    texts = ItemTexts(queued.params)
    items = {item.category: texts.of(item) for item in open_items(queued.params, REVIEW, LABELS)}
    assert items['Nowhere, "Purple"'].ids == "train 15, index 13"
    wikidata = next(item for item in items.values() if item.suggested_by == "wikidata")
    assert "church building (Q16970)" in wikidata.evidence or "lake (Q23397)" in wikidata.evidence


def _review(world, answers: str, **more):
    """Run the function of the command with `answers` as standard input."""
    import click

    written = []

    @click.command()
    def command() -> None:
        written.append(review(world.params, "ana", Selection(**more)))

    done = CliRunner().invoke(command, input=answers, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output, written[0]


def test_the_last_verdict_can_be_undone(queued) -> None:
    output, number = _review(queued, "e\nu\nlake # back\tagain\nlake\n\n", limit=1)
    assert "Removed the verdict" in output
    assert number == 1
    assert load_verdicts(REVIEW, LABELS)["hierarchical_label"].tolist() == ["lake"]


def test_answers_from_a_pipe(queued) -> None:
    output, number = _review(queued, "y\nlak\nu\ne\nq\n")
    assert number == 2
    table = load_verdicts(REVIEW, ["church", "lake"])
    assert table[["category", "hierarchical_label"]].to_numpy().tolist() == [
        ['Nowhere, "Purple"', "church"], ["Torn Place", ""],
    ]  # fmt: skip
    assert "2 verdicts in review/ana.csv; commit it and run: dvc repro" in output
    output, number = _review(queued, "")  # the end of the input ends the session like q
    assert (number, "[1/3]  Unknown Lake" in output) == (0, True)


def test_a_stale_verdict_is_asked_again_until_it_is_confirmed(queued) -> None:
    append_verdict(REVIEW, Verdict("Red Chapel", "lake", "lake", "clip", "", "ana", "2026-01-03"))
    queue.run(queued.params)
    output, number = _review(queued, "\n", limit=1)
    assert "[1/1]  Red Chapel" in output
    assert "ana said lake on 2026-01-03, when lake was suggested" in output
    assert number == 1
    assert "Red Chapel" not in [item.category for item in open_items(queued.params, REVIEW, LABELS)]


def test_limit_and_empty_queue(queued) -> None:
    assert _review(queued, "s\ns\ns\n", limit=1)[1] == 0
    output, number = _review(queued, "e\n" * 5)
    assert (number, "[5/5]" in output) == (5, True)
    assert _review(queued, "")[0] == "Nothing to review.\n"


def test_a_focus_on_a_label_and_on_conflicts(queued) -> None:
    found = {item.category: (item.suggested_label, item.runner_up) for item in chosen(queued, focus="Lake")}
    assert found['Nowhere, "Purple"'] == ("church", "lake") and "Torn Place" not in found
    assert all("lake" in labels for labels in found.values()) and 1 < len(found) < len(chosen(queued))
    assert chosen(queued, only_conflicts=True) == []
    for annotator, label in (("ana", "lake"), ("bob", "church")):
        append_verdict(REVIEW, Verdict("Torn Place", label, "", "", "", annotator, NOW))
    queue.run(queued.params)
    assert [item.category for item in chosen(queued, only_conflicts=True)] == ["Torn Place"]
    with pytest.raises(HgldError, match="no label 'lak'; did you mean 'lake'"):
        chosen(queued, focus="lak")


def chosen(world, **more: Any) -> list[Item]:
    return chosen_items(world.params, Selection(**more), REVIEW, LABELS, "ana")


def _command(folder: Path, answers: str, setup: str = "", **more: Any) -> "subprocess.CompletedProcess[str]":
    """`hgld review --annotator ana` in a process of its own."""
    code = f"{setup}\nfrom hgld.cli import main\nmain(['review', '--text', '--annotator', 'ana'])"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, text=True, capture_output=True, check=False,
                          **({"input": answers} | more))  # fmt: skip


FULL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))"


@pytest.fixture
def in_a_checkout(queued, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `queued` with a params.yaml that selects it."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("\nsample:", f"\n{queued.params.profile}:").replace(
        "profile: sample", f"profile: {queued.params.profile}"), encoding="utf-8")  # fmt: skip
    shutil.copytree(ROOT / "hierarchy/curated", "hierarchy/curated", dirs_exist_ok=True)
    return Path.cwd()


def test_verdict_that_is_not_saved_ends_the_session_with_an_error(in_a_checkout: Path) -> None:
    """A full disk: the first row fits in 300 bytes, the second does not."""
    done = _command(in_a_checkout, "y\nlake\nlake\nq\n", FULL_DISK)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: cannot write ") and "File too large" in done.stderr
    assert done.stdout.count("church.\n") == 1
    assert done.stdout.endswith("1 verdict in review/ana.csv; commit it and run: dvc repro\n")
    assert len(load_verdicts(REVIEW, ["church"])) == 1
    assert [path.name for path in REVIEW.iterdir()] == ["ana.csv"]


def test_closed_standard_input_is_an_error(in_a_checkout: Path) -> None:
    done = _command(in_a_checkout, "", "import sys; sys.stdin = None")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: standard input is closed, so no verdict can be given; run hgld review in a terminal\n"
    )


def test_answer_that_is_not_utf_8_is_an_error(in_a_checkout: Path) -> None:
    done = _command(in_a_checkout, "", input="y # caf\udce9\n", errors="surrogateescape",
                    env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"})  # fmt: skip
    assert done.returncode == 1
    assert "Error: the answers cannot be read: " in done.stderr
    assert not REVIEW.exists()


def test_an_invalid_annotator_or_a_missing_queue_is_an_error(queued) -> None:
    with pytest.raises(HgldError, match="annotator 'Ana'"):
        review(queued.params, "Ana")
    (queued.data / "queue" / "queue.csv").unlink()
    with pytest.raises(HgldError, match="run the stage that makes it: dvc repro queue"):
        review(queued.params, "ana")


def test_two_branches_with_verdicts_merge_without_a_conflict(checkout: Path) -> None:
    """Both judge one landmark and one of their own: every row is kept, `check` is clean, the newest verdict counts."""

    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *words], check=True, capture_output=True)

    def judge(category: str, label: str, day: int) -> None:
        append_verdict(REVIEW, Verdict(category, label, "", "", "", "ana", f"2026-01-{day:02}T10:00:00Z",
                                       profile="sample"))  # fmt: skip

    shutil.copy(ROOT / ".gitattributes", checkout)
    git("init", "-b", "main")
    judge("Red Chapel", "church", 1)
    git("add", ".gitattributes", "review")
    git("commit", "-m", "base")
    git("branch", "other")
    for branch, own, label, day in (("other", "Lago Azul", "church", 3), ("main", "Unknown Lake", "lake", 2)):
        git("checkout", branch)
        judge("Blue Lake", label, day)
        judge(own, "lake", day)
        git("commit", "-am", branch)
    git("merge", "other", "-m", "both")
    assert "<<<<" not in (REVIEW / "ana.csv").read_text()
    code = "from hgld.cli import main; main(['check'])"
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ana.csv" not in done.stdout + done.stderr
    verdicts = load_verdicts(REVIEW, LABELS)
    assert len(verdicts) == 5
    counted = settled(verdicts)[0].set_index("category")["hierarchical_label"].to_dict()
    assert counted == {"Red Chapel": "church", "Blue Lake": "church", "Lago Azul": "lake", "Unknown Lake": "lake"}


def test_the_default_annotator_is_the_git_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(tmp_path / "none"))
    with pytest.raises(HgldError, match="give --annotator NAME"):
        default_annotator()
    subprocess.run(["git", "init", "-q", "."], check=True)
    subprocess.run(["git", "config", "user.name", "Ana López"], check=True)
    assert default_annotator() == "ana-lopez"


def test_a_qid_without_a_name_is_unchanged() -> None:
    assert with_class_names("Q1>Q22>Q3 by p373", {"Q22": "tower"}) == "Q1 > tower (Q22) > Q3 by p373"
