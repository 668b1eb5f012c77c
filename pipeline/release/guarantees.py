"""What holds for every release: labels are those of the taxonomy, and each id of the metadata occurs exactly once."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.pipeline.dataset.schemas import read_stage_table


def check_guarantees(
    metadata: Path, labels: pd.DataFrame, tables: Mapping[str, pd.DataFrame], natures: Mapping[str, str]
) -> None:
    """Raise HgldError that lists the violations.

    metadata: the folder of GLDv2's tables; labels: one row per category; tables: of images and landmarks, by file name;
    natures: label → natural or human-made.
    """
    problems = []
    for name, table in {"labels.parquet": labels, **tables}.items():
        nature = table["hierarchical_label"].map(lambda label: natures.get(label, "unknown") if label else "")
        wrong = table[nature != table["natural_or_human_made"]].head(3)
        for key, label, released in zip(
            wrong.iloc[:, 0], wrong["hierarchical_label"], wrong["natural_or_human_made"], strict=True
        ):
            problems.append(f"{name}: {key} is {label!r} and {released!r}")
        stray = table[(table["hierarchical_label"] == "") & (table["supercategory"] != "")]
        problems += [f"{name}: {key} has a supercategory and no label" for key in stray.iloc[:3, 0]]
    for name, table in tables.items():
        source = name.replace("_hierarchical.csv", "_category.parquet")
        expected = read_stage_table(metadata / source).iloc[:, 0]
        if sorted(expected) != sorted(table.iloc[:, 0]):
            problems.append(f"{name}: its {len(table)} ids are not the {len(expected)} ids of {source}, each once")
    if problems:
        raise HgldError("the release would violate its guarantees; nothing was written:", *problems)
