"""`hgld compare`: compares two label files or two releases, and writes the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.display import svg
from hgld.foundation.display.html_page import render_page
from hgld.foundation.display.text_table import TextTable
from hgld.foundation.errors import HgldError
from hgld.foundation.files import check_output, write_text
from hgld.hierarchy.comparison.agreement import Agreement, compare_labels, read_pair
from hgld.hierarchy.comparison.confusion import ConfusionMatrix, confusion_matrix
from hgld.hierarchy.comparison.drift.report import Drift, explain_releases
from hgld.hierarchy.comparison.proportions import Proportion, decimal
from hgld.hierarchy.comparison.release_diff import title
from hgld.hierarchy.comparison.reliability import CoveragePoint, Reliability
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.commands import heatmap
from hgld.pipeline.release.changes.folder import CHANGES, HTML, write_changes_csv, write_json
from hgld.pipeline.release.changes.former import is_release, opened
from hgld.pipeline.release.changes.history import FILE as CHANGES_JSON
from hgld.pipeline.release.changes.page import Part, changes_page

# Row limit of the pages; the JSON and CSV files are complete.
MAX_PAIRS = 40
# All files that a comparison may write.
OUTPUTS = ("report.html", "confusion.png", "agreement.json", HTML, CHANGES_JSON, CHANGES)


@dataclass(frozen=True)
class Figure:
    """A number at the top of the page."""

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class Section:
    """A part of the page: a chart, a table, or both.

    A `sideways` chart is wider than the screen of a phone.
    """

    title: str
    table: TextTable | None = None
    note: str = ""
    svg: str = ""
    sideways: bool = False


def compare_paths(
    ours: Path,
    theirs: Path,
    *,
    score: str | None = None,
    evidence: str | None = None,
    out: Path | None = None,
) -> Agreement | Drift:
    """The agreement of two CSV files, or the changes from one release to another, with their causes.

    With `out`, also write report.html, confusion.png and agreement.json there; for releases changes.html, changes.csv,
    changes.json and confusion.png.

    Raises HgldError when only one of the two is a release, and whatever `read_pair` and `explain_releases` raise.
    """
    if out:
        for path in (out, *(out / name for name in OUTPUTS)):
            check_output(path, ours, theirs)
    folders = [path for path in (ours, theirs) if is_release(path)]
    if len(folders) == 1:
        other = theirs if folders == [ours] else ours
        raise HgldError(
            f"{folders[0]} is a {'folder' if folders[0].is_dir() else 'ZIP file'} and {other} is not; give two CSV "
            "files of labels, or the folders of two releases"
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
        write_json(result.to_dict(), out / "agreement.json")
        title = f"{ours.name} against {theirs.name}"
        heatmap.write_png(matrix, out / "confusion.png", title, "reference", "ours")
        write_text(page, out / "report.html")
    return result


def _compare_releases(old: Path, new: Path, out: Path | None) -> Drift:
    with opened(old) as before, opened(new) as after:
        result = explain_releases(before, after, (title(before, old), title(after, new)))
    if out:
        labels = [
            {"/".join(key): label.hierarchical_label for key, label in release.labels.items()}
            for release in result.labels
        ]
        matrix = confusion_matrix(labels[1], labels[0], _natures())
        heading = f"{result.diff.old} → {result.diff.new}"
        write_json(result.to_dict(), out / CHANGES_JSON)
        write_changes_csv(result, out / CHANGES)
        heatmap.write_png(matrix, out / "confusion.png", heading, "old", "new")
        write_text(changes_page(result, heading, release_parts(result, matrix)), out / HTML)
    return result


def _natures() -> dict[str, str]:
    """Label, without surrounding white space → natural or human-made."""
    return {label.strip(): nature for label, nature in load_taxonomy().natures.items()}


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


def release_parts(drift: Drift, matrix: ConfusionMatrix) -> list[Part]:
    """What the page of a comparison has besides the causes: the moves, the labels by each other, and their numbers."""
    labels = drift.diff.label_table(changed_only=True)
    unchanged = len(drift.diff.labels) - len(labels.rows)
    heat_map = _heat_map(matrix, "Old label by new label", "old", "new")
    note = "Won and lost: landmarks that got it, and that had it before."
    note += f" No landmark won or lost the other {unchanged} labels." if unchanged else ""
    return [
        Part("Moves", table=drift.diff.move_table(MAX_PAIRS)),
        Part(heat_map.title, heat_map.note, heat_map.svg),
        Part("Changed labels", note, table=labels),
    ]


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
