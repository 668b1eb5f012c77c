"""Draws review_campaign.svg: how fast the queue of `hgld review` raises the accuracy of labels, in a simulation.

    python -m docs.review_campaign

Two queues from real data (../shared/data). `wikidata`: 23,520 Commons categories with their classes on Wikidata; three
of four classes lose what leads them to a label, as if Wikidata did not say it, and the stages `build`, `refine` and
`queue` run on the rest. `gldv2`: a fifth of the published names, which `hgld classify` labels after training on the
others; no classes are known of them. Three simulated annotators, who are wrong in 5 % of the cases, judge the queue:
in our order or at random, with and without the items that are classes. Of what all three judge (`queue.overlap`, and
every class), disagreement goes to an adjudicator, who is wrong as often. Images per landmark are drawn (log-normal, 20
in the mean).
"""

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hgld.foundation.settings import Params, load_params
from hgld.foundation.tables import write_parquet
from hgld.hierarchy.curation.verdict import CLASS
from hgld.hierarchy.curation.verdicts import load_verdicts
from hgld.hierarchy.fusion.proposals import outcome
from hgld.hierarchy.taxonomy.commons_category import category_url, normalise
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy, load_taxonomy
from hgld.pipeline.dataset.landmark_classes import read_landmark_classes
from hgld.pipeline.dataset.landmarks import build_labels
from hgld.pipeline.review.queue_items import in_overlap
from hgld.pipeline.sparql.kgtk import read_pairs
from hgld.pipeline.stages import build, embed, queue, refine
from hgld.pipeline.wikidata.tables import WikidataTables
from tests.held_out import fold, labelled, published
from tests.paths import ROOT, SHARED

FACTS = SHARED / "wikidata"
OUT = Path(__file__).with_name("review_campaign.svg")
ERRORS, ANNOTATORS, HIDDEN, MEAN_IMAGES, RUNS = 0.05, 3, 0.75, 20, 20
# A class means a label if so many of its landmarks have it; else the right answer is "none of the labels".
PURE = 0.9


@dataclass(frozen=True)
class World:
    """What there is to judge. classes: category → QIDs; truth: category → label; meaning: QID → label, "" for none."""

    params: Params
    taxonomy: Taxonomy
    landmarks: pd.DataFrame
    class_items: pd.DataFrame
    classes: Mapping[str, Sequence[str]]
    truth: Mapping[str, str]
    meaning: Mapping[str, str]


@dataclass(frozen=True)
class Curve:
    """Accuracy of the labels, weighted by images and not, after so many verdicts (all (N,))."""

    verdicts: list[int]
    images: list[float]
    landmarks: list[float]

    def needed(self, values: Sequence[float]) -> int:
        """How many verdicts it takes until `values`, images or landmarks, reach 95 % of what they are in the end."""
        goal = 0.95 * values[-1]
        return next(count for count, value in zip(self.verdicts, values, strict=True) if value >= goal)


def facts(hidden: float) -> tuple[WikidataTables, set[str]]:
    """The real tables; a fraction of the classes that lead to a label, and are no anchors, lose their superclasses."""
    items = sorted({(normalise(name), qid) for qid, name in read_pairs(FACTS, "commons_category.tsv.gz")})
    first = dict(reversed(items))
    known = set(first.values())
    classes = [pair for pair in sorted(set(read_pairs(FACTS, "instance_of.tsv.gz"))) if pair[0] in known]
    edges = sorted(set(read_pairs(FACTS, "subclass_of.tsv.gz")))
    names = sorted(dict(read_pairs(FACTS, "labels_en.tsv.gz")).items())
    taxonomy = load_taxonomy()
    used = {qid for _, qid in classes} - set(taxonomy.anchors)
    lost = {qid for qid in used if int(hashlib.sha256(qid.encode()).hexdigest()[:8], 16) < hidden * 2**32}
    rows = [(name, qid, "p373", "high", 1) for name, qid in sorted(first.items())]
    return WikidataTables(
        items=pd.DataFrame(rows, columns=["category", "qid", "method", "confidence", "candidates"]),
        item_classes=pd.DataFrame(classes, columns=["qid", "class"], dtype="str"),
        class_edges=pd.DataFrame([pair for pair in edges if pair[0] not in lost], columns=["child", "parent"]),
        class_labels=pd.DataFrame(names, columns=["qid", "label"], dtype="str"),
    ), lost


def make_world(folder: Path) -> World:
    """Run the stages in `folder`, the working directory; kept are landmarks without a label whose true one is known."""
    params = load_params(ROOT / "params.yaml", profile="gldv2")
    params = params.model_copy(
        update={"build": params.build.model_copy(update={"taxonomy": str(ROOT / "hierarchy/curated")})}
    )
    taxonomy = load_taxonomy()
    truth = build.label_categories(facts(0)[0], taxonomy).labels.set_index("category")["hierarchical_label"]
    tables, _ = facts(HIDDEN)
    names = list(tables.items["category"])
    _write_inputs(params.data, tables, names, image_counts(len(names)))
    for stage in (build, embed, refine):
        stage.run(params)
    verdicts = load_verdicts(folder / "review", taxonomy.natures, kind=CLASS)
    landmarks, class_items = queue.candidate_tables(queue.read_suggestions(params, taxonomy), verdicts)
    labels = build_labels(params)
    open_ones = set(labels.loc[labels["hierarchical_label"] == "", "category"]) & set(truth.index[truth != ""])
    classes = read_landmark_classes(params, taxonomy, labels).of
    classes = {name: classes[name] for name in sorted(open_ones)}
    landmarks = landmarks[landmarks["category"].isin(open_ones)]
    of_class: dict[str, Counter[str]] = {}
    for name, qids in classes.items():
        for qid in qids:
            of_class.setdefault(qid, Counter())[str(truth[name])] += 1
    meaning = {}
    for qid, found in of_class.items():
        label, count = found.most_common(1)[0]
        meaning[qid] = label if count >= PURE * found.total() else ""
    class_items = class_items[class_items["category"].isin(meaning)]
    return World(params, taxonomy, landmarks, class_items, classes, truth[truth != ""].to_dict(), meaning)


def image_counts(landmarks: int) -> Sequence[int]:
    """How many images each landmark has."""
    drawn = np.random.default_rng(0).lognormal(np.log(MEAN_IMAGES) - 0.5, 1, landmarks)
    return [int(count) + 1 for count in drawn]


def published_world(folder: Path) -> World:
    """A fold of the published names, with the labels and scores that `hgld classify` gives them."""
    params, taxonomy = load_params(ROOT / "params.yaml", profile="gldv2"), load_taxonomy()
    rows = published()
    test = [row for row in rows if fold(row[0]) == 0]
    table = labelled([row for row in rows if fold(row[0])], test, folder)
    table = table.astype({"margin": "float64"})
    outcomes = outcome(table, params.refine.accept_score, params.refine.accept_margin, params.refine.review_score)
    images = np.array(image_counts(len(table)))
    landmarks = pd.DataFrame(
        {
            "category": table["category"],
            "kind": "landmark",
            "suggested_label": table["hierarchical_label"],
            "suggested_by": "name",
            **dict.fromkeys(("score", "margin", "runner_up", "evidence"), ""),
            "images": images,
            "priority": (1 - table["margin"]) * images,
            "reason": outcomes.map({"review": "doubtful"}).fillna(""),
        }
    )[queue.COLUMNS]
    truth = dict(zip(table["category"], table["published"], strict=True))
    return World(params, taxonomy, landmarks, landmarks.iloc[:0], {name: [] for name in truth}, truth, {})


def _write_inputs(data: Path, tables: WikidataTables, names: Sequence[str], counts: Sequence[int]) -> None:
    """The tables that the stages read, with one landmark of train per category, and no image on this machine."""
    numbers = [str(number) for number in range(len(names))]
    images = [number for number, count in zip(numbers, counts, strict=True) for _ in range(count)]
    ids = [f"{number:016x}" for number in range(len(images))]
    metadata = {
        "train_label_to_category": {"landmark_id": numbers, "category": [category_url(name) for name in names]},
        "index_label_to_category": {"landmark_id": [], "category": []},
        "train": {"id": ids, "url": [f"https://example.org/{one}.jpg" for one in ids], "landmark_id": images},
        "index_image_to_landmark": {"id": [], "landmark_id": []},
    }
    for name, columns in metadata.items():
        write_parquet(pd.DataFrame(columns, dtype="str"), data / "metadata" / f"{name}.parquet")
    for name in ("items", "item_classes", "class_edges", "class_labels"):
        table = getattr(tables, name).assign(**({"via": ""} if name == "items" else {}))
        write_parquet(table, data / "wikidata" / f"{name}.parquet")
    empty = {"id": "str", "split": "str", "tar": "str", "offset": "int64", "size": "int64"}
    write_parquet(
        pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in empty.items()}), data / "images/images.parquet"
    )


def campaign(world: World, *, ours: bool, classes: bool, seed: int) -> Curve:
    """Judge everything that is queued, and measure after every verdict."""
    random = np.random.default_rng(seed)
    settings = world.params.queue
    table = pd.concat([world.landmarks, world.class_items]) if classes else world.landmarks
    drawn = queue.controls(world.landmarks, settings.control, settings.seed)
    items = queue.order(table, drawn, settings.seed)[["kind", "category"]].to_numpy().tolist()
    if not ours:
        random.shuffle(items)
    state = _State(world)
    labels = sorted(world.taxonomy.natures)

    def opinion(right: str) -> str:
        if random.random() >= ERRORS:
            return right
        return str(random.choice([label for label in labels if label != right]))

    count, curve = 0, Curve([0], [state.by_images], [state.by_landmarks])
    for kind, name in items:
        if kind != CLASS and state.is_settled(name):
            continue
        right = world.meaning[name] if kind == CLASS else world.truth[name]
        shared = kind == CLASS or in_overlap(name, settings.overlap)
        said = [opinion(right) for _ in range(ANNOTATORS if shared else 1)]
        if len(set(said)) > 1:
            said.append(opinion(right))
        count += len(said)
        (state.judge_class if kind == CLASS else state.judge)(name, said[-1])
        curve.verdicts.append(count)
        curve.images.append(state.by_images)
        curve.landmarks.append(state.by_landmarks)
    return curve


class _State:
    """The labels as the next release would have them, and how many of them are right."""

    def __init__(self, world: World) -> None:
        self._world = world
        accepted = world.landmarks["reason"] == ""
        self._label = dict(
            zip(world.landmarks["category"], world.landmarks["suggested_label"].where(accepted, ""), strict=True)
        )
        self._images = dict(zip(world.landmarks["category"], world.landmarks["images"], strict=True))
        self._all = sum(self._images.values())
        right = [name for name, label in self._label.items() if label == world.truth[name]]
        self._right, self._right_images = len(right), sum(self._images[name] for name in right)
        self._judged: set[str] = set()
        self._of_class: dict[str, str] = {}
        self._members: dict[str, list[str]] = {}
        for name, qids in world.classes.items():
            for qid in qids:
                self._members.setdefault(qid, []).append(name)

    @property
    def by_images(self) -> float:
        return self._right_images / self._all

    @property
    def by_landmarks(self) -> float:
        return self._right / len(self._label)

    def is_settled(self, name: str) -> bool:
        """Whether a verdict on a class has labelled a landmark."""
        return any(self._of_class.get(qid) for qid in self._world.classes[name])

    def judge(self, name: str, label: str) -> None:
        self._judged.add(name)
        self._set(name, label)

    def judge_class(self, qid: str, label: str) -> None:
        self._of_class[qid] = label
        precedences = self._world.taxonomy.precedences
        for name in self._members[qid] if label else ():
            if name not in self._judged:
                given = [self._of_class[one] for one in self._world.classes[name] if self._of_class.get(one)]
                self._set(name, min(given, key=lambda one: precedences[one]))

    def _set(self, name: str, label: str) -> None:
        truth = self._world.truth[name]
        change = int(label == truth) - int(self._label[name] == truth)
        self._label[name] = label
        self._right += change
        self._right_images += change * self._images[name]


WIDTH, HEIGHT, LEFT, RIGHT, TOP, FLOOR = 860, 430, 70, 640, 50, 350
SERIES = {
    (True, True): "our order, with classes", (True, False): "our order, without",
    (False, True): "random, with classes", (False, False): "random, without",
}  # fmt: skip
STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:var(--ink)}
svg{--paper:#fcfcfa;--edge:#d9dcd8;--ink:#1f2a2e;--soft:#5b686d;--s0:#00756b;--s1:#4c6fb1;--s2:#a97a14;--s3:#8a8f93}
@media(prefers-color-scheme:dark){svg{--paper:#12181b;--edge:#333d41;--ink:#e9eeec;--soft:#a3b0b3;--s0:#35d0bb;
--s1:#8fb0ee;--s2:#d3ab52;--s3:#8d979c}}
.paper{fill:var(--paper);stroke:var(--edge)}.grid{stroke:var(--edge)}.soft{fill:var(--soft);font-size:12px}
.end{text-anchor:end}.mid{text-anchor:middle}.line{fill:none;stroke-width:2}
.l0{stroke:var(--s0)}.l1{stroke:var(--s1)}.l2{stroke:var(--s2)}.l3{stroke:var(--s3)}
""".replace("\n", "")


def figure(curves: Mapping[tuple[bool, bool], Curve]) -> str:
    """The accuracy by images against the number of verdicts."""
    most = max(curve.verdicts[-1] for curve in curves.values())
    low = np.floor(min(curve.images[0] for curve in curves.values()) * 10) / 10
    label = "Accuracy of the labels, weighted by images, against the number of verdicts"

    def x(count: float) -> float:
        return LEFT + (RIGHT - LEFT) * count / most

    def y(value: float) -> float:
        return FLOOR - (FLOOR - TOP) * (value - low) / (1 - low)

    parts = [f'<text x="{LEFT}" y="28">{label}</text>']
    for tick in np.arange(low, 1.01, 0.1):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text class="soft end" x="{LEFT - 8}" y="{y(tick) + 4:.1f}">{tick:.0%}</text>')
    step = 10 ** int(np.log10(most))
    for tick in range(0, most + 1, step if most / step >= 3 else step // 2):
        parts.append(f'<text class="soft mid" x="{x(tick):.1f}" y="{FLOOR + 20}">{tick:,}</text>')
    parts.append(f'<text class="soft mid" x="{(LEFT + RIGHT) / 2}" y="{FLOOR + 44}">verdicts</text>')
    for number, (key, name) in enumerate(SERIES.items()):
        curve = curves[key]
        rows = np.unique(np.linspace(0, len(curve.verdicts) - 1, 200).astype(int))
        points = " ".join(f"{x(curve.verdicts[row]):.1f},{y(curve.images[row]):.1f}" for row in rows)
        parts.append(f'<polyline class="line l{number}" points="{points}"/>')
        height = TOP + 24 * number + 10
        parts.append(f'<line class="line l{number}" x1="{RIGHT + 20}" x2="{RIGHT + 44}" y1="{height}" y2="{height}"/>')
        parts.append(f'<text x="{RIGHT + 52}" y="{height + 4}">{name}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"<title>{label}</title><style>{STYLE}</style>"
        f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="14" class="paper"/>{"".join(parts)}</svg>\n'
    )


def main() -> None:
    """Run the stages and the campaigns, print what they needed, and draw those with classes."""
    with tempfile.TemporaryDirectory(prefix="hgld-campaign-") as scratch:
        os.chdir(scratch)
        worlds = {"wikidata": make_world(Path(scratch)), "gldv2": published_world(Path(scratch))}
    for title, world in worlds.items():
        needy = int((world.landmarks["reason"] != "").sum())
        print(f"{title}: {len(world.landmarks):,} landmarks, {needy:,} queued, {len(world.class_items)} classes queued")
        print(
            f"{f'means of {RUNS} runs':<26}{'verdicts':>9}{'images':>18}{'to 95 %':>9}{'landmarks':>18}{'to 95 %':>9}"
        )
        for (ours, classes), name in SERIES.items():
            if classes and world.class_items.empty:
                continue
            runs = [campaign(world, ours=ours, classes=classes, seed=seed) for seed in range(RUNS)]
            cells = [f"{name:<26}{_mean(run.verdicts[-1] for run in runs):>9,.0f}"]
            for values in ("images", "landmarks"):
                first, last = (_mean(getattr(run, values)[at] for run in runs) for at in (0, -1))
                reached = _mean(run.needed(getattr(run, values)) for run in runs)
                cells.append(f"{f'{first:.1%} → {last:.1%}':>18}{reached:>9,.0f}")
            print("".join(cells))
    curves = {key: campaign(worlds["wikidata"], ours=key[0], classes=key[1], seed=0) for key in SERIES}
    OUT.write_text(figure(curves), encoding="utf-8")


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


if __name__ == "__main__":
    main()
