"""CITATION.cff of a release: that of the repository, as a data set with the name and the version of the release."""

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from hgld.foundation.errors import HgldError
from hgld.foundation.text_input import read_yaml
from hgld.pipeline.release.texts.about import KEYWORDS, About
from hgld.pipeline.release.texts.licences import MAIN

_MESSAGE = "If you use these labels, please cite them, the Google Landmarks Dataset v2, and the papers below."


def citation(path: Path, about: About) -> dict[str, Any]:
    """The content of CITATION.cff; path: that of the repository, whose authors and references are kept.

    Raises HgldError when it is missing or does not name authors and references.
    """
    if not path.is_file():
        raise HgldError(f"no {path} here; run hgld in the root of the repository")
    software = read_yaml(path)
    if not isinstance(software, dict) or not all(
        isinstance(software.get(key), list) for key in ("authors", "references")
    ):
        raise HgldError(f"{path}: expected a citation file with authors and references; restore it from git")
    settings = about.settings
    return {
        "cff-version": "1.2.0",
        "title": settings.name,
        "message": _MESSAGE,
        "type": "dataset",
        "authors": software["authors"],
        "version": settings.version,
        **({"date-released": settings.date} if settings.date else {}),
        **({"url": settings.homepage} if settings.homepage else {}),
        "license": MAIN.spdx,
        "abstract": about.description,
        "keywords": list(KEYWORDS),
        "references": software["references"],
    }


def author_name(author: dict[str, str]) -> str:
    """The name of a person or an organisation, as a reference gives it."""
    return author.get("name") or f"{author['given-names']} {author['family-names']}"


def reference(citation: dict[str, Any]) -> str:
    """The release as one line of a list of references."""
    parts = [", ".join(map(author_name, citation["authors"])), f"{citation['title']}, version {citation['version']}"]
    parts += [str(citation[key]) for key in ("date-released", "url") if key in citation]
    return ". ".join(parts) + "."


def yaml_text(content: dict[str, Any]) -> str:
    """YAML with the keys in their order and one item a line."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue()
