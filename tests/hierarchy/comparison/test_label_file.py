"""Label files with scores and evidence: the choice of columns, and invalid values by line."""

from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.hierarchy.comparison.agreement import compare_labels, read_pair
from hgld.hierarchy.comparison.label_file import LabelFile, read_label_file


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_first_default_column_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "landmark_id,hierarchical_label,score,probability,method,source",
        "1,lake,7,0.5,p373,wikidata",
        "2,,,,,",
    )
    default = read_label_file(path)
    assert default == LabelFile({"1": "lake", "2": ""}, {"1": 0.5}, {"1": "wikidata", "2": ""}, "probability", "source")
    chosen = read_label_file(path, score="score", evidence="method")
    assert (chosen.scores, chosen.evidence["1"]) == ({"1": 7.0}, "p373")
    plain = read_label_file(write(tmp_path / "b.csv", "landmark_id,hierarchical_label", "1,ocean area "))
    assert plain == LabelFile({"1": "ocean area"}, {}, {})


def test_invalid_scores_are_reported_by_line(tmp_path: Path) -> None:
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


def test_scores_of_the_reference_are_not_read(tmp_path: Path) -> None:
    ours = write(tmp_path / "a.csv", "landmark_id,hierarchical_label", "1,lake")
    theirs = write(tmp_path / "b.csv", "landmark_id,hierarchical_label,score", "1,lake,sure")
    result = compare_labels(*read_pair(ours, theirs))
    assert (result.score_column, result.reliability, result.coverage, result.by_evidence) == (
        "",
        None,
        (),
        (),
    )


def test_coverage_counts_all_reference_labels() -> None:
    """Five reference labels: one is empty in ours, one has no score, three are scored."""
    labels = {"1": "lake", "2": "river", "3": "church", "4": "", "5": "church", "6": "lake"}
    reference = {"1": "lake", "2": "lake", "3": "church", "4": "church", "5": "church", "6": ""}
    scores = {"1": 0.9, "2": 0.5, "3": 0.7, "6": 0.99}
    result = compare_labels(LabelFile(labels, scores, {}, "score"), reference)
    assert result.without_score == 1
    assert result.reliability is not None and result.reliability.scored == 3
    assert [(p.threshold, p.coverage, p.precision.hits, p.precision.total) for p in result.coverage] == [
        (0.9, 1 / 4, 1, 1), (0.7, 2 / 4, 2, 2), (0.5, 3 / 4, 2, 3),
    ]  # fmt: skip
    assert "score                 column score, 1 of 4 labels without a score" in result.text()
    # the sections about scores come last
    assert result.text().startswith(compare_labels(labels, reference).text())


def test_kinds_of_evidence_are_counted_separately() -> None:
    labels = {"1": "lake", "2": "river", "3": "church", "4": "", "5": "lake"}
    reference = {"1": "lake", "2": "lake", "3": "church", "4": "church", "5": ""}
    evidence = {"1": "clip", "2": "clip", "3": "", "4": "clip", "5": "clip"}
    result = compare_labels(LabelFile(labels, {}, evidence, evidence_column="source"), reference)
    rows = [(r.evidence, r.given, r.agreement.hits, r.agreement.total) for r in result.by_evidence]
    assert rows == [("clip", 3, 1, 2), ("(none)", 1, 1, 1)]
    assert "ours by source" in result.text()


def test_rare_kinds_of_evidence_are_counted_together() -> None:
    keys = [str(number) for number in range(25)]
    file = LabelFile(dict.fromkeys(keys, "lake"), {}, {k: f"path {k}" for k in keys}, evidence_column="evidence")
    rows = compare_labels(file, dict.fromkeys(keys, "lake")).by_evidence
    assert len(rows) == 21
    assert (rows[-1].evidence, rows[-1].given) == ("(others)", 5)
