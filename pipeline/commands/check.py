"""`hgld check`: the curated files, by themselves and against the class graph at hand."""

import importlib
import tempfile
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet
from hgld.hierarchy.curation.file_checks import check as file_problems
from hgld.hierarchy.curation.taxonomy_checks import Snapshot, examine
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.sparql.oxigraph import facts_files

_DIRECT = "http://www.wikidata.org/prop/direct/"
_ENTITY = "http://www.wikidata.org/entity/"


def curated(params: Params, review: Path, *, strict: bool = False) -> tuple[list[str], str]:
    """The problems of the curated files, and a text about how they fit the class graph.

    strict: the class graph is whole, so a row that does nothing in it is a problem too.
    """
    folder = Path(params.build.taxonomy)
    problems = file_problems(folder, review)
    if problems:
        return problems, ""
    found = class_snapshot(params)
    if found is None:
        return [], "No class graph at hand (dvc repro wikidata makes one): rows were not held against it."
    snapshot, where = found
    findings = examine(load_taxonomy(folder), snapshot)
    return [*findings.problems, *(findings.dead() if strict else [])], findings.text(where)


def class_snapshot(params: Params) -> tuple[Snapshot, str] | None:
    """What the profile knows of Wikidata's classes, and where: the stage's tables, else its folder of facts."""
    folder = params.data / "wikidata"
    if (folder / "class_edges.parquet").is_file():
        classes, edges, names = (
            read_parquet(folder / f"{name}.parquet")
            for name in ("item_classes", "class_edges", "class_labels")
        )
        pairs = frozenset(edges.itertuples(index=False, name=None))
        named = dict(names.itertuples(index=False, name=None))
        return Snapshot(frozenset(classes["class"]), pairs, named), str(folder)
    if params.wikidata.facts is not None and Path(params.wikidata.facts).exists():
        return _of_facts(Path(params.wikidata.facts)), params.wikidata.facts
    return None


def _of_facts(folder: Path) -> Snapshot:
    """The classes in Turtle or N-Triples files."""
    rdflib = importlib.import_module("rdflib")  # SPARQLWrapper brings it; only needed here
    graph = rdflib.Graph()
    with tempfile.TemporaryDirectory() as scratch:
        for path in facts_files([folder], Path(scratch)):
            try:
                graph.parse(path)
            except Exception as error:  # rdflib raises whatever its parsers raise
                raise HgldError(f"{path}: not RDF: {' '.join(str(error).split())[:200]}") from None

    def pairs(name: str) -> list[tuple[str, str]]:
        found = graph.subject_objects(rdflib.URIRef(f"{_DIRECT}{name}"))
        return [(str(one).removeprefix(_ENTITY), str(other).removeprefix(_ENTITY)) for one, other in found]

    names = {
        str(one).removeprefix(_ENTITY): str(text)
        for one, text in graph.subject_objects(rdflib.RDFS.label)
        if text.language == "en"
    }
    return Snapshot(frozenset(item_class for _, item_class in pairs("P31")), frozenset(pairs("P279")), names)
