"""Stage `wikidata`: what Wikidata states about the landmarks' categories, as tables.

Categories → items → their classes → all superclasses, with English labels and aliases. The sample's facts are served by
a local oxigraph; everything else is the same for the public endpoint.
"""

import gc
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError
from hgld.foundation.files import check_output, replacing, sha256, write_text
from hgld.foundation.lock import exclusive
from hgld.foundation.settings import Params
from hgld.foundation.tables import write_parquet
from hgld.hierarchy.taxonomy.commons_category import CONFIDENCES, normalise
from hgld.pipeline.dataset.schemas import read_stage_table, validated
from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.sparql.oxigraph import is_rdf, serving
from hgld.pipeline.wikidata.entities import read_soft_redirects, redirect_chain
from hgld.pipeline.wikidata.frozen_facts import check_target, digest, freeze, origin
from hgld.pipeline.wikidata.queries import canary, fetch_records
from hgld.pipeline.wikidata.tables import WikidataTables, build_tables

TABLES = tuple(field.name for field in fields(WikidataTables))


def run(params: Params, *, refresh: bool = False, freeze_to: Path | None = None) -> None:
    """Write `data/PROFILE/wikidata` from the categories of `data/PROFILE/metadata`.

    refresh: discard the cached responses of earlier runs. freeze_to: also write the statements received to this
    folder, see hgld.pipeline.wikidata.frozen_facts.

    Raises HgldError; then `data/PROFILE/wikidata` is unchanged, and a further run reuses the cached responses.
    """
    settings = params.wikidata
    if freeze_to:
        check_output(freeze_to, Path(settings.facts) if settings.facts else None, params.data / "wikidata")
        check_target(freeze_to)
    names = read_categories(params.data / "metadata")
    redirects = read_soft_redirects(Path(settings.soft_redirects)) if settings.soft_redirects else {}
    target = params.data / "wikidata"
    with exclusive(target, params.data / "wikidata-answers"):
        with _endpoint(params) as endpoint:
            counts, date = _check_endpoint(endpoint, settings.canary if settings.endpoint else {}, refresh)
            with _gc_disabled():
                records = fetch_records(endpoint, _names_to_query(names, redirects), date)
                tables = build_tables(records, names, redirects)
        source, metrics = {"endpoint": _source(params), "date": date}, coverage(tables.items)
        snapshot = {
            **source,
            "sha256": {path.name: sha256(path) for path in _rdf_files(settings.facts)},
            "statements_sha256": digest(records),
            "endpoint_counts": dict(sorted(counts.items())),
            "counts": _table_sizes(tables, metrics),
        }
        with replacing(target, directory=True) as folder:
            for name in TABLES:
                write_parquet(validated(getattr(tables, name), name), folder / f"{name}.parquet")
            write_text(_json(snapshot), folder / "snapshot.json")
            write_text(_json(metrics), folder / "metrics.json")
        if freeze_to:
            freeze(records, freeze_to, source)
            echo(f"{freeze_to}: the statements received; a later run can use them as wikidata.facts")
    by_method = ", ".join(f"{numbers['categories']:,} by {method}" for method, numbers in metrics["by_method"].items())
    echo(
        f"{len(names):,} categories: {by_method}; {len(tables.class_edges):,} subclass edges",
        f"{endpoint.limiter.requests:,} queries sent, {endpoint.limiter.cache_hits:,} answered from the cache",
    )


def read_categories(folder: Path) -> list[str]:
    """The distinct normalised categories of both splits, sorted.

    Raises HgldError that lists every landmark whose category is not a valid page name.
    """
    names: dict[str, str] = {}
    problems = []
    for split in ("train", "index"):
        table = read_stage_table(folder / f"{split}_label_to_category.parquet")
        for landmark, text in zip(table["landmark_id"], table["category"], strict=True):
            try:
                names[text] = names.get(text) or normalise(text)
            except HgldError as error:
                problems.append(f"{split} landmark {landmark}: {error}")
    if problems:
        raise HgldError(f"{folder}: {len(problems)} landmark(s) whose category is not a valid page name:", *problems)
    return sorted(set(names.values()))


def fetch_tables(
    endpoint: Endpoint, names: Iterable[str], soft_redirects: Mapping[str, str] | None = None
) -> WikidataTables:
    """Query `endpoint` for the items of the categories `names`, their classes, the class graph and labels."""
    names, redirects = list(names), soft_redirects or {}
    return build_tables(fetch_records(endpoint, _names_to_query(names, redirects)), names, redirects)


def coverage(items: pd.DataFrame) -> dict[str, Any]:
    """How many categories have an item, by method and by confidence; fractions in [0, 1].

    A category counts under its best candidate.
    """
    rank = items["confidence"].map({name: rank for rank, name in enumerate(CONFIDENCES)})
    best = items.assign(rank=rank.fillna(len(CONFIDENCES)))
    best = best.sort_values(["category", "rank", "method", "qid"]).drop_duplicates("category")
    resolved = best[best["qid"] != ""]
    total = len(best)
    return {
        "categories": total,
        "with_item": len(resolved),
        "share_with_item": _fraction(len(resolved), total),
        "with_several_items": int((resolved["candidates"] > 1).sum()),
        "by_method": {
            str(method): {"categories": int(count), "share": _fraction(int(count), total)}
            for method, count in sorted(best["method"].value_counts().items())
        },
        "by_confidence": {
            str(confidence): int(count) for confidence, count in sorted(resolved["confidence"].value_counts().items())
        },
        "through_redirects": int(resolved["via"].str.contains("merged|redirect").sum()),
    }


def _fraction(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _names_to_query(names: Iterable[str], redirects: Mapping[str, str]) -> set[str]:
    """The categories and all that they redirect to."""
    queried = set(names)
    return queried | {target for name in queried for target in redirect_chain(name, redirects)}


@contextmanager
def _gc_disabled() -> Iterator[None]:
    """Without the cyclic garbage collector, which would traverse millions of acyclic rows again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _check_endpoint(endpoint: Endpoint, minimum: Mapping[Any, int], refresh: bool) -> tuple[dict[str, int], str]:
    """The canary's counts and the data's date. A refresh clears the cache only once the endpoint has passed."""
    if refresh and endpoint.cache:
        canary(replace(endpoint, cache=None), minimum)
        shutil.rmtree(endpoint.cache, ignore_errors=True)
    return canary(endpoint, minimum)


@contextmanager
def _endpoint(params: Params) -> Iterator[Endpoint]:
    """The endpoint of the profile: a remote one with a response cache, or a local one on its facts."""
    settings = params.wikidata
    if (settings.endpoint is None) == (settings.facts is None):
        raise HgldError(f"params.yaml: {params.profile}.wikidata: give either endpoint or facts; the other is null")
    with _serving_folder(settings.facts) as local_url:
        yield Endpoint(
            url=settings.endpoint or local_url,
            user_agent=settings.user_agent,
            timeout_s=settings.timeout_s,
            retries=settings.retries,
            pause_s=settings.pause_s,
            batch=settings.batch,
            in_flight=settings.in_flight,
            # outside the stage's output, which DVC deletes before a run, so that an interrupted run resumes
            cache=params.data / "wikidata-answers" if settings.endpoint else None,
        )


@contextmanager
def _serving_folder(facts: str | None) -> Iterator[str]:
    """The URL of a local endpoint that serves a folder of RDF files; "" for no folder."""
    if facts is None:
        yield ""
        return
    with serving([Path(facts)]) as url:
        yield url


def _source(params: Params) -> str:
    """The endpoint the statements come from, also where they are served from a frozen copy; else the folder."""
    settings = params.wikidata
    frozen = origin(Path(settings.facts)) if settings.facts else None
    return str(frozen["endpoint"]) if frozen else str(settings.endpoint or settings.facts)


def _table_sizes(tables: WikidataTables, metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "categories": int(tables.items["category"].nunique()),
        **{name: len(getattr(tables, name)) for name in TABLES},
        "by_method": {method: numbers["categories"] for method, numbers in metrics["by_method"].items()},
    }


def _rdf_files(folder: str | None) -> list[Path]:
    return sorted(path for path in Path(folder).iterdir() if is_rdf(path)) if folder else []


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"
