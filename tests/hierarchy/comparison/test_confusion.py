"""The confusion matrix: its order, its counts, and what is too much for a picture."""

from hypothesis import given
from hypothesis import strategies as st

from hgld.hierarchy.comparison.confusion import EMPTY, MOST, confusion_matrix

NATURES = {"lake": "natural", "river": "natural", "church": "human-made", "zoo": "human-made"}


def test_natural_before_human_made_and_the_frequent_first() -> None:
    reference = {"1": "lake", "2": "river", "3": "river", "4": "church", "5": "odd", "6": "", "7": "church"}
    ours = {"1": "zoo", "2": "river", "3": "", "4": "church", "5": "odd", "6": "zoo", "8": "lake"}
    matrix = confusion_matrix(ours, reference, NATURES)
    assert matrix.labels == ("river", "lake", "church", "zoo", "odd")
    assert matrix.groups == ("natural", "natural", "human-made", "human-made", "other")
    assert matrix.columns == (*matrix.labels, EMPTY)
    assert matrix.counts == {
        ("church", "church"): 1, ("lake", "zoo"): 1, ("odd", "odd"): 1, ("river", "river"): 1, ("river", EMPTY): 1,
    }  # fmt: skip
    assert (matrix.share("river", EMPTY), matrix.share("zoo", "zoo"), matrix.left_out) == (0.5, 0.0, 0)


maps = st.dictionaries(st.integers(0, 30).map(str), st.sampled_from(["", *NATURES]))


@given(maps, maps)
def test_every_reference_label_is_in_one_cell_whatever_the_order(
    ours: dict[str, str], theirs: dict[str, str]
) -> None:
    matrix = confusion_matrix(ours, theirs, NATURES)
    assert sum(matrix.counts.values()) == sum(bool(theirs[key]) for key in ours.keys() & theirs.keys())
    assert confusion_matrix(dict(reversed(ours.items())), dict(reversed(theirs.items())), NATURES) == matrix


def test_the_rarest_of_too_many_labels_are_left_out() -> None:
    reference = {f"{n} {copy}": f"label {n:03}" for n in range(MOST + 30) for copy in range(1 + (n >= 30))}
    matrix = confusion_matrix(reference, reference, {})
    assert (len(matrix.labels), matrix.left_out) == (MOST, 30)
    assert "label 029" not in matrix.labels
