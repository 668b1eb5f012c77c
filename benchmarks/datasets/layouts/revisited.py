"""The images of Revisited Oxford and Paris (Radenović et al., CVPR 2018): queries, cropped to their boxes, and gallery.

gnd_roxford5k.pkl or gnd_rparis6k.pkl, and jpg/NAME.jpg. The ground truth has no classes. Here the queries that share a
positive (easy or hard) show one place, their positives are images of it, and all other images are distractors: Oxford
gives fewer places than landmarks, as some images show several. The official protocol (Easy, Medium, Hard, junk images
removed) has no classes: its measures are computed beside those of the places, as `hgld evaluate revisited` does for the
embeddings of these images, in this order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import networkx as nx
import pandas as pd

from hgld.benchmarks.datasets.files.image_list import ImageList
from hgld.benchmarks.datasets.layouts.list_files import chosen_levels, only_split, required
from hgld.benchmarks.protocols.revisited import GroundTruth, official_measures, read_ground_truth
from hgld.foundation.errors import HgldError

TITLES = {"gnd_roxford5k.pkl": "Revisited Oxford", "gnd_rparis6k.pkl": "Revisited Paris"}


def read(folder: Path, levels: Sequence[str] | None, split: str | None) -> ImageList:
    """The queries and the gallery of a ground truth."""
    found = [name for name in TITLES if (folder / name).exists()]
    title = TITLES[found[0]] if found else " or ".join(TITLES.values())
    only_split(split, title)
    chosen = chosen_levels(levels, ("place",), title)
    path = required(folder / (found[0] if found else next(iter(TITLES))), title)
    truth = read_ground_truth(path)
    places, of_image = _places(truth)
    names = [query.name for query in truth.queries]
    for name in (*names, *truth.images):
        if "/" in name or "\0" in name:
            raise HgldError(f"{path}: {name[:60]!r} is not the name of an image")
    ids = [*(f"query {name}" for name in names), *truth.images]
    table = pd.DataFrame(
        {
            "path": [f"jpg/{name}.jpg" for name in (*names, *truth.images)],
            "split": ["query"] * len(names) + ["gallery"] * len(truth.images),
            "id": ids,
            "place": [*places, *(of_image.get(n, "") for n in range(len(truth.images)))],
        }
    )
    return ImageList(
        name=title,
        folder=folder,
        rows=table.astype("str"),
        levels=chosen,
        boxes={row: query.box for row, query in enumerate(truth.queries)},
        protocol="query images, cropped to their boxes, against all others; mAP and mP@k easy, medium and hard are the "
        "official measures; for the others, which go by places, junk images are not removed",
        official=partial(official_measures, truth=truth),
        facts={
            "data": f"{title}, {path.name}",
            "labels": f"queries that share an easy or hard image are one place: {len(set(places))} places",
        },
    )


def _places(truth: GroundTruth) -> tuple[list[str], dict[int, str]]:
    """The place of each query, named after the first of its queries, and that of each positive image."""
    graph: nx.Graph[object] = nx.Graph()
    for number, query in enumerate(truth.queries):
        graph.add_node(("query", number))
        graph.add_edges_from((("query", number), image) for image in (*query.easy, *query.hard))
    names = [""] * len(truth.queries)
    of_image: dict[int, str] = {}
    for nodes in nx.connected_components(graph):
        queries = sorted(node[1] for node in nodes if isinstance(node, tuple))
        name = truth.queries[queries[0]].name
        for query in queries:
            names[query] = name
        of_image |= {node: name for node in nodes if isinstance(node, int)}
    return names, of_image
