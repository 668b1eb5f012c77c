"""An item that a person rejects is no candidate any more; the next one takes over."""

from pathlib import Path

import pandas as pd

from hgld.foundation.tables import write_csv
from hgld.hierarchy.curation.rejected_items import COLUMNS, read_rejected, rejected_items, without_rejected

ITEMS = pd.DataFrame(
    [["Abbey", "Q1", "p373", "low"], ["Abbey", "Q2", "p373", "low"], ["Lake", "Q3", "sitelink", "high"],
     ["Mill", "", "none", ""], ["Port", "Q1", "sitelink", "high"]],
    columns=["category", "qid", "method", "confidence"],
)  # fmt: skip


def _rejected(*pairs: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=COLUMNS, dtype="str")


def _rows(items: pd.DataFrame) -> list[list[str]]:
    return sorted(items.to_numpy().tolist())


def test_the_other_candidate_stays_and_other_categories_keep_the_item() -> None:
    left = without_rejected(ITEMS, _rejected(("Abbey", "Q1")))
    assert _rows(left) == _rows(ITEMS.drop(index=0))


def test_a_category_without_another_candidate_keeps_a_row_without_an_item() -> None:
    left = without_rejected(ITEMS, _rejected(("Lake", "Q3"), ("Abbey", "Q1"), ("Abbey", "Q2")))
    assert _rows(left) == [["Abbey", "", "none", ""], ["Lake", "", "none", ""], ["Mill", "", "none", ""],
                           ["Port", "Q1", "sitelink", "high"]]  # fmt: skip


def test_nothing_rejected_changes_nothing(tmp_path: Path) -> None:
    assert _rows(without_rejected(ITEMS, read_rejected(tmp_path / "none.csv"))) == _rows(ITEMS)
    assert _rows(without_rejected(ITEMS, _rejected(("Abbey", "Q9"), ("None", "Q1")))) == _rows(ITEMS)


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    verdicts = pd.DataFrame(
        {"category": ["A, b", "C"], "hierarchical_label": ["", "lake"], "rejected_item": ["Q5", ""]}
    )
    write_csv(rejected_items(verdicts), tmp_path / "rejected_items.csv")
    assert read_rejected(tmp_path / "rejected_items.csv").to_numpy().tolist() == [["A, b", "Q5"]]
