"""The stage `embed` with a real, tiny, random open_clip model: its images and labels, broken images, restarts."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv, read_parquet, write_parquet
from hgld.hierarchy.fusion.calibration import hash_sample
from hgld.hierarchy.names.name_classifier import MANY, SAMPLE
from hgld.pipeline.acquisition.tar_index import scan_tar
from hgld.pipeline.dataset.landmarks import evidence_categories
from hgld.pipeline.embedding import image_embeddings as shards
from hgld.pipeline.embedding.clip import load_clip
from hgld.pipeline.stages.embed import choose_images, prompt_table, run
from tests.paths import ROOT

CONFIG = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}


@pytest.fixture
def tiny(pictured):
    """The pictured world with a random tiny CLIP of its own configuration."""
    import open_clip
    import torch

    Path("model_config.json").write_text(json.dumps(CONFIG))
    Path("named").mkdir()
    Path("named/hgld-test.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(Path("named"))
    torch.manual_seed(0)
    torch.save(open_clip.create_model("hgld-test").state_dict(), "model.pt")
    params = pictured.with_settings(
        "embed",
        model="hgld-test",
        pretrained="model.pt",
        model_config_file="model_config.json",
        batch=3,
        threads=1,
    )
    return type(pictured)(pictured.folder, params)


def _images(world) -> pd.DataFrame:
    return read_parquet(world.data / "embed" / "images.parquet")


def test_vectors_are_unit_length_and_match_their_tables(tiny) -> None:
    run(tiny.params)
    vectors = np.load(tiny.data / "embed" / "images.npy")
    prompts = np.load(tiny.data / "embed" / "prompts.npy")
    texts = read_parquet(tiny.data / "embed" / "prompts.parquet")
    assert (vectors.dtype, vectors.shape) == (np.float32, (len(_images(tiny)), 8))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(prompts, axis=1) == pytest.approx(1, abs=1e-5)
    assert prompts.shape == (len(texts), 8)
    # only labels that Wikidata gives to some category are candidates
    assert set(texts["hierarchical_label"]) == {"church", "lake"}


def test_equal_ids_of_train_and_index_are_different_landmarks(tiny) -> None:
    run(tiny.params)
    images = _images(tiny).set_index("id")["category"]
    # landmark 10 is the Red Chapel in train, and the Blue Lake in index
    assert images["a00000010" + "0" * 7] == "Red Chapel"
    assert images["b00000010" + "0" * 7] == "Blue Lake"
    assert images.value_counts().to_dict()["Unknown Chapel"] == 3


def test_a_second_run_uses_the_cache_and_gives_the_same_bytes(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tiny.params)
    first = {path.name: path.read_bytes() for path in (tiny.data / "embed").iterdir()}
    monkeypatch.setattr("hgld.pipeline.embedding.clip.Clip.embed_images", lambda *_: pytest.fail("computed again"))
    run(tiny.params)
    assert {path.name: path.read_bytes() for path in (tiny.data / "embed").iterdir()} == first


@pytest.mark.parametrize(
    "damage", ["truncated", "of no bytes", "another file", "other arrays", "other images", "not finite"]
)
def test_a_damaged_shard_of_the_cache_is_computed_again(tiny, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(tiny.params)
    first = {path.name: path.read_bytes() for path in (tiny.data / "embed").iterdir()}
    (shard,) = (tiny.data / "cache" / "embed").iterdir()
    whole = shard.read_bytes()
    with np.load(shard) as archive:
        arrays = dict(archive)
    if damage in ("truncated", "of no bytes", "another file"):
        shard.write_bytes({"truncated": whole[: len(whole) // 2], "of no bytes": b"", "another file": b"PK"}[damage])
    else:
        vectors = arrays["vectors"]
        changed = {"other arrays": {"other": vectors}, "other images": {**arrays, "vectors": vectors[1:]}}
        np.savez(shard, **changed.get(damage, {**arrays, "vectors": np.full_like(vectors, np.nan)}))
    run(tiny.params)
    assert "computed again" in capsys.readouterr().out
    assert shard.read_bytes() == whole
    assert {path.name: path.read_bytes() for path in (tiny.data / "embed").iterdir()} == first


def test_an_interrupted_run_resumes_from_complete_shards(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 5)
    done = []
    embed_shard = shards._embed_shard

    def fail_at_third(*words):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return embed_shard(*words)

    monkeypatch.setattr(shards, "_embed_shard", fail_at_third)
    with pytest.raises(KeyboardInterrupt):
        run(tiny.params)
    assert not (tiny.data / "embed").exists()
    assert len(list((tiny.data / "cache" / "embed").iterdir())) == 2
    monkeypatch.setattr(shards, "_embed_shard", embed_shard)
    run(tiny.params)
    whole = np.load(tiny.data / "embed" / "images.npy")
    assert len(whole) == len(_images(tiny))


def _break(world, image: str, data: bytes = b"") -> None:
    """Overwrite an image with other bytes, and zeros to its end."""
    images = world.data / "images"
    row = read_parquet(images / "images.parquet").set_index("id").loc[image]
    with (images / row["tar"]).open("r+b") as handle:
        handle.seek(int(row["offset"]))
        handle.write(data.ljust(int(row["size"]), b"\0"))


def test_a_broken_image_is_reported_and_left_out(tiny, capsys: pytest.CaptureFixture[str]) -> None:
    image = "a00000013" + "0" * 7
    _break(tiny, image)
    run(tiny.params)
    assert image not in set(_images(tiny)["id"])
    assert read_csv(tiny.data / "embed" / "broken.csv", ["id", "reason"])["id"].tolist() == [image]
    output = capsys.readouterr().out
    assert "1 of 19 images cannot be read" in output
    assert f"image {image}: not a readable picture" in output
    run(tiny.params)  # the same from the cache
    assert json.loads((tiny.data / "embed" / "summary.json").read_text())["broken_images"] == 1


def test_no_output_holds_an_address_or_a_path_of_the_machine(tiny, tmp_path: Path) -> None:
    images = [f"a{number:08d}{'0' * 7}" for number in (10, 11, 12)]
    for image, data in zip(images, (b"<html>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff\xd8\xff\xe0"), strict=True):
        _break(tiny, image, data)
    run(tiny.params)
    assert read_csv(tiny.data / "embed" / "broken.csv", ["id", "reason"])["id"].tolist() == images
    for path in tiny.data.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert not re.search(rb" at 0x[0-9a-f]{4}|<[\w.]+ object", data), path
        assert str(tmp_path).encode() not in data, path


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_tar_that_is_not_whole_is_an_error_and_no_broken_image(tiny, damage: str) -> None:
    """As in train and benchmark: half of the images would be gone, with max_broken 0.5."""
    tar = tiny.data / "images" / "index" / "images_000.tar"
    if damage == "missing":
        tar.unlink()
    else:
        with tar.open("r+b") as handle:
            handle.truncate(600)
    with pytest.raises(HgldError, match="run the images stage"):
        run(tiny.with_settings("embed", max_broken=1.0))


def test_more_broken_images_than_the_limit_are_an_error(tiny) -> None:
    _break(tiny, "a00000013" + "0" * 7)
    with pytest.raises(HgldError, match=r"1 of 19 images cannot be read, more than embed.max_broken \(0.05\) allows"):
        run(tiny.with_settings("embed", max_broken=0.05))


def test_cache_of_images_decoded_otherwise_is_not_used(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as sideways, by an earlier version."""
    run(tiny.params)
    monkeypatch.setattr(shards, "DECODING", "something else")
    monkeypatch.setattr("hgld.pipeline.embedding.clip.Clip.embed_images", lambda *_: pytest.fail("computed again"))
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        run(tiny.params)


def test_categories_without_a_readable_image_are_counted(tiny) -> None:
    for number in range(2):
        _break(tiny, f"a00000014{number:07x}")
    run(tiny.params)
    summary = json.loads((tiny.data / "embed" / "summary.json").read_text())
    assert (summary["categories"], summary["categories_without_image"]) == (7, 1)


def test_no_readable_image_at_all_is_an_error(tiny) -> None:
    for image in read_parquet(tiny.data / "images" / "images.parquet")["id"]:
        _break(tiny, image)
    with pytest.raises(HgldError, match="none of 19 images can be read: image "):
        run(tiny.params)


def test_images_that_are_in_no_tar_are_skipped(tiny) -> None:
    folder = tiny.data / "images"
    with tarfile.open(folder / "train" / "images_000.tar") as archive:
        assert len(archive.getmembers()) == 14
    write_parquet(
        scan_tar(folder / "train" / "images_000.tar", "train").images.sort_values("id"),
        folder / "images.parquet",
    )
    run(tiny.params)
    assert len(_images(tiny)) == 14


def test_evidence_categories_are_the_unlabelled_and_a_sample_of_the_labelled() -> None:
    labels = pd.DataFrame({"category": list("abcdef"), "hierarchical_label": ["", "x", "x", "", "y", "y"]})
    categories = evidence_categories(labels, 2)
    assert len(categories) == 4
    assert categories >= {"a", "d"}
    assert evidence_categories(labels.iloc[::-1], 2) == categories


def test_the_labelled_categories_to_measure_evidence_on_are_held_out_by_the_name_classifier() -> None:
    names = [f"Church {number}" for number in range(MANY)]
    categories = evidence_categories(pd.DataFrame({"category": names, "hierarchical_label": "church"}))
    assert len(categories) > 1000
    assert categories <= set(hash_sample(names, SAMPLE))


def test_chosen_images_are_the_first_by_id() -> None:
    pool = pd.DataFrame({"id": ["3", "1", "2", "4"], "category": ["a", "a", "a", "b"]})
    assert choose_images(pool, 2)["id"].tolist() == ["1", "2", "4"]
    assert choose_images(pool.iloc[::-1], 2).equals(choose_images(pool, 2))


def test_prompts_strip_the_trailing_space_of_a_label() -> None:
    table = prompt_table(["ocean area ", "", "lake"], ["a {}.", "the {}"])
    assert table["prompt"].tolist() == ["a lake.", "the lake", "a ocean area.", "the ocean area"]
    assert table["hierarchical_label"].tolist() == ["lake", "lake", "ocean area ", "ocean area "]
    with pytest.raises(HgldError, match=r"'a photo' has no \{\} where the label goes"):
        prompt_table(["lake"], ["a photo"])
    with pytest.raises(HgldError, match="labels no category"):
        prompt_table([""], ["a {}"])


@pytest.mark.parametrize(("settings", "message"), [
    ({"model": "ViT-B-23", "model_config_file": None}, "open_clip has no model 'ViT-B-23'; did you mean 'ViT-B-32'?"),
    ({"pretrained": "other.pt"}, "no CLIP weights other.pt"),
    ({"pretrained": "no-such-set"}, "cannot be loaded"),
    ({"model_config_file": "none.json"}, "no model configuration none.json"),
    ({"model_config_file": "bad.json"}, "bad.json: not a model configuration"),
    ({"pretrained": "other-shape.pt"}, "with the weights other-shape.pt cannot be loaded"),
    ({"pretrained": "evil.pt"}, "with the weights evil.pt cannot be loaded"),
])  # fmt: skip
def test_a_model_that_cannot_be_loaded_is_a_one_line_error(tiny, settings: dict, message: str) -> None:
    import torch

    Path("bad.json").write_text("{")
    torch.save({"nothing": torch.zeros(1)}, "other-shape.pt")
    torch.save({"state_dict": _Evil()}, "evil.pt")
    with pytest.raises(HgldError) as caught:
        load_clip(tiny.with_settings("embed", **settings).embed)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("harmed").exists()


class _Evil:
    """A pickle that would run code when loaded."""

    def __reduce__(self):
        return Path.touch, (Path("harmed"),)


_ONE_RANK = """
import sys, time
from hgld.foundation.settings import Params
from hgld.pipeline.stages import embed
from hgld.pipeline.embedding import image_embeddings as vectors
vectors.SHARD = 4
done, embed_shard = [], vectors._embed_shard
def counted(clip, tars, ids, batch, cache):
    result = embed_shard(clip, tars, ids, batch, cache)
    done.append(1)
    if len(done) == int(sys.argv[2]):
        import os
        os._exit(9)
    return result
vectors._embed_shard = counted
embed.run(Params.model_validate_json(open(sys.argv[1]).read()))
"""


def _rank(number: int, world: int, dies_after: int = 0) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _ONE_RANK, "params.json", str(dies_after)]
    env = {**os.environ, "RANK": str(number), "WORLD_SIZE": str(world), "PYTHONPATH": str(ROOT / ".typing")}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_two_ranks_share_the_shards_and_recover_from_a_killed_one(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 4)
    run(tiny.params)
    single = {path.name: path.read_bytes() for path in (tiny.data / "embed").iterdir()}
    cached = {path.name for path in (tiny.data / "cache" / "embed").iterdir()}
    for folder in ("embed", "cache"):
        shutil.rmtree(tiny.data / folder)
    Path("params.json").write_text(tiny.params.model_dump_json())

    killed = _rank(1, 2, dies_after=1)
    killed.communicate(timeout=120)
    assert killed.returncode == 9
    assert len(list((tiny.data / "cache" / "embed").iterdir())) == 1
    ranks = [_rank(number, 2) for number in (1, 0)]
    outputs = [rank.communicate(timeout=120)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], outputs
    assert "rank 1 of 2" in outputs[0]
    assert {path.name: path.read_bytes() for path in (tiny.data / "embed").iterdir()} == single
    assert {path.name for path in (tiny.data / "cache" / "embed").iterdir()} == cached


@pytest.mark.parametrize(("number", "world"), [("2", "2"), ("x", "2"), ("0", "0"), ("-1", "2")])
def test_an_invalid_rank_is_rejected(monkeypatch: pytest.MonkeyPatch, number: str, world: str) -> None:
    monkeypatch.setenv("RANK", number)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(HgldError, match=f"RANK={number}, WORLD_SIZE={world}"):
        shards.this_rank()
