"""`hgld compare`: compares two label files or two releases, and writes the report."""

import csv
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from hgld.foundation.display import svg
from hgld.foundation.display.html_page import render_page
from hgld.foundation.display.text_table import TextTable
from hgld.foundation.errors import HgldError
from hgld.foundation.files import check_output, replacing, write_text
from hgld.hierarchy.comparison.agreement import Agreement, compare_labels, read_pair
from hgld.hierarchy.comparison.confusion import ConfusionMatrix, confusion_matrix
from hgld.hierarchy.comparison.proportions import Proportion, decimal
from hgld.hierarchy.comparison.release_diff import (
    KINDS,
    Change,
    ReleaseDiff,
    diff_releases,
    read_release_labels,
)
from hgld.hierarchy.comparison.reliability import CoveragePoint, Reliability
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.commands import heatmap

# Row limits of the page; the JSON and CSV files are complete.
MAX_PAIRS, MAX_CHANGES = 40, 200
# All files that a comparison may write.
OUTPUTS = ("report.html", "confusion.png", "agreement.json", "drift.json", "changes.csv")


@dataclass(frozen=True)
class Figure:
    """A number at the top of the page."""

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class Section:
    """A part of the page: a chart, a table, or both.

    On a phone `cards` shows each row of the table as a card, and a `sideways` chart is wider than the screen.
    """

    title: str
    table: TextTable | None = None
    note: str = ""
    svg: str = ""
    cards: bool = False
    sideways: bool = False


def compare_paths(
    ours: Path,
    theirs: Path,
    *,
    score: str | None = None,
    evidence: str | None = None,
    out: Path | None = None,
) -> Agreement | ReleaseDiff:
    """The agreement of two CSV files, or the difference from one release folder to another.

    With `out`, also write report.html, confusion.png and agreement.json there; for releases report.html,
    confusion.png, drift.json and changes.csv.

    Raises HgldError when only one of the two is a folder, and whatever `read_pair` and `read_release_labels` raise.
    """
    if out:
        for path in (out, *(out / name for name in OUTPUTS)):
            check_output(path, ours, theirs)
    folders = [path for path in (ours, theirs) if path.is_dir()]
    if len(folders) == 1:
        other = theirs if folders == [ours] else ours
        raise HgldError(
            f"{folders[0]} is a folder and {other} is not; give two CSV files of labels, or the folders of two releases"
        )
    if folders:
        if score or evidence:
            raise HgldError("--score and --by name columns of a CSV file; omit them for releases")
        return _compare_releases(ours, theirs, out)
    our_file, reference = read_pair(ours, theirs, score=score, evidence=evidence)
    result = compare_labels(our_file, reference)
    if out:
        matrix = confusion_matrix(our_file.labels, reference, _natures())
        page = agreement_page(result, matrix, f"{ours} against {theirs}")
        _write_json(result, out / "agreement.json")
        title = f"{ours.name} against {theirs.name}"
        heatmap.write_png(matrix, out / "confusion.png", title, "reference", "ours")
        write_text(page, out / "report.html")
    return result


def _compare_releases(old: Path, new: Path, out: Path | None) -> ReleaseDiff:
    before, after = read_release_labels(old), read_release_labels(new)
    result = diff_releases(before, after)
    if out:
        matrix = confusion_matrix(
            {"/".join(key): label.hierarchical_label for key, label in after.labels.items()},
            {"/".join(key): label.hierarchical_label for key, label in before.labels.items()},
            _natures(),
        )
        title = f"{result.old} → {result.new}"
        _write_json(result, out / "drift.json")
        _write_changes(result, out / "changes.csv")
        heatmap.write_png(matrix, out / "confusion.png", title, "old", "new")
        write_text(release_page(result, matrix, title), out / "report.html")
    return result


def _natures() -> dict[str, str]:
    """Label, without surrounding white space → natural or human-made."""
    return {label.strip(): nature for label, nature in load_taxonomy().natures.items()}


def _write_json(result: Agreement | ReleaseDiff, path: Path) -> None:
    write_text(json.dumps(result.to_dict(), indent=2, ensure_ascii=False) + "\n", path)


def _write_changes(result: ReleaseDiff, path: Path) -> None:
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([field.name for field in fields(Change)])
        writer.writerows(astuple(change) for change in result.changes)


def agreement_page(result: Agreement, matrix: ConfusionMatrix, title: str) -> str:
    """The HTML page of an agreement: self-contained, and deterministic."""
    figures = [
        _headline("equal", result.agreement),
        _headline("of all reference labels", result.share_of_reference),
        Figure("Cohen's kappa", decimal(result.kappa), "agreement beyond chance"),
    ]
    if result.reliability:
        note = f"{result.reliability.scored} scores"
        figures.append(Figure("calibration error", decimal(result.reliability.ece), note))
    notes = [
        f"Empty: ours only {result.empty_in_ours}, reference only {result.empty_in_reference}, both "
        f"{result.empty_in_both}. In one file only: ours {result.only_in_ours}, reference {result.only_in_reference}.",
    ]
    evidence = result.evidence_table()
    sections = [
        _heat_map(matrix, "Confusion matrix", "reference", "ours"),
        Section("Largest confusions", result.confusion_table(MAX_PAIRS)),
        *([Section("By evidence", evidence)] if evidence.rows else []),
        *([_calibration(result.reliability, result.score_column)] if result.reliability else []),
        *([_coverage(result.coverage)] if result.coverage else []),
        Section("Every label", result.label_table(), "Precision is of ours, recall of the reference."),
    ]
    return _page(title, notes, figures, sections)


def release_page(result: ReleaseDiff, matrix: ConfusionMatrix, title: str) -> str:
    """The HTML page of a release difference: self-contained, and deterministic."""
    figures = [Figure(kind, str(result.kinds[kind]), text) for kind, text in KINDS.items()]
    notes = [
        f"Old: {result.old_labelled} of {result.old_landmarks} landmarks labelled. New: {result.new_labelled} of "
        f"{result.new_landmarks}. {result.unchanged} landmarks unchanged.",
    ]
    changes = [
        (change.kind, f"{change.split} {change.landmark_id}", *(side or "–" for side in change.sides()),
         _category_name(change.category))
        for change in result.changes[:MAX_CHANGES]
    ]  # fmt: skip
    more = len(result.changes) - len(changes)
    header = ("change", "landmark", "old", "new", "category")
    labels = result.label_table(changed_only=True)
    unchanged = len(result.labels) - len(labels.rows)
    sections = [
        Section("Moves", result.move_table(MAX_PAIRS)),
        _heat_map(matrix, "Old label by new label", "old", "new"),
        Section(
            "Changed labels",
            labels,
            "Won and lost: landmarks that got it, and that had it before."
            + (f" No landmark won or lost the other {unchanged} labels." if unchanged else ""),
        ),
        Section(
            "Changes",
            TextTable(header, changes, header),
            f"The first {len(changes)}; changes.csv has {more} more." if more else "",
            cards=True,
        ),
    ]
    return _page(title, notes, figures, [part for part in sections if part.svg or (part.table and part.table.rows)])


def _category_name(text: str) -> str:
    """The name of a category that a release gives as a URL; the text itself where it is no category."""
    try:
        return normalise(text)
    except HgldError:
        return text


def _heat_map(matrix: ConfusionMatrix, title: str, rows: str, columns: str) -> Section:
    if not matrix.labels:
        return Section(title, note="No landmark to compare.")
    note = (
        "Natural labels come before human-made ones, frequent labels first. Numbers count landmarks; hover over one "
        f"for its labels and its fraction of the row. {heatmap.LEGEND}"
    )
    if matrix.left_out:
        note += f" {matrix.left_out} rarer labels are left out."
    return Section(title, note=note, svg=heatmap.svg(matrix, rows, columns), sideways=True)


def _calibration(result: Reliability, score_column: str) -> Section:
    points = [
        _point(
            bin_.mean_score,
            bin_.right,
            f"score {bin_.mean_score:.3f}: {bin_.right.hits} of {bin_.right.total} right",
        )
        for bin_ in result.bins
    ]
    note = (
        "The fraction of right labels by score. On the dashed line the score is the probability of being right; the "
        f"band is the 95 % interval. ECE {result.ece:.3f} over {result.scored} labels."
    )
    names = (f"mean {score_column}", "fraction right", "Calibration")
    chart = svg.for_any_screen(lambda width: svg.unit_square(points, *names, diagonal=True, width=width))
    return Section("Calibration", result.table(), note, chart)


def _coverage(curve: Sequence[CoveragePoint]) -> Section:
    points = [
        _point(point.coverage, point.precision,
               f"{point.coverage:.1%} at or above {point.threshold:.4g}: {point.precision.fraction:.1%} right")
        for point in curve
    ]  # fmt: skip
    note = (
        "Precision of the labels with at least a threshold score, by the fraction of reference labels that they cover. "
        "The band is the 95 % interval."
    )
    names = ("coverage", "precision", "Coverage and precision")
    chart = svg.for_any_screen(lambda width: svg.unit_square(points, *names, width=width))
    return Section("Coverage and precision", note=note, svg=chart)


def _point(x: float, y: Proportion, tooltip: str) -> svg.CurvePoint:
    return svg.CurvePoint(x, y.fraction, y.low, y.high, tooltip)


def _headline(name: str, result: Proportion) -> Figure:
    if not result.total:
        return Figure(name, "–", "nothing to compare")
    note = f"{result.hits} of {result.total}, 95 % interval {result.low:.1%} to {result.high:.1%}"
    return Figure(name, f"{result.fraction:.1%}", note)


def _page(title: str, notes: list[str], figures: list[Figure], sections: list[Section]) -> str:
    return render_page(
        "hgld.pipeline.commands", "compare.html", title=title, notes=notes, figures=figures, sections=sections
    )
