"""The stage `wikidata`: what Wikidata knows about the landmarks' categories, as tables.

Categories → items → their classes → all classes above those, with English labels. The sample's facts are served by a
local oxigraph; everything else is the same for the public endpoint.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from hgld.hierarchy.category import normalise
from hgld.hierarchy.errors import HgldError
from hgld.hierarchy.files import sha256, write_text
from hgld.hierarchy.params import Params
from hgld.hierarchy.schemas import validated
from hgld.hierarchy.tables import read_parquet, write_parquet
from hgld.pipeline.oxigraph import RDF, serving
from hgld.pipeline.resolve import Resolution, resolve
from hgld.pipeline.sparql import Endpoint, entity, qid, select_all

ITEMS = ["category", "qid", "method", "confidence", "candidates"]


@dataclass(frozen=True)
class Facts:
    """The tables of the stage, each sorted; columns as in hgld.hierarchy.schemas."""

    items: pd.DataFrame
    item_classes: pd.DataFrame
    class_edges: pd.DataFrame
    class_labels: pd.DataFrame
    class_aliases: pd.DataFrame = field(default_factory=lambda: _frame(["class", "alias"], []))


def run(params: Params) -> None:
    """Write `data/PROFILE/wikidata` from the categories of `data/PROFILE/metadata`."""
    names = categories(params.data / "metadata")
    with _endpoint(params) as endpoint:
        facts = fetch(endpoint, names)
        changed = sorted(row["date"] for row in select_all(endpoint, "snapshot", [_WIKIDATA], ("date",)))
    folder = params.data / "wikidata"
    for name, frame in _tables(facts).items():
        write_parquet(validated(frame, name), folder / f"{name}.parquet")
    write_text(json.dumps(_snapshot(params, facts, changed), indent=2) + "\n", folder / "snapshot.json")
    ways = ", ".join(f"{count:,} by {method}" for method, count in _by_method(facts.items).items())
    print(f"{len(names):,} categories: {ways}; {len(facts.class_edges):,} edges between classes")


_WIKIDATA = "<http://www.wikidata.org>"


def categories(folder: Path) -> list[str]:
    """The normalised categories of both splits, sorted, each once."""
    tables = [read_parquet(folder / f"{split}_label_to_category.parquet") for split in ("train", "index")]
    return sorted({normalise(text) for table in tables for text in table["category"]})


def fetch(endpoint: Endpoint, names: Iterable[str]) -> Facts:
    """Ask `endpoint` for everything about the categories `names`: items, classes, class graph, labels."""
    resolution = resolve(endpoint, names)
    used = {one for classes in resolution.classes.values() for one in classes}
    edges = class_closure(endpoint, used)
    known = used | {one for edge in edges for one in edge}
    return Facts(
        items=_items(resolution),
        item_classes=_frame(
            ["qid", "class"],
            sorted((item, one) for item, classes in resolution.classes.items() for one in classes),
        ),
        class_edges=_frame(["child", "parent"], sorted(edges)),
        class_labels=_frame(["qid", "label"], sorted(_labels(endpoint, known).items())),
        class_aliases=_frame(["class", "alias"], sorted(_aliases(endpoint, known))),
    )


def class_closure(endpoint: Endpoint, classes: Iterable[str]) -> set[tuple[str, str]]:
    """All P279 edges (child, parent) at and above `classes`, asked one level at a time; ends on cycles too."""
    edges: set[tuple[str, str]] = set()
    asked: set[str] = set()
    todo = set(classes)
    while todo:
        rows = select_all(endpoint, "class_edges", [entity(one) for one in todo], ("child", "parent"))
        new = {(qid(row["child"]), qid(row["parent"])) for row in rows if qid(row["parent"])}
        asked |= todo
        edges |= new
        todo = {parent for _, parent in new} - asked
    return edges


def _labels(endpoint: Endpoint, classes: Iterable[str]) -> dict[str, str]:
    rows = select_all(endpoint, "labels", [entity(one) for one in classes], ("item", "label"))
    return {qid(row["item"]): row["label"] for row in rows}


def _aliases(endpoint: Endpoint, classes: Iterable[str]) -> set[tuple[str, str]]:
    rows = select_all(endpoint, "aliases", [entity(one) for one in classes], ("item", "alias"))
    return {(qid(row["item"]), row["alias"]) for row in rows}


def _items(resolution: Resolution) -> pd.DataFrame:
    matches = resolution.matches
    frame = _frame(ITEMS[:4], [(m.category, m.qid, m.method, m.confidence) for m in matches])
    count = frame[frame["qid"] != ""].groupby("category").size()
    return frame.assign(candidates=frame["category"].map(count).fillna(0).astype("int64"))


def _frame(columns: list[str], rows: list[tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns, dtype="str")


def _tables(facts: Facts) -> dict[str, pd.DataFrame]:
    names = ("items", "item_classes", "class_edges", "class_labels", "class_aliases")
    return {name: getattr(facts, name) for name in names}


@contextmanager
def _endpoint(params: Params) -> Iterator[Endpoint]:
    """The endpoint of the profile: a remote one with its cache of answers, or a local one on the profile's facts."""
    asked = params.wikidata
    if (asked.endpoint is None) == (asked.facts is None):
        raise HgldError(
            f"params.yaml: {params.profile}.wikidata: give either endpoint or facts; the other is null"
        )
    # beside the stage's output, which DVC deletes before a run: a killed run finds its answers again
    cache = params.data / "wikidata-answers"
    with _served(asked.facts) as local:
        yield Endpoint(
            url=asked.endpoint or local,
            user_agent=asked.user_agent,
            timeout_s=asked.timeout_s,
            retries=asked.retries,
            pause_s=asked.pause_s,
            batch=asked.batch,
            cache=cache if asked.endpoint else None,
        )


@contextmanager
def _served(facts: str | None) -> Iterator[str]:
    """The URL of a local endpoint on `facts`; "" where there are none to serve."""
    if facts is None:
        yield ""
        return
    with serving([Path(facts)]) as url:
        yield url


def _snapshot(params: Params, facts: Facts, changed: list[str]) -> dict[str, object]:
    """Where the facts come from and how many they are; `date` is the data's own, not the clock's."""
    source = params.wikidata
    return {
        "endpoint": source.endpoint or source.facts,
        "date": changed[-1] if changed else "",
        "sha256": {path.name: sha256(path) for path in _fact_files(source.facts)},
        "counts": {
            "categories": int(facts.items["category"].nunique()),
            **{name: len(frame) for name, frame in _tables(facts).items()},
            "by_method": _by_method(facts.items),
        },
    }


def _by_method(items: pd.DataFrame) -> dict[str, int]:
    """Number of categories per way they were matched by; the first of several."""
    first = items.drop_duplicates("category")["method"].value_counts()
    return {str(method): int(count) for method, count in sorted(first.items())}


def _fact_files(facts: str | None) -> list[Path]:
    folder = Path(facts) if facts else None
    return (
        sorted(path for path in folder.iterdir() if path.suffix in RDF) if folder and folder.is_dir() else []
    )
