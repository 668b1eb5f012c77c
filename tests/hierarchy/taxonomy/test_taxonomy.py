"""The curated files are valid, and every kind of mistake in them is reported with file and line."""

import shutil
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.hierarchy.curated import CURATED
from hgld.hierarchy.taxonomy.class_graph import class_graph
from hgld.hierarchy.taxonomy.class_labels import anchor_paths, label_item
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy, taxonomy_problems

PUBLISHED = {
    "agricultural land": 1, "air transportation": 0, "amusement park": 0, "aqueduct": 0, "archeological site": 0,
    "artwork": 0, "bath": 0, "beach": 1, "boat": 0, "bridge": 0, "buddhist temple": 0, "cable transportation": 0,
    "canal": 1, "castle / fort": 0, "cave": 1, "cemetery": 0, "church": 0, "city": 0, "cliff": 1, "cross": 0,
    "dam": 0, "factory": 0, "festival": 0, "fountain": 0, "garden": 1, "gate": 0, "government building": 0,
    "harbor": 0, "hindu temple": 0, "hospital": 0, "hotel": 0, "house": 0, "island": 1, "lake": 1, "library": 0,
    "lighthouse": 0, "market": 0, "memorial": 0, "mine": 0, "monastery": 0, "mosque": 0, "mountain": 1, "museum": 0,
    "observatory": 0, "ocean area ": 1, "palace": 0, "parks": 1, "power plant": 0, "prison": 0, "pyramid": 0,
    "rail transportation": 0, "restaurant": 0, "river": 1, "road": 0, "ruins": 0, "school": 0, "sculpture": 0,
    "settlement": 0, "shinto shrine": 0, "shopping": 0, "skyscraper": 0, "sports venue": 0, "square": 0, "stairs": 0,
    "stone": 1, "swimming pool": 0, "synagogue": 0, "theatre": 0, "tower": 0, "trail": 1, "tree": 1,
    "underground infrastructure": 0, "village": 0, "volcano": 1, "waterfall": 1, "wetland": 1, "windmill": 0, "zoo": 0,
}  # fmt: skip

HEADERS = {
    "taxonomy.csv": "hierarchical_label,natural_or_human_made,anchor_qid,anchor_label,precedence,comment,decided_by",
    "ignored_classes.csv": "qid,label,reach,reason,decided_by",
    "cut_edges.csv": "child,child_label,parent,parent_label,reason,decided_by",
}


def write_curated(folder: Path, **rows: list[str]) -> Path:
    """The three files with the given rows (keys: taxonomy, ignored_classes, cut_edges)."""
    for name, header in HEADERS.items():
        lines = [header, *rows.get(name.removesuffix(".csv"), [])]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_the_curated_files_are_valid_and_have_the_published_labels() -> None:
    taxonomy = load_taxonomy()
    assert taxonomy.natures == {label: "natural" if natural else "human-made" for label, natural in PUBLISHED.items()}
    assert len(taxonomy.natures) == 78
    assert taxonomy_problems(CURATED) == []


def test_settlements_and_natural_labels_can_be_areas() -> None:
    natural = {label for label, is_natural in PUBLISHED.items() if is_natural}
    assert load_taxonomy().labels_of_areas == natural | {"city", "village", "settlement"}


def test_rows_become_anchors_ignored_classes_and_cuts(tmp_path: Path) -> None:
    folder = write_curated(
        tmp_path,
        taxonomy=["lake,natural,Q23397,lake,33,why,ana"],
        ignored_classes=["Q5,human,below,why,ana", "Q34876,province,area,why,ana", "Q43229,organization,class,why,ana"],
        cut_edges=["Q1,a,Q2,b,why,ana"],
    )
    taxonomy = load_taxonomy(folder)
    assert taxonomy.anchors["Q23397"].hierarchical_label == "lake"
    assert taxonomy.blocks("Q5")
    assert not taxonomy.excludes("Q5")
    assert taxonomy.excludes("Q43229")
    assert not taxonomy.blocks("Q43229")
    assert taxonomy.blocks("Q34876")
    assert [taxonomy.is_area(qid) for qid in ("Q34876", "Q5", "Q43229", "Q23397")] == [True, False, False, False]
    assert ("Q1", "Q2") in taxonomy.cuts


@pytest.mark.parametrize(
    ("rows", "where", "text"),
    [
        ({"taxonomy": ["lake,wet,Q1,lake,33,why,ana"]}, "taxonomy.csv:2", "'wet' is neither natural nor human-made"),
        ({"taxonomy": ["lake,natural,1,lake,33,why,ana"]}, "taxonomy.csv:2", "anchor_qid '1': expected a QID"),
        ({"taxonomy": [f"lake,natural,Q1,lake,{'9' * 5000},why,ana"]}, "taxonomy.csv:2", "is not a whole number"),
        ({"taxonomy": ["lake,natural,Q1,lake,\u0663,why,ana"]}, "taxonomy.csv:2", "is not a whole number"),
        ({"taxonomy": [f"lake,natural,Q{'9' * 5000},lake,3,why,ana"]}, "taxonomy.csv:2", "expected a QID"),
        ({"taxonomy": ["lake,natural,Q1,lake,high,why,ana"]}, "taxonomy.csv:2", "precedence 'high'"),
        ({"taxonomy": ["lake,natural,Q1,lake,,why,ana"]}, "taxonomy.csv:2", "precedence '': expected a whole number"),
        ({"taxonomy": ["lake,natural,Q1,lake,33,,ana"]}, "taxonomy.csv:2", "comment '': expected why the row is there"),
        ({"taxonomy": ["lake,natural,Q1,lake,33,why,"]}, "taxonomy.csv:2", "decided_by '': expected published, hgld"),
        ({"taxonomy": ["la\u2028ke,natural,Q1,lake,33,why,ana"]}, "taxonomy.csv:2", r"'la\u2028ke': expected a label"),
        ({"taxonomy": ['"la\nke",natural,Q1,lake,33,why,ana']}, "taxonomy.csv:2", r"'la\nke': expected a label"),
        ({"taxonomy": ["la\x85ke,natural,Q1,lake,33,why,ana"]}, "taxonomy.csv:2", r"'la\x85ke': expected a label"),
        (
            {"taxonomy": ["lake,natural,Q1,lake,33,why,ana", "river,natural,Q1,river,33,why,ana"]},
            "taxonomy.csv:3", "already an anchor of 'lake'",
        ),
        (
            {"taxonomy": ["lake,natural,Q1,lake,33,why,ana", "lake,human-made,Q2,pond,33,why,ana"]},
            "taxonomy.csv:3", "'lake' is natural in another row",
        ),
        (
            {"taxonomy": ["lake,natural,Q10,lake,33,why,ana", "lake,natural,Q9,pond,33,why,ana"]},
            "taxonomy.csv:3", "out of order: it belongs before line 2; sort the rows: hgld check --fix",
        ),
        ({"ignored_classes": ["Q5,human,all,why,ana"]}, "ignored_classes.csv:2", "reach 'all'"),
        (
            {"taxonomy": ["lake,natural,Q5,lake,33,why,ana"], "ignored_classes": ["Q5,lake,class,why,ana"]},
            "ignored_classes.csv:2", "is an anchor of 'lake'",
        ),
        ({"cut_edges": ["Q1,a,Q2,b,why,ana", "Q1,a,Q2,b,why,ana"]}, "cut_edges.csv:3", "duplicate of line 2"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_file_and_line(
    tmp_path: Path, rows: dict[str, list[str]], where: str, text: str
) -> None:
    folder = write_curated(tmp_path, **rows)
    assert any(where in problem and text in problem for problem in taxonomy_problems(folder))
    with pytest.raises(HgldError, match=where):
        load_taxonomy(folder)


def test_a_missing_or_ragged_file_is_an_error(tmp_path: Path) -> None:
    write_curated(tmp_path, taxonomy=["lake,natural,Q1"])
    assert "taxonomy.csv:2" in "".join(taxonomy_problems(tmp_path))
    (tmp_path / "taxonomy.csv").unlink()
    with pytest.raises(HgldError, match=r"no file .*taxonomy\.csv"):
        load_taxonomy(tmp_path)


def test_a_new_label_takes_only_rows_of_data(tmp_path: Path) -> None:
    """The curated files with an added anchor "glacier": classes below it get the label."""
    for path in CURATED.glob("*.csv"):
        shutil.copy(path, tmp_path)
    header, *rows = (tmp_path / "taxonomy.csv").read_text(encoding="utf-8").splitlines()
    rows.append("glacier,natural,Q35666,glacier,150,a new label,ana")
    rows.sort(key=lambda row: (row.split(",")[0], int(row.split(",")[2][1:])))
    (tmp_path / "taxonomy.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    taxonomy = load_taxonomy(tmp_path)
    assert len(taxonomy.natures) == 79
    edges = [("Q211302", "Q23397"), ("Q1", "Q35666")]
    paths = anchor_paths(class_graph(edges, taxonomy).dag, taxonomy, ["Q1", "Q8502"])
    decision = label_item(["Q1", "Q8502"], paths, taxonomy, {"Q1": "valley glacier"})
    assert (decision.hierarchical_label, decision.supercategory) == ("glacier", "valley glacier")
    assert decision.natural_or_human_made == "natural"
