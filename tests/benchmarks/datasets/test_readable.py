"""Which images can be decoded: left out and counted, and remembered as long as no image has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hgld.benchmarks.datasets import readable
from hgld.benchmarks.datasets.readable import survey
from hgld.benchmarks.datasets.release import open_release
from hgld.benchmarks.datasets.survey_cache import Survey, SurveyCache
from hgld.foundation import tar_images
from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.foundation.settings import Params
from tests.benchmarks.conftest import PLACES, add_places, make_world
from tests.benchmarks.datasets.coloured_images import ColouredImages

BROKEN = "0000000000000003"
TAR = Path("images", "train", "images_000.tar")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Params) -> Path:
    """The data folder of a small world with one image that is not a JPEG."""
    monkeypatch.chdir(tmp_path)
    make_world(settings.data, per_split={"train": 4, "index": 2, "test": 2}, broken=BROKEN)
    return settings.data


def kept(data: Path, path: Path) -> Survey | None:
    """What the cache at `path` holds of the train images as they are now."""
    with open_release(data) as dataset:
        return SurveyCache.of(dataset.train, path).read()


def keep(data: Path, path: Path) -> Survey:
    """Survey the train images and keep the result at `path`."""
    with open_release(data) as dataset:
        found = survey(dataset.train, range(len(dataset.train)), 1)
        SurveyCache.of(dataset.train, path).write(found)
    return found


def test_survey_in_parts_is_the_survey_of_the_whole(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_release(small) as dataset:
        whole = survey(dataset.train, range(20), 2)
        parts = [survey(dataset.train, range(start, 20, 3), 1) for start in (2, 0, 1)]
        monkeypatch.setattr(readable, "CHUNK", 7)
        assert sum(parts, Survey()) == survey(dataset.train, range(20), 1) == whole
    assert list(whole.broken) == [3] and whole.broken[3].startswith(f"image {BROKEN}: not a readable picture")


CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda data: None,
    "a byte of a tar": lambda data: _flip(data / TAR, 700),
    "a tar copied over it": lambda data: (data / TAR).write_bytes((data / TAR).read_bytes()),
    "a checksum in tars.csv": lambda data: write_text("tar,bytes,sha256\n", data / "images" / "tars.csv"),
    "other images": lambda data: _shorten(data / "release" / "train.parquet"),
}


def _flip(path: Path, place: int) -> None:
    with path.open("r+b") as handle:
        handle.seek(place)
        byte = handle.read(1)[0]
        handle.seek(place)
        handle.write(bytes([byte ^ 1]))


def _shorten(path: Path) -> None:
    import pandas as pd

    pd.read_parquet(path).iloc[1:].to_parquet(path)


@pytest.mark.parametrize("change", CHANGES)
def test_survey_is_kept_until_an_image_may_have_changed(small: Path, tmp_path: Path, change: str) -> None:
    path = tmp_path / "train.json"
    found = keep(small, path)
    CHANGES[change](small)
    assert kept(small, path) == (found if change == "nothing" else None)


def test_survey_of_another_decoder_is_not_used(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "train.json"
    keep(small, path)
    monkeypatch.setattr("hgld.benchmarks.datasets.survey_cache.DECODER", ["upright", tar_images.MAX_SCANS + 1])
    assert kept(small, path) is None


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '{"broken": [], "digest": 3}', "[" * 100_000, "\0"])
def test_damaged_cache_is_not_used(small: Path, tmp_path: Path, text: str) -> None:
    write_text(text, tmp_path / "train.json")
    assert kept(small, tmp_path / "train.json") is None


def test_no_changed_entry_of_the_cache_is_believed(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    keep(small, path)
    whole = json.loads(path.read_text(encoding="utf-8"))
    for change in ({"broken": {}}, {"broken": {"4": "x"}}, {"digest": "0"}, {"key": "0"}, {"more": 1}):
        write_text(json.dumps({**whole, **change}), path)
        assert kept(small, path) is None


def test_place_that_cannot_be_written_only_costs_time(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "train.json"
    keep(small, path)
    assert "all images are checked again the next time" in capsys.readouterr().out
    assert kept(small, path) is None


def test_images_without_a_fingerprint_are_surveyed_each_time(tmp_path: Path) -> None:
    cache = SurveyCache.of(ColouredImages("train", 3), tmp_path / "train.json")
    cache.write(Survey({}, 5))
    assert cache.read() is None and not (tmp_path / "train.json").exists()


def test_queries_and_gallery_are_decoded_once_for_several_benchmarks(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left() -> list[list[str]]:
        with open_release(small) as release:
            dataset = readable.readable_roles(release, limit=0.0, threads=1, cache=tmp_path / "cache")
            return [list(dataset.query.ids), list(dataset.gallery.ids)]

    first = left()
    monkeypatch.setattr(readable, "survey", lambda *_: pytest.fail("decoded again"))
    assert left() == first


def test_missing_tar_is_an_error_although_the_survey_is_kept(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    keep(small, path)
    (small / TAR).unlink()
    with pytest.raises(HgldError, match="run the images stage"):
        kept(small, path)


def test_without_a_broken_query_every_column_of_the_others_stays_in_its_row(world: Params) -> None:
    add_places(world.data)
    with open_release(world.data) as dataset:
        kept = readable.without_broken(dataset, {1: "not a JPEG"}, {}, limit=0.5)
        assert len(kept.query) == len(dataset.query) - 1 == len(kept.continents)
        assert kept.continents == [PLACES[name][1] for name in kept.query_columns["category"]]
