"""The records of an endpoint as a folder of facts: to commit, to share, and to run from later without the endpoint.

`hgld wikidata --freeze FOLDER` writes `facts.ttl.gz` (sorted Turtle, one statement per line, identical bytes for
identical facts) and `snapshot.json` (endpoint, date, SHA-256). The folder is used like any other folder of facts:
`wikidata.facts` in params.yaml, or `hgld serve FOLDER`. It holds facts rather than answers, so it stays valid if the
batch size, the queries or the list of categories change.
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
from hgld.pipeline.sparql.rdf_terms import entity, literal
from hgld.pipeline.wikidata.records import WikidataRecords

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
# Characters that need a Turtle escape; JSON writes all others as they are or as \uXXXX, which is valid Turtle too.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


def turtle(records: WikidataRecords) -> str:
    """The records as Turtle: sorted, one distinct statement per line."""
    lines = sorted(set(_statements(records)))
    prefixes = [f"@prefix {name}: <{iri}> ." for name, iri in _PREFIXES.items()]
    return "\n".join([*prefixes, *lines]) + "\n"


def digest(records: WikidataRecords) -> str:
    """The SHA-256 of the records without their date: identical facts have the same digest, whatever their source."""
    hasher = hashlib.sha256()
    for rows in (records.categories, records.items, records.classes):
        hasher.update("\n".join(map("\t".join, rows)).encode("utf-8") + b"\n\n")
    return hasher.hexdigest()


def freeze(records: WikidataRecords, folder: Path, origin: dict[str, Any]) -> None:
    """Write the facts to `folder` atomically; an earlier version is replaced.

    origin: the endpoint and the date of the facts. Raises HgldError if the folder holds any other file, as it would be
    deleted.
    """
    check_target(folder)
    with replacing(folder, directory=True) as part:
        (part / FACTS).write_bytes(gzip.compress(turtle(records).encode("utf-8"), mtime=0))
        document = {**origin, "sha256": {FACTS: sha256(part / FACTS)}}
        (part / ORIGIN).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8", newline="\n")


def check_target(folder: Path) -> None:
    """Raise HgldError if `freeze` could not write there; call it before hours of queries."""
    if folder.is_dir() and (others := sorted({path.name for path in folder.iterdir()} - {FACTS, ORIGIN})):
        raise HgldError(f"{folder} holds other files ({', '.join(others[:3])}); choose an empty or a new folder")


def origin(folder: Path) -> dict[str, Any] | None:
    """The endpoint and the date that `freeze` recorded in `folder`; None for a folder that it did not write.

    Raises HgldError if the facts have changed since.
    """
    path = folder / ORIGIN
    if not path.is_file():
        return None
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        expected, endpoint, date = document["sha256"][FACTS], document["endpoint"], document["date"]
    except (ValueError, KeyError, TypeError):
        raise HgldError(f"{path}: not a file written by `hgld wikidata --freeze`; remove it, or freeze again") from None
    actual = sha256(folder / FACTS) if (folder / FACTS).is_file() else "no file"
    if actual != expected:
        raise HgldError(
            f"{folder / FACTS}: expected SHA-256 {expected}, found {actual}; restore the file from its source, or "
            f"remove {ORIGIN} if you changed the facts on purpose"
        )
    return {"endpoint": str(endpoint), "date": str(date)}


def _statements(records: WikidataRecords) -> Iterator[str]:
    if records.date:
        yield f"<http://www.wikidata.org> schema:dateModified {_date(records.date)} ."
    for name, prop, item in records.categories:
        kind, _, badge = prop.partition(" ")
        if kind == "P373":
            yield f"{entity(item)} wdt:P373 {_literal(name)} ."
        else:
            yield from _page(name, item, badge)
    for rows in (records.items, records.classes):
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
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04X}", literal(text, language))


def _date(text: str) -> str:
    kind = "dateTime" if "T" in text else "date"
    return f"{_literal(text)}^^xsd:{kind}"
