"""Synthetic metadata in GLDv2's file formats, with as many images and landmarks and a similar long tail."""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pacsv

from hgld.hierarchy.names.name_words import load_name_words
from hgld.hierarchy.taxonomy import commons_category

LICENSES = ("https://creativecommons.org/licenses/by/3.0/", "https://creativecommons.org/licenses/by-sa/4.0/")


@dataclass(frozen=True)
class Size:
    """Numbers of images and landmarks."""

    train: int = 4_132_914
    index: int = 761_757
    test: int = 117_577
    train_landmarks: int = 203_094
    index_landmarks: int = 101_302

    def scaled(self, fraction: float) -> "Size":
        """A fraction of this size, and at least 40 of everything."""
        return Size(*(max(int(number * fraction), 40) for number in self.__dict__.values()))


def category(number: int) -> str:
    """The Commons category of landmark `number`: a word for its kind and a place, as in real ones."""
    kind, place = _kinds()[_mixed(number) % len(_kinds())][0], _place(number)
    forms = (
        "{kind} {place}",
        "{place} {kind}",
        '{kind} "{place}"',
        "{kind} of {place}, Y",
        "{kind} Saint-Rémy ({place})",
    )
    name = forms[number % len(forms)].format(kind=kind, place=place)
    return name[0].upper() + name[1:]


def label(number: int) -> str:
    """The label that the word for the kind is evidence for."""
    return _kinds()[_mixed(number) % len(_kinds())][1]


@cache
def _kinds() -> list[tuple[str, str]]:
    """Words of many languages for one kind of place, with its label."""
    words = load_name_words().words
    return sorted((" ".join(word), labels[0]) for word, labels in words.items() if len(labels) == 1)


def _mixed(number: int) -> int:
    return number * 0x9E3779B1 % 2**32 >> 7


def _place(number: int) -> str:
    """A name of its own for each of a million numbers."""
    digits = [number // 100**power % 100 for power in range(3)]
    return "".join("bcdfghklmnprstvwxyzj"[digit % 20] + "aeiou"[digit // 20] for digit in digits).capitalize()


def category_url(number: int) -> str:
    """The category's URL as GLDv2 writes it."""
    return commons_category.category_url(category(number))


def write(folder: Path, size: Size = Size(), seed: int = 0) -> None:
    """Write `folder`/metadata/*.csv and their md5sum files."""
    rng = np.random.default_rng(seed)
    (folder / "metadata").mkdir(parents=True)
    train, index, test = (image_ids(split, count) for split, count in enumerate((size.train, size.index, size.test)))
    shown = image_landmarks(rng, size.train, size.train_landmarks)
    _write_train(folder / "metadata", train, shown, rng)
    index_landmarks = image_landmarks(rng, size.index, size.index_landmarks)
    _csv(folder, "index.csv", {"id": index})
    _csv(folder, "index_image_to_landmark.csv", {"id": index, "landmark_id": _text(index_landmarks)})
    _csv(folder, "test.csv", {"id": test})
    # half of the index landmarks are also train landmarks, with another id
    for split, count, shift in (("train", size.train_landmarks, 0),
                                ("index", size.index_landmarks, size.train_landmarks // 2)):  # fmt: skip
        _labels(folder / "metadata", split, count, shift)
    _solutions(folder / "metadata", test, index, rng)
    for path in sorted((folder / "metadata").iterdir()):
        listing = folder / "md5sum" / "metadata" / f"md5.{path.name}.txt"
        listing.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as handle:
            listing.write_text(f"{hashlib.file_digest(handle, 'md5').hexdigest()}  {path.name}\n")


def image_ids(split: int, count: int) -> pa.Array:
    """Unique ids like GLDv2's: 16 hex digits, sorted."""
    numbers = np.arange(count, dtype=np.uint64) * np.uint64(4) + np.uint64(split)
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15)  # odd, so a bijection
    mixed ^= mixed >> np.uint64(32)
    digits = np.frombuffer(mixed.astype(">u8").tobytes().hex().encode(), dtype="S16")
    return pa.array(np.sort(digits).astype("U16")) if count < 1000 else pc.cast(pa.array(np.sort(digits)), pa.string())


def image_landmarks(rng: np.random.Generator, images: int, landmarks: int) -> np.ndarray:
    """A landmark for each image: every landmark has at least one image, a few have thousands."""
    weight = 1.0 / np.arange(1, landmarks + 1) ** 0.75
    rest = rng.choice(landmarks, size=images - landmarks, p=weight / weight.sum())
    chosen = np.concatenate([np.arange(landmarks), rest])
    shown: np.ndarray = rng.permutation(landmarks)[rng.permutation(chosen)]
    return shown


def _text(numbers: np.ndarray) -> pa.Array:
    return pc.cast(pa.array(numbers.astype(np.int64)), pa.string())


def _csv(folder: Path, name: str, columns: dict[str, pa.Array]) -> None:
    with (folder / "metadata" / name).open("wb") as handle:
        handle.write((",".join(columns) + "\n").encode())
        pacsv.write_csv(pa.table(columns), handle, pacsv.WriteOptions(include_header=False, quoting_style="needed"))


def _write_train(folder: Path, ids: pa.Array, shown: np.ndarray, rng: np.random.Generator) -> None:
    numbers = _text(np.arange(len(ids)))
    middle = pc.utf8_slice_codeunits(ids, 0, 2)
    url = pc.binary_join_element_wise(
        "https://upload.wikimedia.org/wikipedia/commons/", middle,
        "/A_photograph_of_a_place,_taken_in_summer_", numbers, ".jpg", "",
    )  # fmt: skip
    _csv(folder.parent, "train.csv", {"id": ids, "url": url, "landmark_id": _text(shown)})
    author = pc.binary_join_element_wise(
        '<a href="//commons.wikimedia.org/wiki/User:Someone">Some "One", ', numbers, "</a>", ""
    )
    title = pc.binary_join_element_wise("File:A photograph of a place, taken in summer ", numbers, ".jpg", "")
    licenses = pa.array(LICENSES).take(pa.array(np.arange(len(ids)) % 2))
    _csv(folder.parent, "train_attribution.csv",
         {"id": ids, "url": url, "author": author, "license": licenses, "title": title})  # fmt: skip
    clean = rng.random(len(ids)) < 1_580_470 / 4_132_914
    order = np.argsort(shown[clean], kind="stable")
    landmarks, starts = np.unique(shown[clean][order], return_index=True)
    names = ids.filter(pa.array(clean)).take(pa.array(order)).to_pylist()
    ends = [*starts[1:], len(names)]
    with (folder / "train_clean.csv").open("w", encoding="utf-8") as handle:
        handle.write("landmark_id,images\n")
        for landmark, start, end in zip(landmarks, starts, ends, strict=True):
            handle.write(f"{landmark},{' '.join(names[start:end])}\n")


def _labels(folder: Path, split: str, count: int, shift: int) -> None:
    header = ["landmark_id", "category", "supercategory", "hierarchical_label", "natural_or_human_made"]
    with (
        (folder / f"{split}_label_to_category.csv").open("w", encoding="utf-8", newline="") as short,
        (folder / f"{split}_label_to_hierarchical.csv").open("w", encoding="utf-8", newline="") as long,
    ):
        writers = csv.writer(short, lineterminator="\n"), csv.writer(long, lineterminator="\n")
        writers[0].writerow(header[:2])
        writers[1].writerow(header)
        for number, row in enumerate(_label_rows(count, shift)):
            writers[0].writerow([number, row[0]])
            writers[1].writerow([number, *row])


def _label_rows(count: int, shift: int) -> Iterator[tuple[str, str, str, str]]:
    for number in range(count):
        labels = ("cathedral", "church", "human-made") if number % 9 < 5 else ("", "", "")
        yield category_url(number + shift), *labels


def _solutions(folder: Path, test: pa.Array, index: pa.Array, rng: np.random.Generator) -> None:
    shown = set(rng.choice(len(test), size=max(len(test) * 1129 // 117_577, 1), replace=False).tolist())
    answers = index.to_pylist()
    with (
        (folder / "retrieval_solution_v2.1.csv").open("w", encoding="utf-8") as retrieval,
        (folder / "recognition_solution_v2.1.csv").open("w", encoding="utf-8") as recognition,
    ):
        retrieval.write("id,images,Usage\n")
        recognition.write("id,landmarks,Usage\n")
        for row, image in enumerate(test.to_pylist()):
            usage = ("Public", "Private")[row % 3 > 0] if row in shown else "Ignored"
            images = " ".join(answers[row % len(answers) : row % len(answers) + 20]) if row in shown else "None"
            retrieval.write(f"{image},{images},{usage}\n")
            recognition.write(f"{image},{row % 40 if row in shown else ''},{usage}\n")
