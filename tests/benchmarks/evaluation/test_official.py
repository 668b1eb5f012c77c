"""Revisited Oxford in its official layout: the measures of the protocol stand beside those that go by places."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hgld.benchmarks.datasets.registry import open_data
from hgld.benchmarks.evaluation.embedding import Embedder
from hgld.benchmarks.models.network import Architecture, build_network, save_checkpoint
from hgld.benchmarks.models.scored_model import ModelOptions, ScoredModel
from hgld.benchmarks.models.sources.registry import open_model
from hgld.cli import main
from hgld.foundation.files import read_json

MEASURES = [f"{name}_{difficulty}" for difficulty in ("easy", "medium", "hard")
            for name in ("mAP", "mP@1", "mP@5", "mP@10")]  # fmt: skip
QUERIES, IMAGES = 5, 30


def noise(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((70, 50), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def oxford(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder as its authors packed it: five places; the last query has no hard images."""
    folder = tmp_path_factory.mktemp("data") / "roxford5k"
    (folder / "jpg").mkdir(parents=True)
    imlist = [f"all_souls_{number:06}" for number in range(IMAGES)]
    qimlist = [f"magdalen_{number:06}" for number in range(QUERIES)]
    for seed, name in enumerate([*imlist, *qimlist]):
        noise(seed).save(folder / "jpg" / f"{name}.jpg", quality=95)
    gnd: list[dict[str, Any]] = []
    order = np.random.default_rng(100).permutation(IMAGES).tolist()
    for number in range(QUERIES):
        easy, hard = order[4 * number : 4 * number + 2], order[4 * number + 2 : 4 * number + 4]
        hard = [] if number == QUERIES - 1 else hard
        box = [5.2 + number, 3.0, 60.7, 41.4]
        junk = order[20 + number : 24 + number]
        gnd.append({"bbx": box, "easy": np.array(easy), "hard": np.array(hard, int), "junk": np.array(junk)})
    content = {"gnd": gnd, "imlist": imlist, "qimlist": qimlist}
    (folder / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(content, protocol=2))
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a checkpoint."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    network = build_network(Architecture(backbone="test_resnet", dim=8, pooling="gem", image_size=32), seed=0)
    save_checkpoint(network, {}, tmp_path / "model.pt")
    return tmp_path


def hgld(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result


def embeddings(model: Path, folder: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Of the queries, cropped to their boxes here, and of the gallery."""
    scored = open_model(str(model), ModelOptions())
    assert isinstance(scored, ScoredModel)
    content = pickle.loads((folder / "gnd_roxford5k.pkl").read_bytes())
    with open_data(f"roxford5k:{folder}", None) as data:
        for row, (name, query) in enumerate(zip(content["qimlist"], content["gnd"], strict=True)):
            cropped = Image.open(folder / "jpg" / f"{name}.jpg").crop(query["bbx"])
            assert np.array_equal(np.asarray(cropped), np.asarray(data.query.image(row)))
        how = Embedder(batch=8, device="cpu", threads=1)
        query, index = (how.embed([scored], images, "").vectors for images in (data.query, data.gallery))
    return query.numpy(), index.numpy()


def official(folder: Path, query: np.ndarray[Any, Any], index: np.ndarray[Any, Any]) -> dict[str, float]:
    """What `hgld evaluate revisited` gives for embeddings, by the names of metrics.json."""
    np.savez("official.npz", query=query, index=index)
    found = json.loads(
        hgld("evaluate", "revisited", str(folder / "gnd_roxford5k.pkl"), "official.npz", "--json").stdout
    )
    return {f"{name}_{level}": value for level, means in found.items() for name, value in means.items()}


def test_official_measures_equal_those_of_evaluate_revisited(here: Path, oxford: Path) -> None:
    result = hgld("benchmark", "model.pt", "--data", f"roxford5k:{oxford}", "--out", "out")
    assert "mAP medium" in result.output and "mP@10 hard" in result.output
    metrics = read_json(Path("out/metrics.json"))
    expected = official(oxford, *embeddings(here / "model.pt", oxford))
    assert [metrics[name] for name in MEASURES] == pytest.approx([expected[name] for name in MEASURES], abs=1e-6)
    assert len({metrics[name] for name in MEASURES if name.startswith("mAP")}) == 3
    assert {"H-AP", "untrained_H-AP", "chance_H-AP", "AP_l0"} <= metrics.keys()
    assert not [name for name in metrics if name.startswith(("untrained_mAP_", "chance_mAP_"))]
    assert "mAP medium" in Path("out/report.html").read_text(encoding="utf-8")


def test_junk_images_count_in_the_measures_that_go_by_places_only(here: Path, oxford: Path) -> None:
    """Embeddings that put the junk of a query first, then its positives."""
    content = pickle.loads((oxford / "gnd_roxford5k.pkl").read_bytes())
    query, index = np.eye(QUERIES, QUERIES + 1, dtype=np.float32), np.zeros((IMAGES, QUERIES + 1), np.float32)
    for number, truth in enumerate(content["gnd"]):
        for kind, score in (("junk", 0.4), ("easy", 0.3), ("hard", 0.2)):
            index[truth[kind], number] = score
    index[:, QUERIES] = (1 - (index**2).sum(axis=1)) ** 0.5
    ids = [*(f"query {name}" for name in content["qimlist"]), *content["imlist"]]
    np.savez("vectors.npz", ids=np.array(ids), vectors=np.concatenate([query, index]))
    hgld("benchmark", "vectors.npz", "--data", str(oxford), "--out", "out")
    metrics, expected = read_json(Path("out/metrics.json")), official(oxford, query, index)
    assert [metrics[name] for name in MEASURES] == pytest.approx([expected[name] for name in MEASURES], abs=1e-6)
    assert metrics["mAP_easy"] == metrics["mAP_medium"] == metrics["mAP_hard"] == 1
    assert metrics["AP_l0"] < 0.5


def test_several_models_are_still_compared(here: Path, oxford: Path) -> None:
    network = build_network(Architecture(backbone="test_resnet", dim=8, pooling="avg", image_size=32), seed=1)
    save_checkpoint(network, {}, here / "other.pt")
    result = hgld("benchmark", "model.pt", "other.pt", "--data", str(oxford), "--out", "out")
    assert "H-AP" in result.output
    assert "mAP_hard" in read_json(Path("out/other/metrics.json"))


def test_official_measures_are_left_out_where_an_image_cannot_be_read(here: Path, oxford: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    (folder / "jpg").mkdir(parents=True)
    for path in oxford.rglob("*.*"):
        (folder / path.relative_to(oxford)).write_bytes(path.read_bytes())
    (folder / "jpg" / "all_souls_000003.jpg").write_bytes(b"not a picture")
    result = hgld("benchmark", "model.pt", "--data", str(folder), "--out", "out")
    assert "the official measures of the dataset are left out: they need every image" in result.output
    assert "mAP_easy" not in read_json(Path("out/metrics.json"))
