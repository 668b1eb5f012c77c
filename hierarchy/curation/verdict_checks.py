"""Verdicts against what exists: categories of the metadata, profiles, and today's labels and kinds of evidence."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import shortened, suggest
from hgld.hierarchy.curation.verdict import CLASS, LANDMARK, Verdict, instant, utc_now
from hgld.hierarchy.curation.verdicts import VerdictFiles, read_verdicts
from hgld.hierarchy.fusion.evidence_kinds import proposal_sources

# difflib is slow on 200,000 names: of more than this many, only those with the same first letter are compared; and
# near names are looked for in the first messages only.
_FEW = 1000
_WITH_NAMES = 5


def near_categories(name: str, known: Collection[str], limit: int = 3) -> list[str]:
    """The known categories that are spelled most like `name`, ignoring case, the nearest first.

    >>> near_categories("Red chapell", ["Blue Lake", "Red Chapel"])
    ['Red Chapel']
    """
    near = {
        category.casefold(): category
        for category in sorted(known)
        if abs(len(category) - len(name)) <= 4 and (len(known) <= _FEW or category[:1] == name[:1])
    }
    return [near[match] for match in get_close_matches(name.casefold(), near, n=limit)]


def category_problems(files: VerdictFiles, known: Mapping[str, Collection[str]]) -> Iterator[str]:
    """One message (file:line) per verdict on a category that does not exist, with the nearest names.

    known: the categories of each profile whose metadata is here; verdicts given on another profile are not checked.
    One whose profile is not recorded may be on a category of any profile.
    """
    sets = {profile: set(categories) for profile, categories in known.items()}
    count = 0
    for where, verdict in files.rows:
        profiles = [verdict.profile] if verdict.profile else sorted(sets)
        if verdict.kind != LANDMARK or not profiles or not set(profiles) <= sets.keys():
            continue
        if any(verdict.category in sets[profile] for profile in profiles):
            continue
        count += 1
        looked_up = profiles if count <= _WITH_NAMES else []
        names = [name for profile in looked_up for name in near_categories(verdict.category, sets[profile])]
        near = "; did you mean " + " or ".join(f"'{name}'" for name in dict.fromkeys(names)) + "?" if names else ""
        other = "" if verdict.profile else " (or write the profile it was given on in the column profile)"
        yield (
            f"{where}: the verdict has no effect: no category {verdict.category!r} in the metadata of "
            f"{', '.join(profiles)}{near}{other}"
        )


def class_problems(files: VerdictFiles, known: Mapping[str, Collection[str]]) -> Iterator[str]:
    """One message (file:line) per verdict that is on, or names, a class that the snapshot of its profile lacks.

    known: the classes of each profile whose snapshot is here; verdicts given on another profile are not checked.
    """
    for where, verdict in files.rows:
        profiles = [name for name in known if verdict.profile in ("", name)]
        qid = verdict.category if verdict.kind == CLASS else verdict.supercategory
        if qid and profiles and not any(qid in known[profile] for profile in profiles):
            effect = "the verdict has no effect" if verdict.kind == CLASS else "the supercategory has no name"
            yield f"{where}: {effect}: no class {qid} in the snapshot of Wikidata of {', '.join(sorted(profiles))}"


def without_effect(
    folder: Path, labels: Collection[str], profile: str, categories: Collection[str], profiles: Collection[str] = ()
) -> list[str]:
    """For the stages that read verdicts: one line for each, or for each file, without effect, or of a doubtful time.

    labels: the known hierarchical labels; categories: those of the profile; profiles: all of them, if they are known.
    """
    files = read_verdicts(folder, labels)
    own = replace(files, rows=[(where, verdict) for where, verdict in files.rows if verdict.profile in ("", profile)])
    lines = [
        *category_problems(own, {profile: categories}),
        *(profile_problems(files, profiles) if profiles else ()),
        *time_problems(own),
        *same_time_notes(own),
        *_not_read(files),
    ]
    return shortened([f"warning: {line}" for line in lines])


def time_problems(files: VerdictFiles, now: str | None = None) -> Iterator[str]:
    """One message (file:line) per verdict of a time to come: no correction would count before then.

    A day is allowed for dates of other time zones, and for clocks that are wrong.
    """
    today = datetime.fromisoformat(now or utc_now()).astimezone(UTC)
    last = f"{today + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    for where, verdict in files.rows:
        if instant(verdict.decided_on) > last:
            yield (
                f"{where}: decided_on {verdict.decided_on} is in the future, so that no later verdict on "
                f"{verdict.category!r} would count; correct it"
            )


def same_time_notes(files: VerdictFiles) -> list[str]:
    """One message (file:line) per newest verdict of an annotator that differs from an earlier row of the same time."""
    newest: dict[tuple[str, ...], tuple[str, str, tuple[str, str]]] = {}
    notes: dict[tuple[str, ...], list[str]] = {}
    for where, verdict in files.rows:
        key = (verdict.annotator, verdict.profile, verdict.kind, verdict.category)
        time = instant(verdict.decided_on)
        before, first, answer = newest.get(key, ("", "", ("", "")))
        if time > before:
            newest[key], notes[key] = (time, where, (verdict.hierarchical_label, verdict.answer)), []
        elif time == before and answer != (verdict.hierarchical_label, verdict.answer):
            notes[key].append(
                f"{where}: another verdict on {verdict.category!r} than in {first}, of the same time; the last line "
                "counts, but a merge may change the order: delete one, or write the times"
            )
    return [note for group in notes.values() for note in group]


def profile_problems(files: VerdictFiles, profiles: Collection[str]) -> Iterator[str]:
    """One message (file:line) per verdict on a profile that params.yaml lacks."""
    for where, verdict in files.rows:
        if verdict.profile and verdict.profile not in profiles:
            hint = suggest(verdict.profile, profiles)
            yield f"{where}: the verdict does not count: no profile '{verdict.profile}' in params.yaml{hint}"


def verdict_notes(files: VerdictFiles, labels: Collection[str], known: Mapping[str, Collection[str]]) -> list[str]:
    """What is no mistake, but worth knowing: files that are not read, and what rows lack or name that is gone.

    known: the categories of each profile whose metadata is here.
    """
    notes = [*same_time_notes(files), *_not_read(files)]
    by_file: dict[str, list[Verdict]] = {}
    for where, verdict in files.rows:
        by_file.setdefault(where.rpartition(":")[0], []).append(verdict)
    names, sources = {*labels, ""}, {*proposal_sources(), "wikidata", ""}
    for path, verdicts in by_file.items():
        unknown = sum(verdict.profile == "" for verdict in verdicts)
        if unknown:
            notes.append(f"{path}: {_rows(unknown)} without a profile, counted for every profile")
        unchecked = Counter(verdict.profile for verdict in verdicts if verdict.profile and verdict.profile not in known)
        notes += [
            f"{path}: {_rows(count)} of profile {profile}, whose metadata is not here: the categories are not checked"
            for profile, count in sorted(unchecked.items())
        ]
        labels_gone = Counter(verdict.suggested_label for verdict in verdicts if verdict.suggested_label not in names)
        notes += [
            f"{path}: {_rows(count)} with the suggestion {label!r}, which is no label today"
            for label, count in sorted(labels_gone.items())
        ]
        kinds_gone = Counter(verdict.suggested_by for verdict in verdicts if verdict.suggested_by not in sources)
        notes += [
            f"{path}: {_rows(count)} with a suggestion by {kind!r}, which is no kind of evidence today"
            for kind, count in sorted(kinds_gone.items())
        ]
    return notes


def _not_read(files: VerdictFiles) -> list[str]:
    return [f"{visible(str(path))}: not read; verdicts are in files named <annotator>.csv" for path in files.not_read]


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"
