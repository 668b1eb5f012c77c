"""Published datasets in miniature: a few pictures in the exact official layout, made on the spot."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat


def picture(path: Path, colour: Sequence[int] = (90, 120, 60), size: tuple[int, int] = (24, 18)) -> None:
    """A small noisy picture; the file's name seeds the noise, so that no two files are equal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(str(path.name).encode())).normal(0, 20, size=(size[1], size[0], 3))
    Image.fromarray((np.array(colour) + noise).clip(0, 255).astype("uint8")).save(path)


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def online_products(root: Path) -> Path:
    """4 products in 2 categories, 2 of them to train; numbers are not padded, so that "10" is not after "9" as text."""
    folder = root / "Stanford_Online_Products"
    number = 0
    for role, products in (("train", (("9", "1", "bicycle"), ("10", "2", "chair"))),
                           ("test", (("11", "1", "bicycle"), ("12", "2", "chair")))):  # fmt: skip
        lines = ["image_id class_id super_class_id path"]
        for product, category, name in products:
            for view in range(2):
                number += 1
                path = f"{name}_final/1110851228{product}_{view}.JPG"
                picture(folder / path)
                lines.append(f"{number} {product} {category} {path}")
        write(folder / f"Ebay_{role}.txt", *lines)
    return folder


def birds(root: Path) -> Path:
    """4 species with 2 images each."""
    folder = root / "CUB_200_2011"
    names = ["001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross", "004.Groove_billed_Ani"]
    images, labels, split = [], [], []
    for number, name in enumerate(names, 1):
        for view in range(2):
            image = len(images) + 1
            path = f"{name}/{name[4:]}_{view:04}_{image}.jpg"
            picture(folder / "images" / path)
            images.append(f"{image} {path}")
            labels.append(f"{image} {number}")
            split.append(f"{image} {1 - view}")
    write(folder / "images.txt", *images)
    write(folder / "image_class_labels.txt", *labels)
    write(folder / "train_test_split.txt", *split)
    write(folder / "classes.txt", *(f"{number} {name}" for number, name in enumerate(names, 1)))
    return folder


CARS = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Acura TL Sedan 2012", "Acura TL Type-S 2008"]


def cars(root: Path) -> Path:
    """4 models with 2 images each, in the single file cars_annos.mat."""
    folder = root / "cars"
    kind = [(name, "O") for name in
            ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")]  # fmt: skip
    rows = []
    for number in range(8):
        path = f"car_ims/{number + 1:06}.jpg"
        picture(folder / path)
        rows.append((path, 1, 1, 20, 15, number // 2 + 1, number % 2))
    annotations = np.array([rows], dtype=kind)
    savemat(folder / "cars_annos.mat", {"annotations": annotations, "class_names": np.array([CARS], dtype=object)})
    return folder


def cars_devkit(root: Path) -> Path:
    """The same in the layout of the devkit, where train and test images have the same names."""
    folder = root / "stanford_cars"
    kind = [(name, "O") for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
    (folder / "devkit").mkdir(parents=True)
    for role, file in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        rows = []
        for number in range(4):
            name = f"{number + 1:05}.jpg"
            picture(folder / f"cars_{role}" / name)
            rows.append((1, 1, 20, 15, number + 1, name))
        savemat(folder / file, {"annotations": np.array([rows], dtype=kind)})
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": np.array([CARS], dtype=object)})
    return folder


def in_shop(root: Path) -> Path:
    """2 items to train and 2 to test, each of these with a query and a gallery image."""
    folder = root / "inshop"
    lines = []
    for item, roles in ((1, "train train"), (2, "train train"), (7, "query gallery"), (8, "query gallery")):
        for view, role in enumerate(roles.split()):
            path = f"img/WOMEN/Dresses/id_{item:08}/0{view + 1}_1_front.jpg"
            picture(folder / "Img" / path)
            lines.append(f"{path}            id_{item:08} {role}")
    header = "image_name item_id evaluation_status"
    write(folder / "Eval" / "list_eval_partition.txt", str(len(lines)), header, *lines)
    return folder


RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")
SPECIES = [  # two genera of one name, of a plant and of a bird
    ("Oenanthe oenanthe", "Aves", "Animalia Chordata Aves Passeriformes Muscicapidae Oenanthe"),
    ("Oenanthe hispanica", "Aves", "Animalia Chordata Aves Passeriformes Muscicapidae Oenanthe"),
    ("Oenanthe crocata", "Plantae", "Plantae Tracheophyta Magnoliopsida Apiales Apiaceae Oenanthe"),
    ("Daucus carota", "Plantae", "Plantae Tracheophyta Magnoliopsida Apiales Apiaceae Daucus"),
]


def inaturalist(root: Path, *, named: bool = True, by_class: bool = True) -> Path:
    """4 species; named: with categories.json; by_class: with the lists of the papers on retrieval."""
    folder = root / "inat"
    categories = [
        {"id": number, "name": name, "supercategory": supercategory, **dict(zip(RANKS, ranks.split(), strict=True))}
        for number, (name, supercategory, ranks) in enumerate(SPECIES)
    ]
    hidden = [{**{key: row[key] for key in ("id", "supercategory")}, "name": str(row["id"])} for row in categories]
    lists: dict[str, list[str]] = {"train": [], "test": []}
    image = 0
    for year_file in ("train2018", "val2018"):
        images, annotations = [], []
        for row in categories:
            for _ in range(2):
                image += 1
                path = f"train_val2018/{row['supercategory']}/{row['id']}/{image:032x}.jpg"
                picture(folder / path)
                images.append({"id": image, "file_name": path, "width": 24, "height": 18})
                annotations.append({"id": image, "image_id": image, "category_id": row["id"]})
                lists["train" if row["id"] in (0, 2) else "test"].append(path)
        content = {"info": {}, "images": images, "annotations": annotations, "categories": hidden, "licenses": []}
        write(folder / f"{year_file}.json", json.dumps(content))
    if named:
        write(folder / "categories.json", json.dumps(categories))
    if by_class:
        for role, paths in lists.items():
            write(folder / "Inat_dataset_splits" / f"Inaturalist_{role}_set1.txt", *paths)
    return folder


def _dyml_train(folder: Path, part: str, rows: Sequence[tuple[int, int, int]]) -> None:
    """A list whose first row stands in the line of the header, as in the published files."""
    lines = []
    for number, (coarse, middle, fine) in enumerate(rows):
        picture(folder / part / "imgs" / f"{number}.jpg")
        lines.append(f"{number}.jpg, {coarse}, {middle}, {fine}")
    write(folder / part / "label.csv", f"fname, coarse_id, middle_id, fine_id{lines[0]}", *lines[1:])


TREE = [(0, 0, 0), (0, 0, 0), (0, 0, 1), (0, 0, 1), (1, 2, 2), (1, 2, 2)]


def dyml_animal(root: Path) -> Path:
    """One benchmark per level; the first query of each is in the gallery too, under another name."""
    folder = root / "dyml_animal"
    _dyml_train(folder, "train", TREE)
    for shift, level in enumerate(("fine", "middle", "coarse")):
        for role, count in (("query", 2), ("gallery", 4)):
            lines = []
            for number in range(count):
                path = folder / f"bmk_{level}" / role / f"{number}.jpg"
                picture(path, colour=(40 * number, 90 + shift, 200 if role == "query" else 20))
                lines.append(f"{number}.jpg, {number % 2}")
            write(folder / f"bmk_{level}" / f"{role}.csv", f"fname, labels{lines[0]}", *lines[1:])
        copy = (folder / f"bmk_{level}" / "query" / "0.jpg").read_bytes()
        (folder / f"bmk_{level}" / "gallery" / "2.jpg").write_bytes(copy)
    return folder


def dyml_product(root: Path) -> Path:
    folder = root / "dyml_product"
    _dyml_train(folder, "train", TREE)
    _dyml_train(folder, "mini-bmk_all_in_one", [(0, 0, 10), (0, 0, 10), (1, 2, 12), (1, 2, 12)])
    return folder


def sfm(root: Path) -> Path:
    folder = root / "retrieval-SfM-120k"
    parts = {}
    for role, count in (("train", 4), ("val", 2)):
        cids = [f"{role}{number}".encode().hex().rjust(32, "0") for number in range(count)]
        for cid in cids:
            path = folder / "ims" / cid[-2:] / cid[-4:-2] / cid[-6:-4] / cid
            picture(path.with_suffix(".jpg"))
            path.with_suffix(".jpg").rename(path)  # the files have no suffix
        cluster = [number // 2 for number in range(count)]
        parts[role] = {"cids": cids, "cluster": cluster, "qidxs": [0], "pidxs": [1]}
    (folder / "retrieval-SfM-120k.pkl").write_bytes(pickle.dumps(parts))
    return folder


def revisited_oxford(root: Path) -> Path:
    """3 queries: the first two share a positive, so that they are one landmark; image 3 is a distractor."""
    folder = root / "roxford5k"
    imlist = ["ashmolean_000000", "oxford_000001", "keble_000002", "oxford_000003"]
    qimlist = ["ashmolean_000058", "oxford_002416", "keble_000028"]
    boxes = [[4.0, 2.0, 20.0, 14.0], [0.0, 0.0, 12.0, 9.0], [1.5, 1.5, 9.5, 9.5]]
    positives = [([0], [1], []), ([1], [], [2]), ([2], [], [0])]
    for name in (*imlist, *qimlist):
        picture(folder / "jpg" / f"{name}.jpg")
    gnd = [
        {"bbx": box, "easy": np.array(easy), "hard": np.array(hard, int), "junk": np.array(junk, int)}
        for box, (easy, hard, junk) in zip(boxes, positives, strict=True)
    ]
    content = {"gnd": gnd, "imlist": imlist, "qimlist": qimlist}
    (folder / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(content))
    return folder


def groceries(root: Path) -> Path:
    """Apple is divided into two fine classes, Kiwi is not."""
    folder = root / "dataset"
    classes = {"Fruit/Apple/Pink-Lady": "0, 0", "Fruit/Apple/Royal-Gala": "1, 0", "Fruit/Kiwi": "2, 1"}
    for role in ("train", "val", "test"):
        lines = []
        for place, numbers in classes.items():
            for view in range(2):
                path = f"{role}/{place}/{place.rpartition('/')[2]}_{view:03}.jpg"
                picture(folder / path)
                lines.append(f"{path}, {numbers}")
        write(folder / f"{role}.txt", *lines)
    write(folder / "classes.csv", "Class Name (str),Class ID (int)", "Pink-Lady,0", "Royal-Gala,1", "Kiwi,2")
    return folder


MINIATURES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "sop": ("sop", online_products),
    "cub": ("cub", birds),
    "cars": ("cars", cars),
    "cars devkit": ("cars", cars_devkit),
    "inshop": ("inshop", in_shop),
    "inat2018": ("inat2018", inaturalist),
    "dyml animal": ("dyml", dyml_animal),
    "dyml product": ("dyml", dyml_product),
    "sfm120k": ("sfm120k", sfm),
    "roxford5k": ("roxford5k", revisited_oxford),
    "grocery": ("grocery", groceries),
}
