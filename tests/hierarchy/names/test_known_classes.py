"""The classes of a snapshot by name."""

import pandas as pd

from hgld.hierarchy.names.class_names import tokenize
from hgld.hierarchy.names.known_classes import class_label_table, index_by_name
from hgld.hierarchy.taxonomy.taxonomy import Anchor, Taxonomy

LAKE = Taxonomy({"Q23397": Anchor("Q23397", "lake", "lake", "natural", 330)}, {}, {})


def test_the_class_nearest_to_its_anchor_is_kept_then_the_lower_qid_number():
    rows = [("Q30", "Crater lakes", "lake", "Q30>Q2>Q1"), ("Q20", "crater lake", "lake", "Q20>Q1"),
            ("Q100", "crater lake", "lake", "Q100>Q1"), ("Q40", "ridge", "", "")]  # fmt: skip
    known = index_by_name(pd.DataFrame(rows, columns=["class", "label", "hierarchical_label", "path"]))
    assert set(known.by_name) == {("crater", "lake")}
    assert known.by_name[tokenize("Crater Lake")].qid == "Q20"
    assert known.evidence(known.by_name["crater", "lake"]) == "class Q20: crater lake → Q1"


def test_the_table_has_a_row_for_every_class_of_the_graph():
    table = class_label_table([("Q9", "Q23397"), ("Q23397", "Q5")], {"Q9": "tarn"}, LAKE)
    assert table.to_numpy().tolist() == [
        ["Q5", "", "", ""],
        ["Q9", "tarn", "lake", "Q9>Q23397"],
        ["Q23397", "", "lake", "Q23397"],
    ]
