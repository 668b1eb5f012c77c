"""What each kind of evidence says of the categories that need a label: class names, the name, the images."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.files import read_json
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet
from hgld.hierarchy.fusion.calibration import Floats
from hgld.hierarchy.fusion.proposals import Floats as Vectors
from hgld.hierarchy.fusion.proposals import label_vectors, mean_probabilities
from hgld.hierarchy.fusion.voting_baselines import neighbour_votes, prompt_votes, vote_shares
from hgld.hierarchy.names.class_evidence import by_category, class_probabilities, class_table, onto
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.name_classifier import Lexicon, fit, fit_held_out
from hgld.hierarchy.names.name_rules import ClassReader, class_reader
from hgld.hierarchy.names.name_words import load_name_words
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy


@dataclass(frozen=True)
class Pictures:
    """The image vectors with their categories (in the order of image ids), and one vector for each label."""

    images: Vectors
    categories: list[str]
    labels: list[str]
    vectors: Floats
    model: str

    def first(self, most: int) -> "Pictures":
        """The same with at most `most` images of each category, the first by id."""
        kept = np.flatnonzero(pd.Series(self.categories).groupby(self.categories).cumcount() < most)
        names = [self.categories[place] for place in kept]
        return Pictures(self.images[kept], names, self.labels, self.vectors, self.model)


def read_pictures(folder: Path) -> Pictures:
    """What the stage `embed` wrote. Raises HgldError when vectors do not fit their tables."""
    images, rows = _vectors(folder, "images")
    prompts, texts = _vectors(folder, "prompts")
    model = read_json(folder / "summary.json").get("model")
    if not isinstance(model, str):
        raise HgldError(f"{folder / 'summary.json'}: names no model; run: dvc repro embed")
    names, vectors = label_vectors(prompts, list(texts["hierarchical_label"]))
    return Pictures(images, [str(one) for one in rows["category"]], names, vectors, model)


def _vectors(
    folder: Path, name: str
) -> tuple["np.ndarray[tuple[int, int], np.dtype[np.float32]]", pd.DataFrame]:
    rows = read_parquet(folder / f"{name}.parquet")
    try:
        vectors = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise HgldError(
            f"{folder / name}.npy: not an array of vectors ({error}); run: dvc repro embed"
        ) from None
    if vectors.ndim != 2 or len(vectors) != len(rows):
        raise HgldError(
            f"{folder / name}.npy: {vectors.shape} vectors for {len(rows)} rows; run: dvc repro embed"
        )
    return vectors, rows


def of_images(pictures: Pictures, categories: list[str], temperature: float) -> Floats:
    """(C, L) CLIP zero-shot: the mean over a category's images of softmax(similarity / temperature)."""
    found = mean_probabilities(pictures.images, pictures.categories, pictures.vectors, temperature)
    return spread(found[0], found[1], categories)


def of_votes(
    pictures: Pictures, categories: list[str], known: dict[str, int], method: str, neighbours: int
) -> Floats:
    """(C, L) the shares of the votes of a category's images: the published methods `clip` and `knn`."""
    if method == "clip":
        votes = prompt_votes(pictures.images, pictures.vectors)
    else:
        own = np.array([known.get(name, -1) for name in pictures.categories], dtype=np.int64)
        votes = neighbour_votes(pictures.images, pictures.categories, own, len(pictures.labels), neighbours)
    found = vote_shares(votes, pictures.categories, len(pictures.labels))
    return spread(found[0], found[1], categories)


def spread(names: list[str], found: Floats, categories: list[str]) -> Floats:
    """The rows of `found` (of `names`) in the order of `categories`; uniform where there is none."""
    places = {name: place for place, name in enumerate(names)}
    told = np.full((len(categories), found.shape[1]), 1 / found.shape[1])
    for row, category in enumerate(categories):
        if category in places:
            told[row] = found[places[category]]
    return told


def lexicon(taxonomy: Path) -> Lexicon:
    """The curated words, read with the taxonomy."""
    return Lexicon(class_reader(load_class_names(), load_taxonomy(taxonomy)), load_name_words())


def of_names(categories: list[str], known: "pd.Series[str]", labels: list[str], words: Lexicon) -> Floats:
    """(C, L) the model of names; of a known category, a model that has not seen it.

    known: category → label from Wikidata, which the model is trained on.
    """
    model, held_out = fit_held_out(list(known.index), known.tolist(), words)
    told = np.zeros((len(categories), len(model.labels)))
    unseen = [row for row, category in enumerate(categories) if category not in held_out]
    told[unseen] = model.probabilities([categories[row] for row in unseen])
    for row, category in enumerate(categories):
        if category in held_out:
            told[row] = held_out[category]
    return onto(told, model.labels, labels)


def of_classes(
    params: Params, categories: list[str], labels: list[str], words: Lexicon
) -> tuple[Floats, pd.DataFrame]:
    """(C, L) what the names of a category's classes say, and the proposals for the classes that no path decides.

    The classes of a category that Wikidata labels are read by their name too, as if they had no path: that measures
    the evidence. Anchors are left out there: their names are what the lexicons know best, and a class without a path
    is never one.
    """
    items = read_parquet(params.data / "build" / "labels.parquet", ["category", "qid", "hierarchical_label"])
    stated = read_parquet(params.data / "wikidata" / "item_classes.parquet")
    names = read_parquet(params.data / "wikidata" / "class_labels.parquet")
    taxonomy = load_taxonomy(Path(params.build.taxonomy))
    of_item: dict[str, list[str]] = defaultdict(list)
    for qid, one in zip(stated["qid"], stated["class"], strict=True):
        if one not in taxonomy.ignored and one not in taxonomy.anchors:
            of_item[str(qid)].append(str(one))
    classes = {
        str(row[0]): of_item.get(str(row[1]), [])
        for row in items[["category", "qid"]].itertuples(index=False)
    }
    spelled = dict(zip(names["qid"], names["label"], strict=True))
    used = sorted({one for own in classes.values() for one in own}, key=lambda qid: int(qid[1:]))
    text = [str(spelled.get(one, "")) for one in used]
    blind = ClassReader(words.reader.names, {}, words.reader.closed)
    found, evidence = class_probabilities(text, labels, blind, lambda: fit([], [], words))
    told = {qid: row for qid, row in zip(used, found, strict=True) if np.ptp(row) > 1e-9}
    open_ = items.loc[items["hierarchical_label"] == "", "category"]
    counts: dict[str, int] = defaultdict(int)
    for category in open_:
        for one in set(classes[category]):
            counts[one] += 1
    rows = [place for place, one in enumerate(used) if one in counts]
    proposals = class_table([used[at] for at in rows], [text[at] for at in rows], found[rows],
                            [evidence[at] for at in rows], labels, counts)  # fmt: skip
    return by_category(categories, classes, told, len(labels)), proposals
