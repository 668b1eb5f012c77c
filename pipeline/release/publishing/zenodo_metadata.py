"""What Zenodo shows of a release: the fields of a deposition, out of the release's CITATION.cff."""

import html
from pathlib import Path
from typing import Any

from hgld.foundation.errors import HgldError
from hgld.foundation.text_input import read_yaml
from hgld.pipeline.release.publishing.plan import Release

_NEEDED = ("title", "authors", "version", "license")
_REMEDY = "write the release again: dvc repro release"


def deposition_metadata(release: Release) -> dict[str, Any]:
    """The metadata of a deposition: https://developers.zenodo.org/#representation.

    Raises HgldError when CITATION.cff is missing, lacks a field, or is that of another version.
    """
    path = release.folder / "CITATION.cff"
    if not path.is_file():
        raise HgldError(f"no {path}, from which Zenodo gets title, authors and license; {_REMEDY}")
    cited = read_yaml(path)
    missing = [key for key in _NEEDED if not (isinstance(cited, dict) and cited.get(key))]
    if missing:
        raise HgldError(f"{path}: no {', '.join(missing)}; {_REMEDY}")
    if str(cited["version"]) != release.version:
        raise HgldError(
            f"{path}: version {str(cited['version'])[:40]}, but metadata.json says {release.version}; {_REMEDY}"
        )
    description = str(cited.get("abstract") or cited["title"])
    fields = {
        "title": str(cited["title"]),
        "upload_type": "dataset",
        "description": f"<p>{html.escape(description, quote=False)}</p>",
        "creators": [_creator(author, str(path)) for author in _list(cited, "authors", path)],
        "version": release.version,
        "access_right": "open",
        "license": str(cited["license"]).lower(),
        "keywords": [str(word) for word in _list(cited, "keywords", path)],
        "related_identifiers": _related(cited, _list(cited, "references", path)),
    }
    if date := cited.get("date-released"):
        fields["publication_date"] = str(date)
    return fields


def _list(cited: dict[str, Any], key: str, path: Path) -> list[Any]:
    found = cited.get(key) or []
    if not isinstance(found, list):
        raise HgldError(f"{path}: expected a list of {key}, found {str(found)[:100]!r}; {_REMEDY}")
    return found


def _creator(author: Any, place: str) -> dict[str, str]:
    """An author of CITATION.cff, a person or an organisation, as Zenodo names them: family name first."""
    if not isinstance(author, dict) or not (author.get("name") or author.get("family-names")):
        raise HgldError(f"{place}: an author without a name: {str(author)[:100]!r}; {_REMEDY}")
    person = ", ".join(filter(None, [author.get("family-names"), author.get("given-names")]))
    creator = {"name": str(author.get("name") or person)}
    if author.get("affiliation"):
        creator["affiliation"] = str(author["affiliation"])
    if author.get("orcid"):
        creator["orcid"] = str(author["orcid"]).rstrip("/").rsplit("/", 1)[-1]
    return creator


def _related(cited: dict[str, Any], works: list[Any]) -> list[dict[str, str]]:
    """The homepage of the release, and the works of its references that have an address."""
    found = [{"identifier": str(cited["url"]), "relation": "isDocumentedBy"}] if cited.get("url") else []
    for work in works:
        address = work.get("doi") or work.get("url") if isinstance(work, dict) else None
        if address:
            found.append({"identifier": str(address), "relation": "references"})
    return found
