"""The metadata of a deposition out of CITATION.cff, and a line for each way in which that file can be wrong."""

from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.release.publishing.plan import Release
from hgld.pipeline.release.publishing.zenodo_metadata import deposition_metadata

GOOD = {
    "title": "T & U",
    "version": "'1.2'",
    "license": "CC-BY-4.0",
    "authors": "[{family-names: Ibáñez, given-names: Ana}]",
}


def _metadata(folder: Path, **fields: str) -> dict:
    lines = [f"{key}: {value}\n" for key, value in {**GOOD, **fields}.items() if value]
    (folder / "CITATION.cff").write_text("".join(lines), encoding="utf-8")
    return deposition_metadata(Release(folder, "T", "1.2", {}))


def test_what_is_optional_may_be_missing(tmp_path: Path) -> None:
    assert _metadata(tmp_path) == {
        "title": "T & U", "upload_type": "dataset", "description": "<p>T &amp; U</p>",
        "creators": [{"name": "Ibáñez, Ana"}], "version": "1.2", "access_right": "open", "license": "cc-by-4.0",
        "keywords": [], "related_identifiers": [],
    }  # fmt: skip


def test_date_and_addresses_are_taken_over(tmp_path: Path) -> None:
    works = "[{doi: 10.1/x, url: 'https://a.org'}, {url: 'https://b.org'}, {title: none}, text]"
    found = _metadata(tmp_path, **{"date-released": "2026-01-02", "url": "https://home.org", "references": works})
    assert found["publication_date"] == "2026-01-02"
    assert [(row["relation"], row["identifier"]) for row in found["related_identifiers"]] == [
        ("isDocumentedBy", "https://home.org"), ("references", "10.1/x"), ("references", "https://b.org"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"title": ""}, "no title; write the release again: dvc repro release"),
        ({"license": "", "authors": ""}, "no authors, license;"),
        ({"version": "'1.3'"}, "version 1.3, but metadata.json says 1.2"),
        ({"authors": "[x]"}, "an author without a name: 'x'"),
        ({"authors": "[{given-names: Ana}]"}, "an author without a name"),
        ({"authors": "5"}, "expected a list of authors, found '5'"),
        ({"keywords": "a"}, "expected a list of keywords, found 'a'"),
        ({"references": "{a: b}"}, "expected a list of references"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, fields: dict[str, str], message: str) -> None:
    with pytest.raises(HgldError) as caught:
        _metadata(tmp_path, **fields)
    (line,) = caught.value.args
    assert message in line and line.startswith(f"{tmp_path / 'CITATION.cff'}: ")


def test_a_release_without_the_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HgldError, match=r"no .*CITATION\.cff, from which Zenodo gets"):
        deposition_metadata(Release(tmp_path, "T", "1.2", {}))
