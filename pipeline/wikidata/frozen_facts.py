"""What an endpoint said, as facts in a folder: to commit, to share, and to run from again without any endpoint.

`hgld wikidata --freeze FOLDER` writes `facts.ttl.gz` (Turtle, one statement a line, sorted, equal bytes for equal
facts) and `snapshot.json` (where it comes from, of when, SHA-256). The folder is used like any other folder of facts:
`wikidata.facts` in params.yaml, or `hgld serve FOLDER`. It holds facts and not answers, so it outlives a change of
the batches, the queries or the list of categories.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing, sha256
from hgld.pipeline.sparql.client import entity, literal
from hgld.pipeline.wikidata.records import Heard

FACTS, ORIGIN = "facts.ttl.gz", "snapshot.json"

_PREFIXES = {
    "geo": "http://www.opengis.net/ont/geosparql#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "schema": "http://schema.org/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "wd": "http://www.wikidata.org/entity/",
    "wdt": "http://www.wikidata.org/prop/direct/",
    "wikibase": "http://wikiba.se/ontology#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_PAGE = "https://commons.wikimedia.org/wiki/Category:"
# What Turtle writes with escapes of its own; json writes all else as it is or as \uXXXX, which Turtle knows too.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


def turtle(heard: Heard) -> str:
    """The facts as Turtle: sorted, each statement once, on a line of its own."""
    lines = sorted(set(_statements(heard)))
    prefixes = [f"@prefix {name}: <{iri}> ." for name, iri in _PREFIXES.items()]
    return "\n".join([*prefixes, *lines]) + "\n"


def digest(heard: Heard) -> str:
    """The SHA-256 of the facts: equal for equal facts, wherever they come from."""
    found = hashlib.sha256()
    for rows in (heard.categories, heard.items, heard.classes):
        found.update("\n".join(map("\t".join, rows)).encode("utf-8") + b"\n\n")
    return found.hexdigest()


def freeze(heard: Heard, folder: Path, origin: dict[str, Any]) -> None:
    """Write the facts to `folder`, all of it or nothing; what stood there is replaced.

    origin: what to say of where they come from. Raises HgldError when the folder holds anything else: it would be lost.
    """
    check_target(folder)
    with replacing(folder, directory=True) as part:
        (part / FACTS).write_bytes(gzip.compress(turtle(heard).encode("utf-8"), mtime=0))
        told = {**origin, "sha256": {FACTS: sha256(part / FACTS)}}
        (part / ORIGIN).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8", newline="\n")


def check_target(folder: Path) -> None:
    """Raise HgldError when `freeze` could not write there; to be asked before an endpoint is, which may take hours."""
    if folder.is_dir() and (others := sorted({path.name for path in folder.iterdir()} - {FACTS, ORIGIN})):
        raise HgldError(
            f"{folder} holds other files ({', '.join(others[:3])}); choose an empty or a new folder"
        )


def origin(folder: Path) -> dict[str, Any] | None:
    """What `freeze` said of where the facts of `folder` come from; None for a folder that it did not write.

    Raises HgldError when the facts are no longer those that it wrote.
    """
    path = folder / ORIGIN
    if not path.is_file():
        return None
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        expected, place, date = told["sha256"][FACTS], told["endpoint"], told["date"]
    except (ValueError, KeyError, TypeError):
        raise HgldError(
            f"{path}: not what `hgld wikidata --freeze` writes; remove it, or freeze again"
        ) from None
    found = sha256(folder / FACTS) if (folder / FACTS).is_file() else "no file"
    if found != expected:
        raise HgldError(
            f"{folder / FACTS}: expected SHA-256 {expected}, found {found}; take it from where it came from again, "
            f"or remove {ORIGIN} if you changed the facts on purpose"
        )
    return {"endpoint": str(place), "date": str(date)}


def _statements(heard: Heard) -> Iterator[str]:
    if heard.date:
        yield f"<http://www.wikidata.org> schema:dateModified {_date(heard.date)} ."
    for name, prop, item in heard.categories:
        kind, _, badge = prop.partition(" ")
        if kind == "P373":
            yield f"{entity(item)} wdt:P373 {_literal(name)} ."
        else:
            yield from _page(name, item, badge)
    for rows in (heard.items, heard.classes):
        for key, prop, value in rows:
            yield f"{entity(key)} {_predicate(prop)} {_object(prop, value)} ."


def _page(name: str, item: str, badge: str) -> Iterator[str]:
    page = f"<{_PAGE}{quote(name.replace(' ', '_'), safe='')}>"
    yield f"{page} schema:about {entity(item)} ."
    yield f"{page} schema:isPartOf <https://commons.wikimedia.org/> ."
    yield f"{page} schema:name {_literal('Category:' + name, 'en')} ."
    if badge:
        yield f"{page} wikibase:badge {entity(badge)} ."


def _predicate(prop: str) -> str:
    known = {"sameAs": "owl:sameAs", "alias": "skos:altLabel", "sitelinks": "wikibase:sitelinks"}
    return "rdfs:label" if prop.startswith("label ") else known.get(prop, f"wdt:{prop}")


def _object(prop: str, value: str) -> str:
    if prop.startswith("label "):
        return _literal(value, prop.removeprefix("label "))
    if prop == "alias":
        return _literal(value, "en")
    if prop == "P625":
        return f"{_literal(value)}^^geo:wktLiteral"
    return f"{_literal(value)}^^xsd:integer" if prop == "sitelinks" else entity(value)


def _literal(text: str, language: str = "") -> str:
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04X}", literal(text, language))


def _date(text: str) -> str:
    kind = "dateTime" if "T" in text else "date"
    return f"{_literal(text)}^^xsd:{kind}"
