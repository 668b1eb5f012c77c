"""Label files with scores and evidence: which columns count, and what is wrong with them, by line."""

from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.hierarchy.comparison.agreement import compare, compare_files
from hgld.hierarchy.comparison.label_file import LabelFile, read_label_file


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_first_known_column_counts(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "landmark_id,hierarchical_label,score,probability,method,source",
        "1,lake,7,0.5,p373,wikidata",
        "2,,,,,",
    )
    found = read_label_file(path)
    assert found == LabelFile(
        {"1": "lake", "2": ""}, {"1": 0.5}, {"1": "wikidata", "2": ""}, "probability", "source"
    )
    other = read_label_file(path, score="score", evidence="method")
    assert (other.scores, other.evidence["1"]) == ({"1": 7.0}, "p373")
    plain = read_label_file(write(tmp_path / "b.csv", "landmark_id,hierarchical_label", "1,ocean area "))
    assert plain == LabelFile({"1": "ocean area"}, {}, {})


def test_a_bad_score_is_named_by_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "landmark_id,hierarchical_label,score",
        "1,lake,0.5",
        "",
        "2,lake,high",
        "3,lake,nan",
    )
    with pytest.raises(HgldError, match=r"(?s)2 row.*a\.csv:4: score 'high' is not.*a\.csv:5: score 'nan'"):
        read_label_file(path)
    with pytest.raises(HgldError, match=r"no column 'scor' \(there are: .*\); did you mean 'score'\?"):
        read_label_file(path, score="scor")


def test_the_reference_may_say_what_it_likes_of_its_scores(tmp_path: Path) -> None:
    ours = write(tmp_path / "a.csv", "landmark_id,hierarchical_label", "1,lake")
    theirs = write(tmp_path / "b.csv", "landmark_id,hierarchical_label,score", "1,lake,sure")
    result = compare_files(ours, theirs)
    assert (result.score_column, result.reliability, result.coverage, result.by_evidence) == (
        "",
        None,
        (),
        (),
    )


def test_coverage_is_of_all_that_could_be_answered() -> None:
    """Five reference labels: one left empty by us, one answered without a score, three scored."""
    labels = {"1": "lake", "2": "river", "3": "church", "4": "", "5": "church", "6": "lake"}
    reference = {"1": "lake", "2": "lake", "3": "church", "4": "church", "5": "church", "6": ""}
    scores = {"1": 0.9, "2": 0.5, "3": 0.7, "6": 0.99}
    result = compare(LabelFile(labels, scores, {}, "score"), reference)
    assert result.without_score == 1
    assert result.reliability is not None and result.reliability.scored == 3
    assert [(p.threshold, p.coverage, p.precision.equal, p.precision.total) for p in result.coverage] == [
        (0.9, 1 / 4, 1, 1), (0.7, 2 / 4, 2, 2), (0.5, 3 / 4, 2, 3),
    ]  # fmt: skip
    assert "score                 column score, without one 1 of 4" in result.text()
    # at the end, so that what was there before stays as it was
    assert result.text().startswith(compare(labels, reference).text())


def test_each_kind_of_evidence_is_counted_apart() -> None:
    labels = {"1": "lake", "2": "river", "3": "church", "4": "", "5": "lake"}
    reference = {"1": "lake", "2": "lake", "3": "church", "4": "church", "5": ""}
    evidence = {"1": "clip", "2": "clip", "3": "", "4": "clip", "5": "clip"}
    result = compare(LabelFile(labels, {}, evidence, evidence_column="source"), reference)
    rows = [(r.evidence, r.given, r.agreement.equal, r.agreement.total) for r in result.by_evidence]
    assert rows == [("clip", 3, 1, 2), ("(none)", 1, 1, 1)]
    assert "ours by source" in result.text()


def test_many_kinds_of_evidence_are_cut() -> None:
    keys = [str(number) for number in range(25)]
    file = LabelFile(
        dict.fromkeys(keys, "lake"), {}, {k: f"path {k}" for k in keys}, evidence_column="evidence"
    )
    rows = compare(file, dict.fromkeys(keys, "lake")).by_evidence
    assert len(rows) == 21
    assert (rows[-1].evidence, rows[-1].given) == ("(others)", 5)
