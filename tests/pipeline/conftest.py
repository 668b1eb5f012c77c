"""A world of eight landmarks: the tables that the first stages would have written, and images in tars."""

import io
import json
import math
import pickle
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from hgld.foundation.settings import Params, load_params
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.hierarchy.names.name_classifier import cross_fit_classifier
from hgld.hierarchy.taxonomy.class_graph import SHORTCUT
from hgld.hierarchy.taxonomy.commons_category import category_url
from hgld.pipeline.acquisition.tar_index import scan_tar
from hgld.pipeline.evidence import landmark_names
from tests.paths import ROOT

# category, train landmark, index landmark, Wikidata's item, class and label, colour of its images
LANDMARKS = [
    ("Red Chapel", "10", "7", ("Q101", "church building", "Q16970", "church", "human-made"), "red"),
    ("Église Saint-Rouge", "11", "", ("Q102", "church building", "Q16970", "church", "human-made"), "red"),
    ("Blue Lake", "12", "10", ("Q103", "lake", "Q23397", "lake", "natural"), "blue"),
    ("Lago Azul", "", "12", ("Q104", "lake", "Q23397", "lake", "natural"), "blue"),
    ("Unknown Chapel", "13", "11", None, "red"),
    ("Unknown Lake", "14", "", None, "blue"),
    ("Nowhere, \"Purple\"", "15", "13", None, "purple"),
    ("Torn Place", "16", "", None, "blue"),
]  # fmt: skip

# Two churches, in Georgia and on a border; two lakes in Turkey, one of them with coordinates, in the European part.
ITEM_FACTS = ["qid", "label", "latitude", "longitude", "coordinates", "countries", "sitelinks"]
PLACES = [
    ("Q101", "Red Chapel", 41.69, 44.8, 1, "Q230", 7),
    ("Q102", "Église Saint-Rouge", math.nan, math.nan, 0, "Q142 Q39", 2),
    ("Q103", "Blue Lake", math.nan, math.nan, 0, "Q43", 1),
    ("Q104", "Lago Azul", 41.3, 28.0, 1, "Q43", 0),
]

LABELS = ["category", "qid", "method", "candidates", "class", "supercategory", "hierarchical_label",
          "natural_or_human_made", "path", "note"]  # fmt: skip


_FITTED: dict[bytes, Any] = {}


@pytest.fixture(autouse=True)
def _each_fit_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name model of equal names, labels and lexicon is fitted once per process: it takes seconds."""

    def fitted(*inputs: Any) -> Any:
        key = pickle.dumps(inputs)
        if key not in _FITTED:
            _FITTED[key] = pickle.dumps(cross_fit_classifier(*inputs))
        return pickle.loads(_FITTED[key])

    monkeypatch.setattr(landmark_names, "cross_fit_classifier", fitted)


@dataclass(frozen=True)
class World:
    """The folder of the world, and its settings."""

    folder: Path
    params: Params

    @property
    def data(self) -> Path:
        return self.folder / self.params.data

    def with_settings(self, section: str, **settings: Any) -> Params:
        """The settings with some values of one section replaced."""
        changed = getattr(self.params, section).model_copy(update=settings)
        return self.params.model_copy(update={section: changed})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose folder is the working directory."""
    monkeypatch.chdir(tmp_path)
    params = load_params(ROOT / "params.yaml", "sample")
    params = params.model_copy(update={
        "build": params.build.model_copy(update={"taxonomy": str(ROOT / "hierarchy/curated")}),
        "refine": params.refine.model_copy(update={"truth": None, "accept_score": 0.6, "accept_margin": 0.3}),
        "queue": params.queue.model_copy(update={"control": 1}),
    })  # fmt: skip
    _write_metadata(params.data / "metadata")
    _write_wikidata(params.data / "wikidata")
    _write(params.data / "build" / "labels.parquet", LABELS, _labels())
    _write_class_graph(params.data / "build")
    for name in ("DATA_CARD.md", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    return World(tmp_path, params)


@pytest.fixture
def pictured(world: World) -> World:
    """The world with its images in tars."""
    folder = world.params.data / "images"
    parts = []
    for split, column in (("train", 1), ("index", 2)):
        tar = folder / split / "images_000.tar"
        tar.parent.mkdir(parents=True)
        with tarfile.open(tar, "w") as archive:
            for row in LANDMARKS:
                for image in image_ids(split, row[column]):
                    _add(archive, image, str(row[4]))
        parts.append(scan_tar(tar, split).images)
    write_parquet(pd.concat(parts).sort_values("id"), folder / "images.parquet")
    return world


# Classes that no path leads on from: that of two landmarks without a label, and a further one of the second.
TARN, BASIN = "Q900", "Q901"
CLASSED = {"Unknown Lake": ("Q501", [TARN]), 'Nowhere, "Purple"': ("Q502", [TARN, BASIN])}


@pytest.fixture
def classed(proposed: World) -> World:
    """The proposed world, where two landmarks without a label have a class in common."""
    path = proposed.data / "build" / "labels.parquet"
    labels = read_parquet(path)
    items = {name: item for name, (item, _) in CLASSED.items()}
    labels["qid"] = labels["category"].map(items).fillna(labels["qid"]).astype("str")
    write_parquet(labels, path)
    _append(
        proposed.data / "wikidata" / "item_classes.parquet",
        [(item, qid) for item, classes in CLASSED.values() for qid in classes],
    )
    _append(proposed.data / "wikidata" / "class_labels.parquet", [(TARN, "tarn"), (BASIN, "basin")])
    nowhere = [(item, "", math.nan, math.nan, 0, "", 0) for item in items.values()]
    _append(proposed.data / "wikidata" / "item_facts.parquet", nowhere)
    columns = ["class", "label", "hierarchical_label", "score", "margin", "evidence", "categories"]
    _write(proposed.data / "refine" / "classes.parquet", columns, [(TARN, "tarn", "lake", 0.7, 0.6, "head: tarn", 2)])
    return proposed


def _append(path: Path, rows: list[tuple[Any, ...]]) -> None:
    table = read_parquet(path)
    _write(path, list(table.columns), [*table.itertuples(index=False, name=None), *rows])


@pytest.fixture
def proposed(world: World) -> World:
    """The world with proposals: one above the thresholds, two to review, and one category without."""
    rows = [
        ("Nowhere, \"Purple\"", "church", 0.5, 0.1, "lake", 3, "test CLIP: 3 images", "clip", "review"),
        ("Unknown Chapel", "church", 0.9, 0.85, "lake", 3, "test CLIP: 3 images", "clip", "accepted"),
        ("Unknown Lake", "lake", 0.55, 0.2, "church", 2, "test CLIP: 2 images", "clip", "review"),
    ]  # fmt: skip
    columns = ["category", "hierarchical_label", "score", "margin", "runner_up", "images", "evidence",
               "source", "outcome"]  # fmt: skip
    _write(world.params.data / "refine" / "proposals.parquet", columns, rows)
    return world


def image_ids(split: str, landmark: str) -> list[str]:
    """Two images in train, one in index; none for a landmark that is not in the split."""
    if not landmark:
        return []
    return [
        f"{'a' if split == 'train' else 'b'}{int(landmark):08d}{number:07x}"
        for number in range(2 if split == "train" else 1)
    ]


def _add(archive: tarfile.TarFile, image: str, colour: str) -> None:
    data = io.BytesIO()
    Image.new("RGB", (24, 20), colour).save(data, "JPEG")
    member = tarfile.TarInfo(f"{image[0]}/{image[1]}/{image[2]}/{image}.jpg")
    member.size = len(data.getvalue())
    archive.addfile(member, io.BytesIO(data.getvalue()))


def _write(path: Path, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(sorted(rows), columns=columns)
    write_parquet(frame, path)


def _labels() -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for name, _, _, item, _ in LANDMARKS:
        if item:
            qid, label, cls, hierarchical, nature = item
            rows.append((name, qid, "sitelink", 1, cls, label, hierarchical, nature, cls, ""))
        elif name == "Torn Place":
            rows.append((name, "", "p373", 2, "", "", "", "", "", "ambiguous: Q105 church, Q106 lake"))
        else:
            rows.append((name, "", "none", 0, "", "", "", "", "", "no item found"))
    return rows


def _write_class_graph(folder: Path) -> None:
    """church and lake below what they are; from church, one way up is longer than another."""
    _write(folder / "classes.parquet", ["class", "label", "hierarchical_label", "natural_or_human_made", "path"], [
        ("Q16970", "church building", "church", "human-made", "Q16970"),
        ("Q23397", "lake", "lake", "natural", "Q23397"),
        ("Q1370598", "structure of worship", "", "", ""),
        ("Q811979", "architectural structure", "", "", ""),
    ])  # fmt: skip
    _write(folder / "dag.parquet", ["child", "parent"], [("Q16970", "Q1370598"), ("Q1370598", "Q811979")])
    _write(folder / "removed_edges.parquet", ["child", "parent", "reason"], [
        ("Q16970", "Q811979", SHORTCUT), ("Q811979", "Q16970", "cycle: of 2 classes"),
    ])  # fmt: skip


def _write_metadata(folder: Path) -> None:
    train = [
        (image, f"https://example.org/{image}.jpg", row[1]) for row in LANDMARKS for image in image_ids("train", row[1])
    ]
    index = [(image, row[2]) for row in LANDMARKS for image in image_ids("index", row[2])]
    _write(folder / "train.parquet", ["id", "url", "landmark_id"], train)
    _write(
        folder / "train_clean.parquet",
        ["id", "landmark_id"],
        [(image, number) for image, _, number in train if image.endswith("0")],
    )
    _write(folder / "index.parquet", ["id"], [(image,) for image, _ in index])
    _write(folder / "index_image_to_landmark.parquet", ["id", "landmark_id"], index)
    for split, column in (("train", 1), ("index", 2)):
        pairs = [(row[column], category_url(row[0])) for row in LANDMARKS if row[column]]
        _write(folder / f"{split}_label_to_category.parquet", ["landmark_id", "category"], pairs)
    _write(folder / "test.parquet", ["id"], [(f"c{number:015d}",) for number in range(4)])
    red, blue, lago = (image_ids("index", number)[0] for number in ("7", "10", "12"))
    _write(folder / "retrieval_solution.parquet", ["id", "images", "usage"], [
        (f"c{0:015d}", red, "Public"),
        (f"c{1:015d}", f"{lago} {blue} {'f' * 16}", "Private"),
        (f"c{2:015d}", "None", "Ignored"),
        (f"c{3:015d}", "None", "Ignored"),
    ])  # fmt: skip
    _write(folder / "recognition_solution.parquet", ["id", "landmarks", "usage"], [
        (f"c{0:015d}", "", "Ignored"), (f"c{1:015d}", "10", "Private"),
        (f"c{2:015d}", "13", "Public"), (f"c{3:015d}", "", "Ignored"),
    ])  # fmt: skip


def _write_wikidata(folder: Path) -> None:
    items = [(row[0], row[3][0], "sitelink", "high", 1) if row[3] else (row[0], "", "none", "", 0) for row in LANDMARKS]
    _write(folder / "items.parquet", ["category", "qid", "method", "confidence", "candidates"], items)
    classes = [(row[3][0], row[3][2]) for row in LANDMARKS if row[3]]
    _write(folder / "item_classes.parquet", ["qid", "class"], classes)
    _write(folder / "item_facts.parquet", ITEM_FACTS, PLACES)
    _write(folder / "class_labels.parquet", ["qid", "label"], [("Q16970", "church building"), ("Q23397", "lake")])
    (folder / "snapshot.json").write_text(json.dumps({"date": "2026-01-02", "endpoint": "test"}))
