"""Images that show the same picture are found across splits and landmarks: on drawings, and on real photographs."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from hgld.cli import main
from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv, write_parquet
from hgld.foundation.tar_images import ImageTars
from hgld.pipeline.acquisition.tar_index import scan_tar
from hgld.pipeline.overlap.overlap import COLUMNS, MOST_ALIKE, overlap
from tests.paths import SHARED

GROCERY = SHARED / "grocery" / "grocery_store_112px.zip"


def _picture(seed: int, side: int = 96) -> Image.Image:
    """Blots at random places: a picture like no other."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    canvas = np.zeros((side, side, 3))
    for _ in range(12):
        blot = np.exp(-((x - rng.random()) ** 2 + (y - rng.random()) ** 2) / rng.uniform(0.002, 0.03))
        canvas += blot[..., None] * rng.uniform(-1, 1, 3)
    spread = np.ptp(canvas)
    return Image.fromarray(np.uint8((canvas - canvas.min()) / spread * 255))


def _jpeg(image: Image.Image, quality: int = 90, scale: float = 1.0) -> bytes:
    stream = io.BytesIO()
    image.resize((round(image.width * scale), round(image.height * scale))).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


class Scene:
    """Images in a tar, and the tables of a release that names them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows, self.files = folder, list[tuple[str, str, str, str]](), dict[str, bytes]()

    def add(self, number: int, split: str, category: str, label: str, content: bytes) -> str:
        name = f"{number:016x}"
        self.rows.append((name, split, category, label))
        self.files[name] = content
        return name

    def write(self) -> tuple[Path, Path]:
        images, release = self.folder / "images", self.folder / "release"
        tar = images / "train" / "images_000.tar"
        tar.parent.mkdir(parents=True)
        with tarfile.open(tar, "w") as archive:
            for name, content in self.files.items():
                member = tarfile.TarInfo(f"{name[0]}/{name[1]}/{name[2]}/{name}.jpg")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        write_parquet(scan_tar(tar, "train").images, images / "images.parquet")
        table = pd.DataFrame(self.rows, columns=["image_id", "split", "category", "hierarchical_label"])
        for split in ("train", "index", "test"):
            rows = table[table["split"] == split].drop(columns="split")
            write_parquet(rows.astype("str"), release / f"{split}.parquet")
        return images, release

    def run(self, **more: int) -> tuple[list[str], pd.DataFrame]:
        images, release = self.write()
        out = self.folder / "pairs.csv"
        lines = overlap(release, images, out, self.folder / "cache", **more)
        return lines, read_csv(out, COLUMNS)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    for number in range(30):
        made.add(number, ("train", "index", "test")[number % 3], f"Place {number}", "lake", _jpeg(_picture(number)))
    return made


def test_pictures_that_differ_are_no_pair(scene: Scene) -> None:
    lines, pairs = scene.run()
    assert pairs.empty
    assert lines[0] == "images compared: 10 train, 10 index, 10 test"


def test_a_copy_in_another_split_is_found_with_both_landmarks(scene: Scene) -> None:
    """Scaled and compressed again; the split that comes first is named first, whatever the ids."""
    copy = scene.add(100, "train", "Elsewhere", "church", _jpeg(_picture(2), quality=70, scale=0.75))
    same = scene.add(101, "index", "Place 5", "lake", _jpeg(_picture(5), quality=70))
    lines, pairs = scene.run()
    found = pairs.drop(columns="distance").to_numpy().tolist()
    assert found == [
        [copy, "train", "Elsewhere", "church", f"{2:016x}", "test", "Place 2", "lake"],
        [same, "index", "Place 5", "lake", f"{5:016x}", "test", "Place 5", "lake"],
    ]
    assert pairs["distance"].astype(int).max() <= 3
    (row,) = [line.split() for line in lines if line.split()[:2] == ["train", "test"]]
    assert row[2:] == ["1", "1", "10.00", "%", "1", "1"]
    (row,) = [line.split() for line in lines if line.split()[:2] == ["index", "test"]]
    assert row[2:] == ["1", "1", "10.00", "%", "0", "0"]


def test_within_a_split_only_pairs_of_two_landmarks_count(scene: Scene) -> None:
    scene.add(100, "train", "Place 0", "lake", _jpeg(_picture(0), quality=70))
    strange = scene.add(101, "train", "Elsewhere", "lake", _jpeg(_picture(3), quality=70))
    scene.add(102, "test", "", "", _jpeg(_picture(5), quality=70))  # no landmark is known: no contradiction
    lines, pairs = scene.run()
    assert pairs[["image_id", "other_image_id"]].to_numpy().tolist() == [[f"{3:016x}", strange]]
    (row,) = [line.split() for line in lines if line.split()[:2] == ["train", "train"]]
    assert row[-2:] == ["1", "0"]


def test_distance_0_is_the_same_hash(scene: Scene) -> None:
    copy = scene.add(100, "index", "Place 0", "lake", _jpeg(_picture(0)))
    _, pairs = scene.run(distance=0)
    assert pairs[["image_id", "other_image_id", "distance"]].to_numpy().tolist() == [[f"{0:016x}", copy, "0"]]


def test_a_hash_that_very_many_share_is_left_out_and_counted(scene: Scene) -> None:
    for number in range(MOST_ALIKE + 1):
        scene.add(
            200 + number, ("train", "index")[number % 2], f"Grey {number}", "lake", _jpeg(Image.new("RGB", (64, 64)))
        )
    lines, pairs = scene.run()
    assert pairs.empty
    assert lines[-2] == f"{MOST_ALIKE + 1} images were left out: more than {MOST_ALIKE} have the same hash"


def test_images_that_are_not_here_or_cannot_be_read_are_counted(scene: Scene) -> None:
    scene.add(100, "train", "Elsewhere", "lake", b"no picture")
    scene.rows.append((f"{300:016x}", "test", "Gone", "lake"))
    lines, pairs = scene.run()
    assert pairs.empty
    assert "1 images of the release are in no tar here, and were not compared" in lines
    (line,) = [line for line in lines if "cannot be read" in line]
    assert line.startswith(f"1 images cannot be read, such as image {100:016x}: not a readable picture")


def test_without_any_image_the_line_says_what_to_do(scene: Scene) -> None:
    scene.files = {f"{900:016x}": _jpeg(_picture(900))}
    with pytest.raises(HgldError, match=r"none of the release's images is in the tars; `images` in params\.yaml"):
        scene.run()


def test_hashes_are_computed_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    images, release = scene.write()
    out, cache = scene.folder / "pairs.csv", scene.folder / "cache"
    first = overlap(release, images, out, cache)
    monkeypatch.setattr(ImageTars, "image", lambda *_: pytest.fail("an image was decoded again"))
    assert overlap(release, images, out, cache) == first


def test_the_command_without_the_library_says_what_to_install(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    images, release = scene.write()
    monkeypatch.chdir(Path(__file__).parents[3])
    monkeypatch.setitem(__import__("sys").modules, "imagehash", None)
    words = ["overlap", str(release), "--images", str(images), "--out", str(scene.folder / "out.csv")]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, result.output) == (
        1, "Error: perceptual hashes need the library imagehash; run: pip install 'hgld[overlap]'\n",
    )  # fmt: skip


@pytest.mark.skipif(not GROCERY.exists(), reason=f"no {GROCERY}")
def test_copies_of_real_photographs_are_found_and_others_are_not(tmp_path: Path) -> None:
    """Of 300 photographs: 95 % of the smaller, recompressed and brighter copies; at most 1 pair in 10,000 by chance."""
    scene = Scene(tmp_path)
    with zipfile.ZipFile(GROCERY) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[::17][:300]
        for number, name in enumerate(names):
            content = archive.read(name)
            scene.add(number, "train", name, name.split("/")[-2], content)
            image = Image.open(io.BytesIO(content)).convert("RGB")
            bright = image.point(lambda value: min(255, round(value * 1.1)))
            scene.add(1000 + number, "index", name, name.split("/")[-2], _jpeg(bright, quality=60, scale=0.75))
    _, pairs = scene.run()
    copies = pairs["category"] == pairs["other_category"]
    assert copies.sum() >= 0.95 * len(names)
    assert (~copies).sum() <= len(names) ** 2 * 2 / 10_000
