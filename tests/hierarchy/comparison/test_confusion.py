"""The confusion matrix: its order, its counts, and its limit."""

from hypothesis import given
from hypothesis import strategies as st

from hgld.hierarchy.comparison.confusion import EMPTY, MAX_LABELS, confusion_matrix

NATURES = {"lake": "natural", "river": "natural", "church": "human-made", "zoo": "human-made"}


def test_natural_labels_come_first_then_frequent_ones() -> None:
    reference = {"1": "lake", "2": "river", "3": "river", "4": "church", "5": "odd", "6": "", "7": "church"}
    ours = {"1": "zoo", "2": "river", "3": "", "4": "church", "5": "odd", "6": "zoo", "8": "lake"}
    matrix = confusion_matrix(ours, reference, NATURES)
    assert matrix.labels == ("river", "lake", "church", "zoo", "odd")
    assert matrix.groups == ("natural", "natural", "human-made", "human-made", "other")
    assert matrix.columns == (*matrix.labels, EMPTY)
    assert matrix.counts == {
        ("church", "church"): 1, ("lake", "zoo"): 1, ("odd", "odd"): 1, ("river", "river"): 1, ("river", EMPTY): 1,
    }  # fmt: skip
    assert (matrix.row_fraction("river", EMPTY), matrix.row_fraction("zoo", "zoo"), matrix.left_out) == (
        0.5,
        0.0,
        0,
    )


maps = st.dictionaries(st.integers(0, 30).map(str), st.sampled_from(["", *NATURES]))


@given(maps, maps)
def test_each_reference_label_is_in_one_cell_in_any_order(ours: dict[str, str], theirs: dict[str, str]) -> None:
    matrix = confusion_matrix(ours, theirs, NATURES)
    assert sum(matrix.counts.values()) == sum(bool(theirs[key]) for key in ours.keys() & theirs.keys())
    assert confusion_matrix(dict(reversed(ours.items())), dict(reversed(theirs.items())), NATURES) == matrix


def test_rarest_labels_beyond_the_limit_are_left_out() -> None:
    reference = {f"{n} {copy}": f"label {n:03}" for n in range(MAX_LABELS + 30) for copy in range(1 + (n >= 30))}
    matrix = confusion_matrix(reference, reference, {})
    assert (len(matrix.labels), matrix.left_out) == (MAX_LABELS, 30)
    assert "label 029" not in matrix.labels
