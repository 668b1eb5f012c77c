"""`hgld compare`: two files of labels, or two releases; what to print, and what to write into a folder."""

import csv
import json
from dataclasses import astuple, dataclass, fields
from importlib.resources import files
from pathlib import Path

import jinja2

from hgld.foundation import svg
from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing, write_text
from hgld.hierarchy.comparison.agreement import Agreement, compare, read_pair
from hgld.hierarchy.comparison.confusion import Matrix, confusion_matrix
from hgld.hierarchy.comparison.proportions import Share, figure
from hgld.hierarchy.comparison.release_diff import KINDS, Change, Drift, drift, read_edition, shown
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.commands import heatmap

# A page is read by people; the rest stands in the JSON and the CSV.
PAIRS, CHANGES = 40, 200


@dataclass(frozen=True)
class Section:
    """A part of the page: a drawing, a table, or both; `texts` names the columns that hold words."""

    title: str
    note: str = ""
    svg: str = ""
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    texts: tuple[str, ...] = ()


def compare_paths(
    ours: Path,
    theirs: Path,
    *,
    score: str | None = None,
    evidence: str | None = None,
    out: Path | None = None,
) -> Agreement | Drift:
    """The agreement of two CSV files, or the drift from one release folder to another.

    With `out`, also report.html, confusion.png and agreement.json there; for releases report.html, confusion.png,
    drift.json and changes.csv.

    Raises HgldError for a file beside a folder, and whatever `read_label_file` or `read_edition` finds wrong.
    """
    folders = [path for path in (ours, theirs) if path.is_dir()]
    if len(folders) == 1:
        other = theirs if folders == [ours] else ours
        raise HgldError(
            f"{folders[0]} is a folder and {other} is not; give two CSV files of labels, or the folders of two releases"
        )
    if folders:
        if score or evidence:
            raise HgldError("--score and --by name columns of a CSV file; releases have none to name")
        return _drifted(ours, theirs, out)
    mine, reference = read_pair(ours, theirs, score=score, evidence=evidence)
    result = compare(mine, reference)
    if out:
        matrix = confusion_matrix(mine.labels, reference, _natures())
        title = f"{ours} against {theirs}"
        write_text(json.dumps(result.to_dict(), indent=2, ensure_ascii=False) + "\n", out / "agreement.json")
        heatmap.write_png(
            matrix, out / "confusion.png", f"{ours.name} against {theirs.name}", "reference", "ours"
        )
        write_text(agreement_page(result, matrix, title), out / "report.html")
    return result


def _drifted(old: Path, new: Path, out: Path | None) -> Drift:
    before, after = read_edition(old), read_edition(new)
    result = drift(before, after)
    if out:
        matrix = confusion_matrix(
            {"/".join(key): label.hierarchical_label for key, label in after.labels.items()},
            {"/".join(key): label.hierarchical_label for key, label in before.labels.items()},
            _natures(),
        )
        title = f"{result.old} → {result.new}"
        write_text(json.dumps(result.to_dict(), indent=2, ensure_ascii=False) + "\n", out / "drift.json")
        _write_changes(result, out / "changes.csv")
        heatmap.write_png(matrix, out / "confusion.png", title, "old", "new")
        write_text(drift_page(result, matrix, title), out / "report.html")
    return result


def _natures() -> dict[str, str]:
    """Label without white space around it → natural or human-made."""
    return {label.strip(): nature for label, nature in load_taxonomy().natures.items()}


def _write_changes(result: Drift, path: Path) -> None:
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([field.name for field in fields(Change)])
        writer.writerows(astuple(change) for change in result.changes)


def agreement_page(result: Agreement, matrix: Matrix, title: str) -> str:
    """The page of a comparison as text: it asks nothing of the network, and has no clock in it."""
    figures = [
        ("equal", *_headline(result.agreement)),
        ("of all reference labels", *_headline(result.share_of_reference)),
        ("Cohen's kappa", figure(result.kappa), "agreement beyond chance"),
    ]
    if result.reliability:
        figures.append(
            ("calibration error", figure(result.reliability.ece), f"{result.reliability.scored} scores")
        )
    notes = [
        f"Empty: ours only {result.empty_in_ours}, reference only {result.empty_in_reference}, both "
        f"{result.empty_in_both}. In one file only: ours {result.only_in_ours}, reference {result.only_in_reference}.",
    ]
    confusions = tuple((one.ours, one.reference, str(one.count)) for one in result.confusions[:PAIRS])
    sections = [
        _heat(matrix, "Which label for which", "reference", "ours"),
        Section("Largest confusions", "", "", ("ours", "reference", "landmarks"), confusions, ("ours", "reference")),
        *_evidence(result),
        *_scores(result),
        Section(
            "Every label", "Precision is of ours, recall of the reference.", "",
            ("label", "reference", "ours", "both", "precision", "recall"),
            tuple((row.label, str(row.reference), str(row.ours), str(row.both), figure(row.precision),
                   figure(row.recall)) for row in result.labels), ("label",),
        ),
    ]  # fmt: skip
    return _page(title, notes, figures, sections)


def drift_page(result: Drift, matrix: Matrix, title: str) -> str:
    """The page of a drift as text."""
    figures = [(kind, str(result.kinds[kind]), text) for kind, text in KINDS.items()]
    notes = [
        f"Old: {result.old_labelled} of {result.old_landmarks} landmarks labelled. New: {result.new_labelled} of "
        f"{result.new_landmarks}. {result.unchanged} landmarks unchanged.",
    ]
    moves = tuple((shown(one.old), shown(one.new), str(one.count)) for one in result.moves[:PAIRS])
    labels = tuple(
        (row.label, str(row.old), str(row.new), f"{row.new - row.old:+d}", str(row.won), str(row.lost))
        for row in result.labels
    )
    changes = tuple(
        (one.kind, f"{one.split} {one.landmark_id}", shown(one.old_label), shown(one.new_label), one.old_source,
         one.new_source, one.category)
        for one in result.changes[:CHANGES]
    )  # fmt: skip
    more = len(result.changes) - len(changes)
    header = ("change", "landmark", "old", "new", "old source", "new source", "category")
    sections = [
        Section("Moves", "", "", ("from", "to", "landmarks"), moves, ("from", "to")),
        _heat(matrix, "Old label by new label", "old", "new"),
        Section("Every label", "Won and lost: landmarks that came to the label and left it.", "",
                ("label", "old", "new", "change", "won", "lost"), labels, ("label",)),
        Section("Changes", f"The first {len(changes)}; changes.csv has {more} more." if more else "", "", header,
                changes, header),
    ]  # fmt: skip
    return _page(title, notes, figures, [one for one in sections if one.svg or one.rows])


def _heat(matrix: Matrix, title: str, rows: str, columns: str) -> Section:
    note = (
        "Natural labels before human-made ones, the most frequent first. A number is how many landmarks; point at it "
        f"for the names and the share of the row. {heatmap.LEGEND}"
    )
    if matrix.left_out:
        note += f" {matrix.left_out} rarer labels are left out of the picture."
    return (
        Section(title, note, heatmap.svg(matrix, rows, columns))
        if matrix.labels
        else Section(title, "Nothing.")
    )


def _evidence(result: Agreement) -> list[Section]:
    if not result.by_evidence:
        return []
    rows = tuple(
        (
            row.evidence,
            str(row.given),
            str(row.agreement.total),
            str(row.agreement.equal),
            *_interval(row.agreement),
        )
        for row in result.by_evidence
    )
    header = (result.evidence_column, "labels", "compared", "equal", "share", "95 % interval")
    return [Section("By evidence", "", "", header, rows, (result.evidence_column,))]


def _scores(result: Agreement) -> list[Section]:
    sections = []
    if found := result.reliability:
        points = [(b.mean_score, b.right.share, b.right.low, b.right.high,
                   f"score {b.mean_score:.3f}: {b.right.equal} of {b.right.total} right")
                  for b in found.bins]  # fmt: skip
        rows = tuple(
            (f"{b.low:.1f} – {b.high:.1f}", str(b.right.total), figure(b.mean_score), *_interval(b.right))
            for b in found.bins
        )
        sections.append(
            Section(
                "Calibration",
                "How often labels of a score are right. On the dashed line the score is the probability; the band is "
                f"the 95 % interval. ECE {found.ece:.3f} over {found.scored} labels.",
                svg.unit_square(
                    points, f"mean {result.score_column}", "share right", "Calibration", diagonal=True
                ),
                (result.score_column, "labels", "mean score", "share right", "95 % interval"),
                rows,
                (result.score_column,),
            )
        )
    if result.coverage:
        points = [(p.coverage, p.precision.share, p.precision.low, p.precision.high,
                   f"{p.coverage:.1%} at or above {p.threshold:.4g}: {p.precision.share:.1%} right")
                  for p in result.coverage]  # fmt: skip
        sections.append(
            Section(
                "Coverage and precision",
                "The share of the reference's labels that is answered when only scores from a threshold up are taken, "
                "and how many of those answers are right. The band is the 95 % interval.",
                svg.unit_square(points, "coverage", "precision", "Coverage and precision"),
            )
        )
    return sections


def _headline(share: Share) -> tuple[str, str]:
    if not share.total:
        return "–", "nothing to compare"
    return (
        f"{share.share:.1%}",
        f"{share.equal} of {share.total}, 95 % interval {share.low:.1%} to {share.high:.1%}",
    )


def _interval(share: Share) -> tuple[str, str]:
    return figure(share.share), f"{figure(share.low)} – {figure(share.high)}"


def _page(title: str, notes: list[str], figures: list[tuple[str, str, str]], sections: list[Section]) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    text = files("hgld.pipeline").joinpath("compare.html").read_text(encoding="utf-8")
    return environment.from_string(text).render(title=title, notes=notes, figures=figures, sections=sections)
