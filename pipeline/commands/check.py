"""`hgld check`: the curated files, by themselves and against the profile's class graph."""

import importlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, lacks_memory
from hgld.foundation.settings import Params, profiles
from hgld.hierarchy.curation.errata import read_reports, report_category_problems, report_notes
from hgld.hierarchy.curation.taxonomy_checks import ClassSnapshot, check_taxonomy
from hgld.hierarchy.curation.verdict_checks import category_problems, class_problems, verdict_notes
from hgld.hierarchy.curation.verdicts import read_verdicts
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy, taxonomy_problems
from hgld.pipeline.dataset.landmarks import SPLITS, landmark_table
from hgld.pipeline.dataset.schemas import read_stage_table
from hgld.pipeline.sparql.oxigraph import facts_files
from hgld.pipeline.sparql.rdf_terms import ENTITY
from hgld.pipeline.stages.check import input_problems

_DIRECT = "http://www.wikidata.org/prop/direct/"


@dataclass(frozen=True)
class CheckResult:
    """The problems, one message each; and a report on how the curated files match the class graph."""

    problems: list[str]
    report: str


def check(params: Params, review: Path, *, strict: bool = False) -> CheckResult:
    """Check the curated files of the profile and the verdicts below `review`.

    strict: the class graph is complete, so a row without effect on it is a problem too.
    """
    folder = Path(params.build.taxonomy)
    problems = input_problems(params, review)
    if taxonomy_problems(folder):
        return CheckResult(problems, "")
    taxonomy = load_taxonomy(folder)
    files = read_verdicts(review, taxonomy.natures)
    reports = read_reports(review)
    known = _known_categories(params) if files.rows or reports.rows else {}
    problems += [*category_problems(files, known), *report_category_problems(reports, known)]
    problems += class_problems(files, _known_classes(params) if files.rows else {})
    if problems:
        return CheckResult(problems, "")
    notes = [*verdict_notes(files, taxonomy.natures, known), *report_notes(reports)]
    source, snapshot = class_snapshot(params)
    if snapshot is None:
        report = "No class graph to check the rows against; to get one, run: dvc repro wikidata"
        return CheckResult([], "\n".join([*map(visible, notes), report]))
    findings = check_taxonomy(taxonomy, snapshot)
    problems = [*findings.problems, *(findings.rows_without_effect() if strict else [])]
    return CheckResult(problems, "\n".join([*map(visible, notes), findings.text(source)]))


def _known_categories(params: Params) -> dict[str, set[str]]:
    """The categories of each profile whose metadata is on disk."""
    known = {}
    for name in profiles():
        other = params.model_copy(update={"profile": name})
        if all((other.data / "metadata" / f"{split}_label_to_category.parquet").is_file() for split in SPLITS):
            known[name] = {category for split in SPLITS for category in landmark_table(other, split)["category"]}
    return known


def _known_classes(params: Params) -> dict[str, set[str]]:
    """The classes of each profile whose snapshot of Wikidata is on disk."""
    known = {}
    for name in profiles():
        path = params.model_copy(update={"profile": name}).data / "wikidata" / "class_labels.parquet"
        if path.is_file():
            known[name] = set(read_stage_table(path, ["qid"])["qid"])
    return known


def class_snapshot(params: Params) -> tuple[str, ClassSnapshot | None]:
    """The source of the class graph, and the graph: from the tables of the stage `wikidata`, else from the facts."""
    folder, facts = params.data / "wikidata", params.wikidata.facts
    if (folder / "class_edges.parquet").is_file():
        classes, edges, labels = (
            read_stage_table(folder / f"{name}.parquet") for name in ("item_classes", "class_edges", "class_labels")
        )
        pairs = frozenset(edges.itertuples(index=False, name=None))
        names = dict(labels.itertuples(index=False, name=None))
        return str(folder), ClassSnapshot(frozenset(classes["class"]), pairs, names)
    if facts is not None and Path(facts).exists():
        return facts, _read_facts(Path(facts))
    return "", None


def _read_facts(folder: Path) -> ClassSnapshot:
    """The class graph in a folder of Turtle or N-Triples files."""
    rdflib = importlib.import_module("rdflib")  # SPARQLWrapper depends on it; slow to import, and untyped
    graph = rdflib.Graph()
    with tempfile.TemporaryDirectory() as scratch:
        for path in facts_files([folder], Path(scratch)):
            try:
                graph.parse(path)
            except Exception as error:  # each parser of rdflib raises its own
                if lacks_memory(error):
                    raise
                raise HgldError(f"{path}: not RDF: {' '.join(str(error).split())[:200]}") from None

    def statements(prop: str) -> Iterator[tuple[str, str]]:
        for subject, value in graph.subject_objects(rdflib.URIRef(f"{_DIRECT}{prop}")):
            yield str(subject).removeprefix(ENTITY), str(value).removeprefix(ENTITY)

    names = {
        str(subject).removeprefix(ENTITY): str(text)
        for subject, text in graph.subject_objects(rdflib.RDFS.label)
        if text.language == "en"
    }
    used = frozenset(item_class for _, item_class in statements("P31"))
    return ClassSnapshot(used, frozenset(statements("P279")), names)
