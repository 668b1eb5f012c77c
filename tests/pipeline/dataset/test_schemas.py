"""What a stage reads is checked: no damaged or foreign table gives a traceback, or a release without its labels."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.pipeline.dataset.landmarks import image_counts
from hgld.pipeline.embedding.embedded_images import read_embedded_images
from hgld.pipeline.evidence.sources import read_context
from hgld.pipeline.stages import build, queue, release
from hgld.pipeline.stages.wikidata import read_categories

METADATA = ("train_label_to_category", "index_label_to_category", "train", "index_image_to_landmark")
RELEASED = ("train_clean", "index", "test", "retrieval_solution", "recognition_solution")
READERS: dict[str, list[Callable[[Params], object]]] = {
    **{f"metadata/{name}": [queue.run, release.run] for name in METADATA},
    **{f"metadata/{name}": [release.run] for name in RELEASED},
    "metadata/train_label_to_category": [lambda params: read_categories(params.data / "metadata"), queue.run],
    "metadata/train": [image_counts, release.run],
    **{f"wikidata/{name}": [build.run] for name in ("items", "item_classes", "class_edges", "class_labels")},
    "wikidata/item_facts": [release.run],
    "build/labels": [queue.run, release.run],
    "refine/proposals": [queue.run, release.run],
    "embed/images": [lambda params: read_embedded_images(params.data / "embed")],
    "embed/prompts": [lambda params: read_embedded_images(params.data / "embed")],
}
DAMAGES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "without rows": lambda frame: frame.iloc[:0],
    "half of the rows": lambda frame: frame.iloc[: len(frame) // 2],
    "foreign columns": lambda frame: frame.add_prefix("other_"),
    "numbers for text": lambda frame: frame.assign(**{frame.columns[0]: range(len(frame))}),
    "text of another kind": lambda frame: frame.assign(**{frame.columns[0]: "\x1b[2J"}),
    "every row twice": lambda frame: pd.concat([frame, frame]),
    "a missing value": lambda frame: frame.assign(**{frame.columns[0]: frame.iloc[:, 0].mask(frame.index == 0)}),
}


@pytest.fixture
def params(proposed) -> Params:
    """The world with the records that the stages leave beside their tables, and with vectors."""
    data = proposed.params.data
    Path("review").mkdir()
    edges = pd.DataFrame({"child": ["Q1", "Q2"], "parent": ["Q2", "Q3"]})
    write_parquet(edges, data / "wikidata" / "class_edges.parquet")
    for name, rows in {
        "images": {"id": [f"{n:016x}" for n in range(4)], "category": ["Red Chapel", "Blue Lake"] * 2},
        "prompts": {
            "hierarchical_label": ["church", "lake"] * 2,
            "prompt": ["a church", "a lake", "b church", "b lake"],
        },
    }.items():
        write_parquet(pd.DataFrame(rows), data / "embed" / f"{name}.parquet")
        np.save(data / "embed" / f"{name}.npy", np.eye(4, dtype=np.float32))
    (data / "embed" / "summary.json").write_text('{"model": "test"}')
    counts = {folder: {path.stem: len(read_parquet(path)) for path in (data / folder).glob("*.parquet")}
              for folder in ("metadata", "wikidata", "refine")}  # fmt: skip
    for folder in ("metadata", "refine"):
        (data / folder / "metrics.json").write_text(json.dumps(counts[folder]))
    snapshot = {"date": "2026-01-02", "endpoint": "test", "counts": counts["wikidata"]}
    (data / "wikidata" / "snapshot.json").write_text(json.dumps(snapshot))
    return proposed.params


@pytest.mark.parametrize("name", READERS)
def test_no_stage_reads_a_damaged_table(name: str, params: Params, fault_table) -> None:
    path = params.data / f"{name}.parquet"
    whole, frame = path.read_bytes(), read_parquet(path)
    files = {"truncated": whole[: len(whole) // 2], "of no bytes": b"", "another format": b"a,b\n1,2\n"}
    for damage, change in DAMAGES.items():
        write_parquet(change(frame), path)
        files[damage] = path.read_bytes()
    if name.removeprefix("metadata/") in RELEASED:  # only the release reads them, slowly
        files = {
            damage: files[damage] for damage in ("truncated", "without rows", "foreign columns", "every row twice")
        }
    if name == "embed/prompts":
        del files["text of another kind"]  # any text may be a label: see test_tables_of_another_run_are_refused
    for damage, content in files.items():
        path.write_bytes(content)
        # the first reader meets every damage, the others the worst
        for read in READERS[name] if damage == "without rows" else READERS[name][:1]:
            with pytest.raises(HgldError, match=rf"(?s){params.data / name}\..*(dvc repro |Parquet)"):
                read(params)
                pytest.fail(f"{name} {damage}: no error")
        fault_table.add("stage tables", damage, "an error that names the table and the stage")
    path.write_bytes(whole)
    for read in READERS[name]:
        read(params)


def test_tables_of_another_run_are_refused(params: Params) -> None:
    """Valid tables that do not belong together: proposals of other categories, images of other categories."""
    path = params.data / "refine" / "proposals.parquet"
    table = read_parquet(path)
    write_parquet(table.assign(category=["Blue Lake", *table["category"][1:]]), path)
    for stage in (queue, release):
        with pytest.raises(HgldError, match="1 proposals are for categories that need none, such as 'Blue Lake'"):
            stage.run(params)
    for column, fault in (
        ("hierarchical_label", "labels are unknown"),
        ("runner_up", "labels are unknown"),
        ("source", "sources are unknown"),
        ("outcome", "outcome: isin"),
    ):
        write_parquet(table.assign(**{column: ["spaceport", *table[column][1:]]}), path)
        for stage in (queue, release):
            with pytest.raises(HgldError, match=rf"(?s){fault}.*'spaceport'.*dvc repro refine"):
                stage.run(params)
    write_parquet(table, path)
    path = params.data / "build" / "labels.parquet"
    whole = read_parquet(path)
    write_parquet(whole.replace("church", "spaceport"), path)
    with pytest.raises(HgldError, match=r"labels are unknown, such as 'spaceport'; .*dvc repro build"):
        queue.run(params)
    # the labels alone are gone: their classes and paths are still there
    write_parquet(whole.assign(hierarchical_label=""), path)
    with pytest.raises(HgldError, match="rows have one of hierarchical_label and natural_or_human_made"):
        release.run(params)
    write_parquet(whole, path)
    path = params.data / "wikidata" / "items.parquet"
    items = read_parquet(path)
    for column in ("qid", "confidence"):
        write_parquet(items.assign(**{column: ""}), path)
        with pytest.raises(HgldError, match=r"(?s)rows have one of qid and confidence.*dvc repro wikidata"):
            build.run(params)
    write_parquet(items.assign(qid=items["qid"] + "x"), path)
    with pytest.raises(HgldError, match="qid: a QID or empty fails"):
        build.run(params)
    path = params.data / "embed" / "prompts.parquet"
    whole = read_parquet(path)
    write_parquet(whole.replace("church", "spaceport"), path)
    with pytest.raises(HgldError, match=r"1 labels are unknown, such as 'spaceport'; .*dvc repro embed"):
        read_context(params)
    write_parquet(whole, path)
    path = params.data / "embed" / "images.parquet"
    write_parquet(read_parquet(path).assign(category="Elsewhere"), path)
    with pytest.raises(HgldError, match=r"1 categories of images are unknown, such as 'Elsewhere'; .*dvc repro embed"):
        read_context(params)
