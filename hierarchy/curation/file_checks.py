"""Every problem of the files that people edit: the taxonomy, the lexicons and the verdicts."""

from collections.abc import Collection
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.hierarchy.curation.verdicts import read_verdicts
from hgld.hierarchy.names.class_names import class_name_problems
from hgld.hierarchy.names.name_words import name_word_problems
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy, taxonomy_problems


def check(taxonomy: Path, review: Path) -> list[str]:
    """One message a problem, each with its file and line; an empty list when all is well.

    taxonomy: the folder of the curated CSVs; review: the folder of the verdicts, which need not exist. The verdicts'
    labels can only be checked against a taxonomy that is valid itself.
    """
    problems = taxonomy_problems(taxonomy)
    if problems:
        return problems
    try:
        labels = load_taxonomy(taxonomy).natures
    except HgldError as error:
        return str(error).splitlines()
    return _words(taxonomy, labels) + read_verdicts(review, labels)[1]


def _words(folder: Path, labels: Collection[str]) -> list[str]:
    """The problems of the lexicons, where the folder has its own."""
    problems = class_name_problems(folder, labels) if (folder / "class_names.csv").is_file() else []
    return problems + (name_word_problems(folder, labels) if (folder / "name_words.csv").is_file() else [])
