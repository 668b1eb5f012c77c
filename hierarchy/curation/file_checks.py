"""All problems of the files that people edit: the taxonomy, the lexicons and the verdicts."""

from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.hierarchy.curation.verdicts import read_verdicts
from hgld.hierarchy.names.class_names import class_name_problems
from hgld.hierarchy.names.name_words import name_word_problems
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy, taxonomy_problems


def file_problems(taxonomy: Path, review: Path) -> list[str]:
    """One message per problem, with file and line; empty when all files are valid.

    taxonomy: the folder of the curated CSVs, in which the lexicons are optional; review: the folder of the verdicts,
    which may be missing. Lexicons and verdicts are only checked when the taxonomy, which has the labels, is valid.
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
    return problems + read_verdicts(review, labels)[1]
