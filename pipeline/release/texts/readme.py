"""README.md of a release: a dataset card of Hugging Face, that is a head in YAML and a body in Markdown.

The head tells `datasets.load_dataset` which file is which configuration. The body has the sections of DATA_CARD.md, the
ways to load the tables, and the columns. https://huggingface.co/docs/hub/datasets-cards describes the head.
"""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pyarrow.parquet as pq

from hgld.pipeline.release.texts.about import KEYWORDS, About
from hgld.pipeline.release.texts.citation import reference, yaml_text
from hgld.pipeline.release.texts.columns import CONFIGS, FRACTION, TABLES, TEXT, WHOLE, YES_NO, Table
from hgld.pipeline.release.texts.licences import LICENCES, MAIN

_TEMPLATE = "card.md"
_DTYPES = {TEXT: "string", WHOLE: "int64", FRACTION: "float64", YES_NO: "bool"}
# The size categories of Hugging Face by their upper bounds.
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
# The files that are no tables, in the order in which README.md lists them.
_OTHERS = {
    "metadata.json": "Name, version, the snapshot of Wikidata, numbers of rows",
    "card.json": "The numbers in this file, for programs",
    "map.svg": "A map of the landmarks that have coordinates",
    "ERRATA.md": "What users have reported as wrong, and what became of it",
    "columns.json": "The columns in this file, for programs",
    "croissant.json": "All of it in the vocabulary Croissant 1.1, with a checksum per table",
    "CITATION.cff": "How to cite the release",
    "SHA256SUMS": "A checksum per file",
}


def readme(about: About, citation: dict[str, Any], folder: Path, rows: Mapping[str, int], sections: str) -> str:
    """The text of README.md.

    folder: has the tables; rows: their numbers of rows by file name; sections: those of DATA_CARD.md, from level 2 on.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    template = files("hgld.pipeline.release.texts").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    body = environment.from_string(template).render(
        name=about.settings.name,
        version=about.settings.version,
        folder=f"{about.settings.name}-{about.settings.version}",
        summary=about.summary,
        note=about.settings.note,
        tables=TABLES,
        rows={name: f"{count:,}" for name, count in rows.items()},
        others={**_OTHERS, **{licence.file: f"The licence of {licence.covers}" for licence in LICENCES}},
        configs=", ".join(f"`{name}`" for name in CONFIGS),
        sections=sections,
        licences=[licence.row() for licence in LICENCES],
        reference=reference(citation),
    )
    return f"---\n{yaml_text(head(about, folder, rows))}---\n\n{body}"


def head(about: About, folder: Path, rows: Mapping[str, int]) -> dict[str, Any]:
    """The head of the card. Each configuration has one split, of its own name."""
    return {
        "pretty_name": about.settings.name,
        "license": MAIN.spdx.lower(),
        "language": ["en"],
        "size_categories": [_size(about.images)],
        "task_categories": ["image-feature-extraction", "image-classification"],
        "annotations_creators": ["machine-generated", *(["expert-generated"] if about.reviewed else [])],
        "source_datasets": ["extended"],
        "tags": list(KEYWORDS),
        "configs": [
            {
                "config_name": name,
                **({"default": True} if name == "labels" else {}),
                "data_files": [{"split": name, "path": table.file}],
            }
            for name, table in CONFIGS.items()
        ],
        "dataset_info": [_info(name, table, folder / table.file, rows[table.file]) for name, table in CONFIGS.items()],
    }


def _info(name: str, table: Table, path: Path, rows: int) -> dict[str, Any]:
    """Features and sizes of one configuration; `datasets` refuses a file with another number of rows."""
    size = sum(batch.nbytes for batch in pq.ParquetFile(path).iter_batches())
    return {
        "config_name": name,
        "features": [{"name": column, "dtype": _DTYPES[about.type]} for column, about in table.columns.items()],
        "splits": [{"name": name, "num_bytes": size, "num_examples": rows}],
        "download_size": path.stat().st_size,
        "dataset_size": size,
    }


def _size(images: int) -> str:
    return next((name for bound, name in _SIZES if images < bound), "10M<n<100M")
