"""The KGTK tables as RDF: complete, or an error that names file and line."""

import gzip
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.sparql.client import Endpoint, select
from hgld.pipeline.sparql.kgtk import TABLES, subset_to_ntriples
from hgld.pipeline.sparql.oxigraph import facts_files, serving

GOOD = gzip.compress(b"child\tparent\nQ1\tQ2\n" * 50, mtime=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"child\tparent\n", "not a gzip file"),
        (GOOD[:-10], "truncated"),
        (GOOD[:12] + b"\xff\xff" + GOOD[14:], "damaged|not a gzip file"),
        (gzip.compress(b"child\tparent\nQ1\t\xff\n", mtime=0), "not UTF-8"),
        (gzip.compress(b"", mtime=0), "found nothing"),
    ],
)
def test_unreadable_table_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    name = next(iter(TABLES))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HgldError, match=message) as caught:
        subset_to_ntriples(tmp_path, tmp_path / "out.nt")
    assert name in str(caught.value)
    assert not (tmp_path / "out.nt").exists()


def subset(folder: Path, **rows: list[str]) -> Path:
    for name, table in TABLES.items():
        lines = ["\t".join(table.header), *rows.get(name.split(".")[0], [])]
        with gzip.open(folder / name, "wt", encoding="utf-8") as handle:
            handle.write("\n".join(lines) + "\n")
    return folder


def test_subset_is_converted_to_ntriples(tmp_path: Path) -> None:
    folder = subset(
        tmp_path,
        subclass_of=["Q2\tQ3", "P5\tQ3"],
        instance_of=["Q1\tQ2", "Q1\tP2"],
        labels_en=["Q1\tSt. Mary\\'s \\ Church", '"odd"\tx', 'Q2\t"The \\""Old\\"" One"'],
        commons_category=["Q1\tÉglise"],
    )
    out = tmp_path / "out.nt"
    assert subset_to_ntriples(folder, out) == 5
    text = out.read_text(encoding="utf-8")
    label = "<http://www.wikidata.org/entity/Q1> <http://www.w3.org/2000/01/rdf-schema#label>"
    assert f'{label} "St. Mary\'s \\\\ Church"@en .' in text
    assert '"The \\"Old\\" One"@en' in text
    assert '<http://www.wikidata.org/prop/direct/P373> "Église" .' in text
    assert facts_files([folder], tmp_path) == [tmp_path / "subset-0.nt"]
    with serving([folder]) as url:
        assert select(Endpoint(url, "test"), "SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }", ("n",)) == [("5",)]


def test_malformed_subset_is_an_error_with_its_line(tmp_path: Path) -> None:
    subset(tmp_path, instance_of=["Q1\tQ2", "Q1"])
    with pytest.raises(HgldError, match=r"instance_of\.tsv\.gz:3: expected item and class; found Q1"):
        subset_to_ntriples(tmp_path, tmp_path / "out.nt")
    assert not (tmp_path / "out.nt").exists()
    subset(tmp_path)
    (tmp_path / "labels_en.tsv.gz").unlink()
    with pytest.raises(HgldError, match=r"no table .*labels_en"):
        subset_to_ntriples(tmp_path, tmp_path / "out.nt")
