"""The stage `wikidata` on a real SPARQL server: tables, snapshot, frozen facts, and independence of row order."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.files import sha256
from hgld.foundation.settings import Params, load_params
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.hierarchy.taxonomy.commons_category import category_url
from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.sparql.oxigraph import serving
from hgld.pipeline.stages import wikidata
from hgld.pipeline.stages.wikidata import TABLES
from hgld.pipeline.wikidata.frozen_facts import FACTS as FROZEN
from hgld.pipeline.wikidata.frozen_facts import ORIGIN
from tests.paths import ROOT

FACTS = Path(__file__).parents[1] / "tiny_world.ttl"
NAMES = ["Lake Garda", "Hoover Dam", "Old Fort", "Nowhere", "Bare", 'Église "Z"', "Moved twice", "Old Name"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with serving([FACTS]) as url:
        yield Endpoint(url, "test", batch=3)


def prepared(folder: Path, names: list[str], endpoint: str | None = None) -> Params:
    """A profile whose metadata name these categories, and whose facts are those of the tests, or of `endpoint`."""
    params = load_params(ROOT / "params.yaml", profile="sample")
    for split, part in (("train", names[::2]), ("index", names)):
        rows = [(str(n), category_url(name)) for n, name in enumerate(part)]
        frame = pd.DataFrame(rows, columns=["landmark_id", "category"], dtype="str")
        write_parquet(frame, folder / params.data / "metadata" / f"{split}_label_to_category.parquet")
    facts = None if endpoint else str(FACTS)
    (folder / "facts").mkdir(exist_ok=True)
    if facts:
        (folder / "facts" / "facts.ttl").write_bytes(FACTS.read_bytes())
        facts = str(folder / "facts")
    source = params.wikidata.model_copy(update={"facts": facts, "endpoint": endpoint, "batch": 2})
    return params.model_copy(update={"wikidata": source})


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


def tables(folder: Path) -> dict[str, str]:
    """The hashes of all but snapshot.json, which names the source."""
    return {name: value for name, value in hashes(folder).items() if name != "snapshot.json"}


def test_output_is_independent_of_the_order_of_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = []
    for number, names in enumerate((NAMES, NAMES[::-1])):
        folder = tmp_path / str(number)
        params = prepared(folder, names)
        monkeypatch.chdir(folder)
        params = params.model_copy(
            update={"wikidata": params.wikidata.model_copy(update={"facts": "facts", "in_flight": 1 + 3 * number})}
        )
        wikidata.run(params)
        outputs.append(hashes(params.data / "wikidata"))
    assert outputs[0] == outputs[1]
    assert set(outputs[0]) == {*(f"{name}.parquet" for name in TABLES), "snapshot.json", "metrics.json"}
    snapshot = json.loads((params.data / "wikidata" / "snapshot.json").read_text(encoding="utf-8"))
    assert snapshot["counts"]["categories"] == len(NAMES)
    assert snapshot["counts"]["by_method"] == {"category-item": 1, "none": 1, "p373": 4, "sitelink": 2}
    assert snapshot["sha256"] == {"facts.ttl": sha256(FACTS)}
    assert snapshot["date"] == "2026-01-02T03:04:05Z"
    metrics = json.loads((params.data / "wikidata" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["by_method"]["sitelink"] == {"categories": 2, "share": 0.25}
    assert (metrics["share_with_item"], metrics["with_several_items"]) == (0.875, 2)
    assert (metrics["by_confidence"], metrics["through_redirects"]) == ({"high": 2, "low": 2, "medium": 3}, 2)
    assert len(read_parquet(params.data / "wikidata" / "items.parquet")) == 10


def test_frozen_facts_give_the_same_tables_as_the_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = prepared(tmp_path, NAMES, endpoint.url)
    wikidata.run(asked, freeze_to=Path("frozen"))
    first = tables(asked.data / "wikidata")
    wikidata.run(asked, freeze_to=Path("again"))
    assert hashes(Path("frozen")) == hashes(Path("again"))
    update = {"endpoint": None, "facts": "frozen", "batch": 3}
    frozen = asked.model_copy(update={"wikidata": asked.wikidata.model_copy(update=update)})
    wikidata.run(frozen, freeze_to=Path("again"))
    assert tables(frozen.data / "wikidata") == first
    assert hashes(Path("frozen"))[FROZEN] == hashes(Path("again"))[FROZEN]
    snapshot = json.loads((frozen.data / "wikidata" / "snapshot.json").read_text(encoding="utf-8"))
    assert (snapshot["endpoint"], snapshot["date"]) == (endpoint.url, "2026-01-02T03:04:05Z")
    assert snapshot["sha256"] == {FROZEN: sha256(Path("frozen", FROZEN))}
    Path("frozen", ORIGIN).write_text(Path("frozen", ORIGIN).read_text().replace('gz": "', 'gz": "0'))
    with pytest.raises(HgldError, match=r"facts\.ttl\.gz: expected SHA-256 0"):
        wikidata.run(frozen)
    Path("again", "notes.txt").write_text("mine")
    nobody = asked.model_copy(update={"wikidata": asked.wikidata.model_copy(update={"endpoint": "http://x/"})})
    for params in (asked, nobody):  # raised before any query
        with pytest.raises(HgldError, match=r"again holds other files \(notes\.txt\)"):
            wikidata.run(params, freeze_to=Path("again"))


def test_exactly_one_source_is_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = prepared(tmp_path, NAMES)
    monkeypatch.chdir(tmp_path)
    for update in ({"facts": None}, {"endpoint": "http://127.0.0.1:9/"}):
        both = params.model_copy(update={"wikidata": params.wikidata.model_copy(update=update)})
        with pytest.raises(HgldError, match="give either endpoint or facts"):
            wikidata.run(both)


def test_all_invalid_category_names_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = prepared(tmp_path, ["Good", "Category:", "Caf%E9"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HgldError, match=r"(?s)index landmark 1: no category.*index landmark 2: .*UTF-8"):
        path = params.data / "metadata" / "index_label_to_category.parquet"
        write_parquet(read_parquet(path).assign(category=["Good", "Category:", "Caf%E9"]), path)
        path = params.data / "metadata" / "train_label_to_category.parquet"
        write_parquet(read_parquet(path).iloc[:0], path)
        wikidata.run(params)


def test_missing_metadata_name_the_stage_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HgldError, match=r"dvc repro"):
        wikidata.run(load_params(ROOT / "params.yaml", profile="sample"))
