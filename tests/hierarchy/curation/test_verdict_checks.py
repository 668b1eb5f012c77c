"""Verdicts without effect are named with file, line and near names; what is gone or not recorded is only noted."""

from dataclasses import replace
from pathlib import Path

from hgld.hierarchy.curation.verdict import COLUMNS, Verdict
from hgld.hierarchy.curation.verdict_checks import (
    category_problems,
    class_problems,
    near_categories,
    profile_problems,
    same_time_notes,
    time_problems,
    verdict_notes,
    without_effect,
)
from hgld.hierarchy.curation.verdicts import append_verdict, read_verdicts

LABELS = ["church", "lake"]
KNOWN = {"sample": ["Red Chapel", "Rad Chapel", "Blue Lake"], "gldv2": ["Mount Rainier"]}


def _judge(folder: Path, category: str, profile: str, suggested: str = "", by: str = "") -> None:
    append_verdict(folder, Verdict(category, "church", suggested, by, "", "ana", "2026-01-03", "", profile))


def test_verdict_on_an_unknown_category_is_named_with_near_names(tmp_path: Path) -> None:
    for category, profile in (
        ("Red Chapel", "sample"), ("Red Chapell", "sample"), ("Mount Rainier", "sample"), ("Mount Rainier", "gldv2"),
        ("Mount Rainier", ""), ("Xyzzy", ""), ("Xyzzy", "elsewhere"),
    ):  # fmt: skip
        _judge(tmp_path, category, profile)
    files = read_verdicts(tmp_path, LABELS)
    lead = "the verdict has no effect: no category"
    assert list(category_problems(files, KNOWN)) == [
        f"{tmp_path}/ana.csv:3: {lead} 'Red Chapell' in the metadata of sample; "
        "did you mean 'Red Chapel' or 'Rad Chapel'?",
        f"{tmp_path}/ana.csv:4: {lead} 'Mount Rainier' in the metadata of sample",
        f"{tmp_path}/ana.csv:7: {lead} 'Xyzzy' in the metadata of gldv2, sample "
        "(or write the profile it was given on in the column profile)",
    ]
    assert list(category_problems(files, {})) == []
    assert list(profile_problems(files, ["sample", "gldv2"])) == [
        f"{tmp_path}/ana.csv:8: the verdict does not count: no profile 'elsewhere' in params.yaml"
    ]


def test_stages_warn_of_their_own_profile_only(tmp_path: Path) -> None:
    assert without_effect(tmp_path, LABELS, "sample", KNOWN["sample"]) == []
    _judge(tmp_path, "Mount Rainier", "gldv2")
    _judge(tmp_path, "Red Chapel", "")
    assert without_effect(tmp_path, LABELS, "sample", KNOWN["sample"]) == []
    _judge(tmp_path, "Blue Lak", "")
    (tmp_path / "two\nlines").touch()
    first, second = without_effect(tmp_path, LABELS, "sample", KNOWN["sample"])
    assert first.startswith(f"warning: {tmp_path}/ana.csv:4: the verdict has no effect: no category 'Blue Lak'")
    assert second == rf"warning: {tmp_path}/two\nlines: not read; verdicts are in files named <annotator>.csv"


def test_stages_warn_of_a_profile_that_does_not_exist(tmp_path: Path) -> None:
    """Such as the end of a comment with a comma in a row of an older version."""
    _judge(tmp_path, "Red Chapel", "sample")
    _judge(tmp_path, "Blue Lake", " big")
    (warning,) = without_effect(tmp_path, LABELS, "sample", KNOWN["sample"], ["sample", "gldv2"])
    lead = f"warning: {tmp_path}/ana.csv:3: the verdict does not count: no profile ' big' in params.yaml"
    assert warning == lead


def _rows(folder: Path, *rows: tuple[str, str, str]) -> None:
    """Rows (label, time, profile) on Red Chapel."""
    lines = [f"Red Chapel,{label},,,,ana,{time},,{profile}" for label, time, profile in rows]
    (folder / "ana.csv").write_text("\n".join([",".join(COLUMNS), *lines, ""]))


def test_verdict_of_a_time_to_come_is_named(tmp_path: Path) -> None:
    """Further than a day, which dates of other time zones may be ahead."""
    _rows(tmp_path, ("church", "2026-01-04T09:00:00Z", ""), ("lake", "2026-01-04T09:00:01Z", ""),
          ("church", "2026-01-04", ""), ("church", "2026-01-05", ""))  # fmt: skip
    files = read_verdicts(tmp_path, LABELS)
    problems = list(time_problems(files, "2026-01-03T09:00:00Z"))
    assert [problem.split(" is in the future")[0] for problem in problems] == [
        f"{tmp_path}/ana.csv:3: decided_on 2026-01-04T09:00:01Z",
        f"{tmp_path}/ana.csv:5: decided_on 2026-01-05",
    ]
    assert list(time_problems(files)) == []


def test_different_verdicts_of_the_same_time_are_named(tmp_path: Path) -> None:
    """Which of them counts depends on the order of the lines, which a merge may change."""
    tie = [("church", "2026-01-04", "sample"), ("church", "2026-01-04T00:00:00Z", "sample"),
           ("lake", "2026-01-03", "sample"), ("lake", "2026-01-04", "gldv2"), ("", "2026-01-04", "sample")]  # fmt: skip
    _rows(tmp_path, *tie)
    (note,) = same_time_notes(read_verdicts(tmp_path, LABELS))
    where = f"{tmp_path}/ana.csv"
    assert note.startswith(f"{where}:6: another verdict on 'Red Chapel' than in {where}:2, of the same time; the last")
    assert without_effect(tmp_path, LABELS, "sample", KNOWN["sample"]) == [f"warning: {note}"]
    assert note in verdict_notes(read_verdicts(tmp_path, LABELS), LABELS, {})
    _rows(tmp_path, *tie, ("lake", "2026-01-05", "sample"))  # a newer verdict decides
    assert same_time_notes(read_verdicts(tmp_path, LABELS)) == []


def test_warnings_are_bounded(tmp_path: Path) -> None:
    rows = [f"Place {number},church,,,,ana,2026-01-03,,sample" for number in range(500)]
    _judge(tmp_path, "Red Chapel", "sample")
    with (tmp_path / "ana.csv").open("a") as handle:
        handle.write("\n".join(rows))
    lines = without_effect(tmp_path, LABELS, "sample", [f"Place {number}a" for number in range(900)])
    assert len(lines) == 21
    assert lines[-1] == "... and 481 more"


def test_rows_without_a_profile_and_suggestions_that_are_gone_are_noted(tmp_path: Path) -> None:
    _judge(tmp_path, "Red Chapel", "", "kirk", "oracle")
    _judge(tmp_path, "Blue Lake", "gldv2", "church", "wikidata")
    _judge(tmp_path, "Blue Lake", "sample", "church", "wikidata")
    assert verdict_notes(read_verdicts(tmp_path, LABELS), LABELS, {"sample": []}) == [
        f"{tmp_path}/ana.csv: 1 row without a profile, counted for every profile",
        f"{tmp_path}/ana.csv: 1 row of profile gldv2, whose metadata is not here: the categories are not checked",
        f"{tmp_path}/ana.csv: 1 row with the suggestion 'kirk', which is no label today",
        f"{tmp_path}/ana.csv: 1 row with a suggestion by 'oracle', which is no kind of evidence today",
    ]


def test_near_names_ignore_case_and_are_of_similar_length() -> None:
    assert near_categories("red chapel", ["Red Chapel", "Red Chapel of the Holy Mountain"]) == ["Red Chapel"]
    assert near_categories("Xyzzy", ["Red Chapel"]) == []


def test_verdicts_on_classes_that_the_snapshot_lacks_are_named(tmp_path: Path) -> None:
    def judge(category: str, kind: str, supercategory: str = "") -> None:
        verdict = Verdict(category, "church", "", "", "", "ana", "2026-01-03", "", "sample")
        append_verdict(tmp_path, replace(verdict, kind=kind, supercategory=supercategory))

    judge("Q1", "class")
    judge("Q2", "class")
    judge("Mill", "landmark", "Q1")
    judge("Barn", "landmark", "Q3")
    files = read_verdicts(tmp_path, LABELS)
    assert list(class_problems(files, {"sample": {"Q1"}})) == [
        f"{tmp_path}/ana.csv:3: the verdict has no effect: no class Q2 in the snapshot of Wikidata of sample",
        f"{tmp_path}/ana.csv:5: the supercategory has no name: no class Q3 in the snapshot of Wikidata of sample",
    ]
    assert list(class_problems(files, {"gldv2": set()})) == []
    assert list(category_problems(files, {"sample": {"Mill", "Barn"}})) == []
