"""Every problem of the files that people edit: the taxonomy and the verdicts."""

from pathlib import Path

from hgld.hierarchy.errors import HgldError
from hgld.hierarchy.taxonomy import load_taxonomy, taxonomy_problems
from hgld.hierarchy.verdicts import read_verdicts


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
    return read_verdicts(review, labels)[1]
