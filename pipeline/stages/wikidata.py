"""The stage `wikidata`: what Wikidata knows about the landmarks' categories, as tables.

Categories → items → their classes → all classes above those, with English labels and aliases. The sample's facts are
served by a local oxigraph; everything else is the same for the public endpoint.
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

from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing, sha256, write_text
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.pipeline.acquisition.lock import alone
from hgld.pipeline.dataset.schemas import validated
from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.sparql.oxigraph import is_rdf, serving
from hgld.pipeline.wikidata.entities import read_soft_redirects, soft_targets
from hgld.pipeline.wikidata.frozen_facts import check_target, digest, freeze, origin
from hgld.pipeline.wikidata.queries import canary, gather
from hgld.pipeline.wikidata.records import Heard
from hgld.pipeline.wikidata.tables import Facts, facts

TABLES = tuple(one.name for one in fields(Facts))


def run(params: Params, *, refresh: bool = False, freeze_to: Path | None = None) -> None:
    """Write `data/PROFILE/wikidata` from the categories of `data/PROFILE/metadata`.

    refresh: forget the answers that earlier runs kept. freeze_to: write what was heard there too, see `frozen`.

    Raises HgldError; then `data/PROFILE/wikidata` is what it was, and what was answered is not asked again.
    """
    names = categories(params.data / "metadata")
    soft = read_soft_redirects(Path(params.wikidata.soft_redirects)) if params.wikidata.soft_redirects else {}
    if freeze_to:
        check_target(freeze_to)
    target = params.data / "wikidata"
    with alone(target, params.data / "wikidata-answers"):
        with _endpoint(params) as endpoint:
            least = params.wikidata.canary if params.wikidata.endpoint else {}
            counts, date = _trusted(endpoint, least, refresh)
            with _no_collector():
                heard = gather(endpoint, _asked(names, soft), date)
                found = facts(heard, names, soft)
        source, metrics = {"endpoint": _source(params), "date": date}, coverage(found.items)
        with replacing(target, directory=True) as folder:
            for name in TABLES:
                write_parquet(validated(getattr(found, name), name), folder / f"{name}.parquet")
            snapshot = {**source, **_snapshot(params, found, heard, counts, metrics)}
            write_text(_json(snapshot), folder / "snapshot.json")
            write_text(_json(metrics), folder / "metrics.json")
        if freeze_to:
            freeze(heard, freeze_to, source)
            print(f"{freeze_to}: the facts, to run from again")
    ways = ", ".join(f"{own['categories']:,} by {method}" for method, own in metrics["by_method"].items())
    print(
        f"{len(names):,} categories: {ways}; {len(found.class_edges):,} edges between classes\n"
        f"{endpoint.pace.requests:,} queries sent, {endpoint.pace.kept:,} answered from what was kept"
    )


def categories(folder: Path) -> list[str]:
    """The normalised categories of both splits, sorted, each once.

    Raises HgldError that lists every landmark whose category is no name.
    """
    names: dict[str, str] = {}
    bad = []
    for split in ("train", "index"):
        table = read_parquet(folder / f"{split}_label_to_category.parquet")
        for landmark, text in zip(table["landmark_id"], table["category"], strict=True):
            try:
                names[text] = names.get(text) or normalise(text)
            except HgldError as error:
                bad.append(f"{split} landmark {landmark}: {error}")
    if bad:
        raise HgldError(
            f"{len(bad)} categor{'y' if len(bad) == 1 else 'ies'} that no page can have:\n" + "\n".join(bad)
        )
    return sorted(set(names.values()))


def fetch(endpoint: Endpoint, names: Iterable[str], soft_redirects: Mapping[str, str] | None = None) -> Facts:
    """Ask `endpoint` for everything about the categories `names`: items, classes, class graph, labels."""
    names, soft = list(names), soft_redirects or {}
    return facts(gather(endpoint, _asked(names, soft)), names, soft)


def coverage(items: pd.DataFrame) -> dict[str, Any]:
    """How many categories have an item, by method and by confidence; shares in [0, 1].

    A category counts with the best of its candidates.
    """
    first = items.assign(rank=items["confidence"].map({"high": 0, "medium": 1, "low": 2}).fillna(3))
    first = first.sort_values(["category", "rank", "method", "qid"]).drop_duplicates("category")
    found = first[first["qid"] != ""]
    total = len(first)
    return {
        "categories": total,
        "with_item": len(found),
        "share_with_item": _share(len(found), total),
        "with_several_items": int((found["candidates"] > 1).sum()),
        "by_method": {
            str(method): {"categories": int(count), "share": _share(int(count), total)}
            for method, count in sorted(first["method"].value_counts().items())
        },
        "by_confidence": {
            str(trust): int(count) for trust, count in sorted(found["confidence"].value_counts().items())
        },
        "through_redirects": int(found["via"].str.contains("merged|redirect").sum()),
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _asked(names: Iterable[str], soft: Mapping[str, str]) -> set[str]:
    asked = set(names)
    return asked | {target for name in asked for target in soft_targets(name, soft)}


@contextmanager
def _no_collector() -> Iterator[None]:
    """Without Python's search for cycles: it would go through millions of rows, which hold none, again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _trusted(endpoint: Endpoint, least: Mapping[Any, int], refresh: bool) -> tuple[dict[str, int], str]:
    """The canary's counts and date. A refresh forgets the kept answers, but only for an endpoint that has new ones."""
    if refresh and endpoint.cache:
        canary(replace(endpoint, cache=None), least)
        shutil.rmtree(endpoint.cache, ignore_errors=True)
    return canary(endpoint, least)


@contextmanager
def _endpoint(params: Params) -> Iterator[Endpoint]:
    """The endpoint of the profile: a remote one with its cache of answers, or a local one on the profile's facts."""
    asked = params.wikidata
    if (asked.endpoint is None) == (asked.facts is None):
        raise HgldError(
            f"params.yaml: {params.profile}.wikidata: give either endpoint or facts; the other is null"
        )
    with _served(asked.facts) as local:
        yield Endpoint(
            url=asked.endpoint or local,
            user_agent=asked.user_agent,
            timeout_s=asked.timeout_s,
            retries=asked.retries,
            pause_s=asked.pause_s,
            batch=asked.batch,
            in_flight=asked.in_flight,
            # beside the stage's output, which DVC deletes before a run: a killed run finds its answers again
            cache=params.data / "wikidata-answers" if asked.endpoint else None,
        )


@contextmanager
def _served(facts_folder: str | None) -> Iterator[str]:
    """The URL of a local endpoint on a folder of facts; "" where there are none to serve."""
    if facts_folder is None:
        yield ""
        return
    with serving([Path(facts_folder)]) as url:
        yield url


def _source(params: Params) -> str:
    """Where the facts come from: the endpoint, even where they were frozen since, or else the folder."""
    asked = params.wikidata
    frozen = origin(Path(asked.facts)) if asked.facts else None
    return str(frozen["endpoint"]) if frozen else str(asked.endpoint or asked.facts)


def _snapshot(
    params: Params, found: Facts, heard: Heard, counts: Mapping[str, int], metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """What identifies the facts, and how many they are. The date beside it is the data's own, not the clock's."""
    return {
        "sha256": {path.name: sha256(path) for path in _fact_files(params.wikidata.facts)},
        "statements_sha256": digest(heard),
        "endpoint_counts": dict(sorted(counts.items())),
        "counts": {
            "categories": int(found.items["category"].nunique()),
            **{name: len(getattr(found, name)) for name in TABLES},
            "by_method": {method: own["categories"] for method, own in metrics["by_method"].items()},
        },
    }


def _fact_files(folder: str | None) -> list[Path]:
    return sorted(path for path in Path(folder).iterdir() if is_rdf(path)) if folder else []


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"
