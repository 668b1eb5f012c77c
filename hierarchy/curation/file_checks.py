"""The files that people edit (taxonomy, lexicons, verdicts, reports): all their problems, and sorting their rows."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.sorted_rows import Key, sort_csv
from hgld.hierarchy.curation import errata, label_definitions
from hgld.hierarchy.curation.label_definitions import label_definition_problems
from hgld.hierarchy.curation.verdict import Verdict
from hgld.hierarchy.curation.verdict_checks import profile_problems, time_problems
from hgld.hierarchy.curation.verdicts import read_verdicts, rewrite_file, rewrite_problems
from hgld.hierarchy.names import class_names, name_words
from hgld.hierarchy.names.class_names import class_name_problems
from hgld.hierarchy.names.name_words import name_word_problems
from hgld.hierarchy.places import continent_parts, countries
from hgld.hierarchy.places.continent_parts import continent_part_problems
from hgld.hierarchy.places.countries import country_names, country_problems, load_countries
from hgld.hierarchy.taxonomy.taxonomy import COLUMNS, load_taxonomy, sort_key, taxonomy_problems


def file_problems(taxonomy: Path, review: Path, profiles: Collection[str] | None = None) -> list[str]:
    """One message per problem, with file and line; empty when all files are valid.

    taxonomy: the folder of the curated CSVs, in which the lexicons and the places are optional; review: the folder of
    the verdicts and reports, which may be missing; profiles: those that there are, if verdicts on another one are a
    problem. The other files are only checked when the taxonomy, which has the labels, is valid.
    """
    problems = taxonomy_problems(taxonomy)
    if problems:
        return problems
    try:
        labels = load_taxonomy(taxonomy).natures
    except HgldError as error:
        return str(error).splitlines()
    if (taxonomy / "class_names.csv").is_file():
        problems += class_name_problems(taxonomy, labels)
    if (taxonomy / "name_words.csv").is_file():
        problems += name_word_problems(taxonomy, labels)
    if (taxonomy / label_definitions.FILE).is_file():
        problems += label_definition_problems(taxonomy, labels)
    problems += _place_problems(taxonomy)
    problems += errata.read_reports(review).problems
    files = read_verdicts(review, labels)
    problems += files.problems
    if profiles is not None:
        problems += profile_problems(files, profiles)
    return [*problems, *time_problems(files)]


def _place_problems(folder: Path) -> list[str]:
    """Those of the countries and, once they are valid, of their parts on other continents."""
    if not (folder / countries.FILE).is_file():
        return []
    problems = country_problems(folder)
    if problems or not (folder / continent_parts.FILE).is_file():
        return problems
    return continent_part_problems(folder, country_names(load_countries(folder)))


def fix_files(taxonomy: Path, review: Path) -> list[str]:
    """Sort the curated files, and write the verdict files in our form; returns one message per changed file.

    Nothing that a row says is changed, but for the spelling of a category or a time. A file that cannot be read is left
    as it is: `file_problems` says why.
    """
    messages = []
    keys: dict[str, tuple[list[str], Callable[[Sequence[str]], Key]]] = {
        "class_names.csv": (class_names.COLUMNS, class_names.sort_key),
        continent_parts.FILE: (continent_parts.COLUMNS, continent_parts.sort_key),
        countries.FILE: (countries.COLUMNS, countries.sort_key),
        label_definitions.FILE: (label_definitions.COLUMNS, label_definitions.sort_key),
        "name_words.csv": (name_words.COLUMNS, name_words.sort_key),
        **{name: (columns, partial(sort_key, name)) for name, columns in COLUMNS.items()},
    }
    for name, (columns, key) in keys.items():
        if (taxonomy / name).is_file() and sort_csv(taxonomy / name, columns, key):
            messages.append(f"{taxonomy / name}: sorted")
    for path in sorted(review.glob("*.csv")):
        if path.name != errata.FILE and rewrite_file(path):
            messages.append(f"{path}: rewritten, sorted by time")
    return messages


def rename_label(taxonomy: Path, review: Path, rename: str) -> list[str]:
    """Replace a label that the taxonomy has renamed in all verdicts, also as a suggestion; a message per changed file.

    rename: OLD=NEW, where NEW is a label of the taxonomy and OLD is none: no verdict may change its meaning.

    Raises HgldError that lists the rows and files that cannot be rewritten; then no file is changed.
    """
    labels = load_taxonomy(taxonomy).natures
    old, sign, new = rename.partition("=")
    if not (sign and old.strip()):
        raise HgldError(f"expected OLD=NEW, two names of a label; found '{rename}'")
    if old in labels:
        raise HgldError(f"'{old}' is a label of the taxonomy: a verdict that says so is not changed")
    if new not in labels:
        raise HgldError(f"unknown label '{new}'{suggest(new, labels)}; first rename it in {taxonomy / 'taxonomy.csv'}")

    def renamed(verdict: Verdict) -> Verdict:
        label, suggested = (
            new if name == old else name for name in (verdict.hierarchical_label, verdict.suggested_label)
        )
        return replace(verdict, hierarchical_label=label, suggested_label=suggested)

    paths = sorted(path for path in review.glob("*") if path.suffix.lower() == ".csv" and path.name != errata.FILE)
    if problems := [problem for path in paths for problem in rewrite_problems(path)]:
        raise HgldError(
            f"nothing was renamed: {len(problems)} row(s) or file(s) cannot be read; correct them first, then rename:",
            *problems,
        )
    return [f"{path}: '{old}' is now '{new}'" for path in paths if rewrite_file(path, renamed)]
