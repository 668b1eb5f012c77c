"""Stage `draw`: the pictures and metadata of the sample, in GLDv2's files and folders.

The output folder has the layout of Google's server below its base URL: `metadata/*.csv`,
`{train,index,test}/images_000.tar` and `md5sum/`. The pictures are drawings, so the URLs in train.csv are
`drawing:<image id>`.
"""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

import pandas as pd

from hgld.foundation.files import md5, replacing, write_text
from hgld.foundation.tables import write_csv
from hgld.pipeline.sample.draw import draw
from hgld.pipeline.sample.look import seeded
from hgld.pipeline.sample.parallel import in_parallel
from hgld.pipeline.sample.pictures import LandmarkRow, Picture, all_pictures, read_landmarks

SIZE = 96
JPEG_QUALITY = 88
SPLITS = ("train", "index", "test")
IMAGINARY = "https://example.org/drawings"
WITHOUT_ATTRIBUTION = 0.01
LICENSES = (
    "https://creativecommons.org/licenses/by/3.0/",
    "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC BY-SA 3.0 DE",
    "https://creativecommons.org/publicdomain/zero/1.0/",
    "Public domain",
)
"""As GLDv2 and Commons write them; the drawings themselves are CC0."""


def run(sources: Path = Path("sources/sample")) -> None:
    """Draw the landmarks of `sources`/landmarks.csv into `sources`/metadata, atomically.

    Raises HgldError if landmarks.csv is malformed or names a label without a drawing.
    """
    rows = read_landmarks(sources / "landmarks.csv")
    pictures = all_pictures(rows)
    with replacing(sources / "metadata", directory=True) as folder:
        for name, table in metadata(rows, pictures).items():
            write_csv(table, folder / "metadata" / name)
            _publish_md5(folder, Path("metadata") / name)
        files = dict(zip((p.id for p in pictures), in_parallel(jpeg, pictures), strict=True))
        for split in SPLITS:
            names = [p.id for p in pictures if p.split == split]
            _write_tar(folder / split / "images_000.tar", [(name, files[name]) for name in names])
            _publish_md5(folder, Path(split) / "images_000.tar")


def metadata(rows: list[LandmarkRow], pictures: list[Picture]) -> dict[str, pd.DataFrame]:
    """The ten CSVs of GLDv2 that stages and commands read, by file name."""
    by_split = {split: [p for p in pictures if p.split == split] for split in SPLITS}
    return {
        "train.csv": _table(
            ["id", "url", "landmark_id"], ((p.id, f"drawing:{p.id}", _train(p)) for p in by_split["train"])
        ),
        "train_clean.csv": _clean(by_split["train"]),
        "train_attribution.csv": _attribution(by_split["train"]),
        "train_label_to_category.csv": _categories((row.train_id, row.category) for row in rows),
        "index.csv": _table(["id"], ((p.id,) for p in by_split["index"])),
        "index_image_to_landmark.csv": _table(["id", "landmark_id"], ((p.id, _index(p)) for p in by_split["index"])),
        "index_label_to_category.csv": _categories((row.index_id, row.category) for row in rows),
        "test.csv": _table(["id"], ((p.id,) for p in by_split["test"])),
        "retrieval_solution_v2.1.csv": _retrieval(by_split["test"], by_split["index"]),
        "recognition_solution_v2.1.csv": _table(
            ["id", "landmarks", "Usage"], ((p.id, _train(p), _half(p)) for p in by_split["test"])
        ),
    }  # fmt: skip


def _train(picture: Picture) -> str:
    return picture.labelled_as.train_id if picture.labelled_as else ""


def _index(picture: Picture) -> str:
    return picture.labelled_as.index_id if picture.labelled_as else ""


def _half(picture: Picture) -> str:
    return "Public" if picture.public else "Private"


def _table(columns: list[str], rows: Iterable[tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns, dtype="str")


def _categories(rows: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Landmark ids of one split and their categories, in numerical order, as upstream."""
    return _table(["landmark_id", "category"], sorted((row for row in rows if row[0]), key=lambda row: int(row[0])))


def _clean(train: list[Picture]) -> pd.DataFrame:
    """train_clean.csv: a landmark's clean pictures in one cell; landmarks with fewer than two are omitted."""
    kept: dict[str, list[str]] = {}
    for picture in train:
        if picture.clean:
            kept.setdefault(_train(picture), []).append(picture.id)
    rows = [(landmark, " ".join(ids)) for landmark, ids in kept.items() if len(ids) > 1]
    return _table(["landmark_id", "images"], sorted(rows, key=lambda row: int(row[0])))


def _attribution(train: list[Picture]) -> pd.DataFrame:
    """train_attribution.csv: invented authors, as drawings have none, in the forms that there are on Commons.

    A few pictures have no row, and a few rows no author.
    """
    rows = []
    for picture in train:
        r = seeded("attribution", picture.id)
        if r.random() < WITHOUT_ATTRIBUTION:
            continue
        name = f"Invented Author {r.randint(1, 40)}"
        page = f"{IMAGINARY}/author/{name.replace(' ', '_')}"
        author = r.choices([name, f'<a href="{page}" title="User:{name}">{name}</a>', ""], [10, 10, 1])[0]
        shown = unquote(_name(picture)).replace("_", " ")
        title = f'File:"{shown}", view {picture.view}.jpg'
        rows.append((picture.id, f"{IMAGINARY}/{picture.id}", author, r.choice(LICENSES), title))
    return _table(["id", "url", "author", "license", "title"], rows)


def _name(picture: Picture) -> str:
    return picture.labelled_as.category.rpartition("Category:")[2] if picture.labelled_as else picture.shown.category


def _retrieval(test: list[Picture], index: list[Picture]) -> pd.DataFrame:
    """All index pictures of a query's landmark are relevant; a query without a landmark has `None` and `Ignored`."""
    relevant: dict[str, list[str]] = {}
    for picture in index:
        relevant.setdefault(_index(picture), []).append(picture.id)
    rows = [
        (p.id, " ".join(relevant[_index(p)]), _half(p)) if _index(p) else (p.id, "None", "Ignored") for p in test
    ]  # fmt: skip
    return _table(["id", "images", "Usage"], rows)


def jpeg(picture: Picture) -> bytes:
    """The picture, drawn and encoded as JPEG."""
    buffer = io.BytesIO()
    draw(picture.shown, picture.view, SIZE).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def _write_tar(path: Path, files: list[tuple[str, bytes]]) -> None:
    """A tar with members a/b/c/<id>.jpg; fixed owner, time and mode make its bytes reproducible."""
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files:
            member = tarfile.TarInfo(f"{name[0]}/{name[1]}/{name[2]}/{name}.jpg")
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))


def _publish_md5(folder: Path, name: Path) -> None:
    """Write `md5sum/train/md5.images_000.txt` for `train/images_000.tar`, in the format of md5sum(1)."""
    stem = name.stem if name.suffix == ".tar" else name.name
    write_text(f"{md5(folder / name)}  {name.name}\n", folder / "md5sum" / name.parent / f"md5.{stem}.txt")
