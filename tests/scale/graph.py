"""A synthetic Wikidata about any number of Commons categories, as N-Triples, similar to the real one in form and size.

The fractions are rounded: 62 % of the categories have a sitelink (a tenth of these through a category item), 20 % only
a P373 statement (a tenth of these on two items), 2 % lead to a merged item, the rest have no item. The class graph has
17,000 classes including the taxonomy's anchors; almost half of them have several parents, and there are some cycles.
Nine of ten items are of a class with the label that the name says, the others of any: a classifier of names that say
nothing takes many times as long to fit.
"""

import random
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from urllib.parse import quote

from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.sparql.rdf_terms import ENTITY, literal
from tests.paths import ROOT
from tests.scale import metadata
from tests.scale.metadata import Size

CLASSES = 17_000
AS_NAMED = 0.9
LANDMARKS = Size().train_landmarks + Size().index_landmarks  # at least as many as have names
_FIRST_CLASS, _FIRST_ITEM = 200_000_000, 300_000_000
_DIRECT = "http://www.wikidata.org/prop/direct/"


def write_graph(categories: list[str], out: Path, seed: int = 0) -> int:
    """Write the N-Triples about `categories` to `out`; returns their number."""
    count = 0
    with out.open("w", encoding="utf-8", newline="\n") as handle:
        for line in _graph(categories, random.Random(seed)):
            handle.write(line)
            count += 1
    return count


def _graph(categories: list[str], rng: random.Random) -> Iterator[str]:
    taxonomy = load_taxonomy(ROOT / "hierarchy/curated")
    anchors = sorted(taxonomy.anchors)
    named = {normalise(metadata.category_url(number)): metadata.label(number) for number in range(LANDMARKS)}
    anchors_of: dict[str, list[str]] = {}
    for qid in anchors:
        anchors_of.setdefault(taxonomy.anchors[qid].hierarchical_label, []).append(qid)
    classes = [*anchors, *(f"Q{_FIRST_CLASS + n}" for n in range(CLASSES - len(anchors)))]
    yield from _class_graph(classes, len(anchors), rng)
    weights = list(accumulate(1 / (rank + 5) for rank in range(len(classes))))
    drawn = iter(rng.choices(classes, cum_weights=weights, k=4 * len(categories) + 10))
    item = _FIRST_ITEM
    for name in categories:
        item += 4
        draw = rng.random()
        main = f"Q{item}"
        if draw < 0.06:
            yield from _page(name, f"Q{item + 1}")
            yield _triple(f"Q{item + 1}", "P31", _iri("Q4167836"))
            yield _triple(f"Q{item + 1}", "P301", _iri(main))
        elif draw < 0.62:
            yield from _page(name, main)
            yield _triple(main, "P373", literal(name))
        elif draw < 0.64:
            yield _triple(f"Q{item + 1}", "P373", literal(name))
            yield f"{_iri(f'Q{item + 1}')} <http://www.w3.org/2002/07/owl#sameAs> {_iri(main)} .\n"
        elif draw < 0.84:
            yield _triple(main, "P373", literal(name))
            if draw < 0.66:
                yield _triple(f"Q{item + 2}", "P373", literal(name))
                yield _triple(f"Q{item + 2}", "P31", _iri(next(drawn)))
        else:
            continue
        own = [next(drawn) for _ in range(rng.choice((1, 1, 2, 3)))]
        if rng.random() < AS_NAMED and (fitting := anchors_of.get(named.get(name, ""))):
            own = [rng.choice(fitting)]
        yield from _item(main, name, own, rng)


def _class_graph(classes: list[str], roots: int, rng: random.Random) -> Iterator[str]:
    for index, qid in enumerate(classes):
        yield f'{_iri(qid)} <http://www.w3.org/2000/01/rdf-schema#label> "class {index}"@en .\n'
        for n in range(rng.choice((0, 0, 1, 2))):
            yield f'{_iri(qid)} <http://www.w3.org/2004/02/skos/core#altLabel> "name {n} of class {index}"@en .\n'
        for _ in range(rng.choice((1, 1, 2, 3)) if index >= roots else 0):
            parent = classes[int(index * rng.random() ** 2)]
            yield _triple(qid, "P279", _iri(parent))
            if rng.random() < 0.001:
                yield _triple(parent, "P279", _iri(qid))


def _page(name: str, item: str) -> Iterator[str]:
    page = f"<https://commons.wikimedia.org/wiki/Category:{quote(name)}>"
    yield f"{page} <http://schema.org/about> {_iri(item)} .\n"
    yield f"{page} <http://schema.org/isPartOf> <https://commons.wikimedia.org/> .\n"
    yield f"{page} <http://schema.org/name> {literal(f'Category:{name}', 'en')} .\n"


def _item(item: str, name: str, classes: list[str], rng: random.Random) -> Iterator[str]:
    yield f"{_iri(item)} <http://www.w3.org/2000/01/rdf-schema#label> {literal(name, 'en')} .\n"
    for language in ("de", "fr", "ja"):
        yield f"{_iri(item)} <http://www.w3.org/2000/01/rdf-schema#label> {literal(name, language)} .\n"
    for qid in classes:
        yield _triple(item, "P31", _iri(qid))
    yield _triple(item, "P17", _iri(f"Q{rng.randint(16, 250)}"))
    point = f'"Point({rng.uniform(-180, 180):.6f} {rng.uniform(-90, 90):.6f})"'
    yield _triple(item, "P625", f"{point}^^<http://www.opengis.net/ont/geosparql#wktLiteral>")
    links = f'"{rng.randint(1, 80)}"^^<http://www.w3.org/2001/XMLSchema#integer>'
    yield f"{_iri(item)} <http://wikiba.se/ontology#sitelinks> {links} .\n"


def _iri(item: str) -> str:
    return f"<{ENTITY}{item}>"


def _triple(item: str, prop: str, term: str) -> str:
    return f"{_iri(item)} <{_DIRECT}{prop}> {term} .\n"
