"""The files of a release in their order: tables, what describes them, and last the checksums of all."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hgld.foundation.files import sha256, write_text
from hgld.foundation.tables import write_csv, write_parquet
from hgld.pipeline.release.texts.about import About
from hgld.pipeline.release.texts.citation import citation, yaml_text
from hgld.pipeline.release.texts.columns import check_columns, columns_json
from hgld.pipeline.release.texts.croissant import croissant
from hgld.pipeline.release.texts.data_card import release_sections
from hgld.pipeline.release.texts.licences import LICENCES
from hgld.pipeline.release.texts.readme import readme

# People edit both in the root of the repository.
DATA_CARD, CITATION = Path("DATA_CARD.md"), Path("CITATION.cff")
CHECKSUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Content:
    """All that a release says.

    tables: by file name, those of columns.TABLES; metadata: that of metadata.json; world_map: an SVG of the landmarks;
    errata: the page on what users have reported.
    """

    about: About
    tables: Mapping[str, pd.DataFrame]
    metadata: Mapping[str, object]
    world_map: str
    errata: str


def write_folder(content: Content, folder: Path) -> None:
    """Write all files of the release into `folder`, which is empty.

    Raises HgldError for a table or column that columns.TABLES does not describe, and for a fault in DATA_CARD.md or
    CITATION.cff.
    """
    check_columns(content.tables)
    about, rows = content.about, {name: len(table) for name, table in content.tables.items()}
    sections = release_sections(DATA_CARD, about.numbers)
    cited = citation(CITATION, about)
    for name, table in content.tables.items():
        (write_csv if name.endswith(".csv") else write_parquet)(table, folder / name)
    _write_json(folder / "metadata.json", content.metadata)
    _write_json(folder / "card.json", about.numbers)
    write_text(content.world_map, folder / "map.svg")
    write_text(content.errata, folder / "ERRATA.md")
    _write_json(folder / "columns.json", columns_json(rows))
    _write_json(folder / "croissant.json", croissant(about, cited, folder))
    write_text(yaml_text(cited), folder / "CITATION.cff")
    for licence in LICENCES:
        write_text(licence.text(), folder / licence.file)
    write_text(readme(about, cited, folder, rows, sections), folder / "README.md")
    write_text(checksums(folder), folder / CHECKSUMS)


def checksums(folder: Path) -> str:
    """A line per file of the folder, in the format of `sha256sum -c`."""
    files = sorted(path.name for path in folder.iterdir())
    return "".join(f"{sha256(folder / name)}  {name}\n" for name in files)


def _write_json(path: Path, content: object) -> None:
    write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", path)
