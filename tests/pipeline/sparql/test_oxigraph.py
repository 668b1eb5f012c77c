"""The local SPARQL server: real facts in, an endpoint out, nothing left behind; and the tables of a subset as RDF."""

import gzip
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.sparql.client import Endpoint, select
from hgld.pipeline.sparql.kgtk import TABLES, subset_to_ntriples
from hgld.pipeline.sparql.oxigraph import facts_files, serving

COUNT = "SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }"


def count(url: str) -> str:
    return select(Endpoint(url, "test"), COUNT, ("n",))[0][0]


def test_it_serves_files_and_folders_and_stops(tmp_path: Path) -> None:
    (tmp_path / "a.ttl").write_text("<urn:a> <urn:b> <urn:c>, <urn:d> .")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.nt").write_text("<urn:a> <urn:b> <urn:e> .\n")
    (tmp_path / "more" / "notes.txt").write_text("not RDF")
    with serving([tmp_path / "a.ttl", tmp_path / "more"]) as url:
        assert count(url) == "3"
    with pytest.raises(OSError, match="refused"):
        urlopen(url, timeout=2)


def test_it_stops_when_the_block_fails(tmp_path: Path) -> None:
    (tmp_path / "a.nt").write_text("<urn:a> <urn:b> <urn:c> .\n")
    with pytest.raises(RuntimeError, match="inside"), serving([tmp_path]) as url:
        raise RuntimeError("inside")
    with pytest.raises(OSError, match="refused"):
        urlopen(url, timeout=2)


def test_bad_facts_are_errors(tmp_path: Path) -> None:
    with pytest.raises(HgldError, match="no facts in"), serving([tmp_path]):
        pass
    (tmp_path / "bad.ttl").write_text("this is no Turtle")
    with pytest.raises(HgldError, match=r"bad\.ttl: not valid RDF"), serving([tmp_path]):
        pass
    with pytest.raises(HgldError, match="no file"), serving([tmp_path / "none.ttl"]):
        pass


def test_a_taken_port_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.nt").write_text("<urn:a> <urn:b> <urn:c> .\n")
    with serving([tmp_path]) as url:
        port = int(re.search(r":(\d+)/", url)[1])  # type: ignore[index]
        with pytest.raises(HgldError, match=f"port {port} cannot be used"), serving([tmp_path], port):
            pass


def subset(folder: Path, **rows: list[str]) -> Path:
    for name, (header, *_) in TABLES.items():
        lines = ["\t".join(header), *rows.get(name.split(".")[0], [])]
        with gzip.open(folder / name, "wt", encoding="utf-8") as handle:
            handle.write("\n".join(lines) + "\n")
    return folder


def test_a_subset_becomes_ntriples(tmp_path: Path) -> None:
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
        assert count(url) == "5"


def test_a_broken_subset_is_an_error_with_its_line(tmp_path: Path) -> None:
    subset(tmp_path, instance_of=["Q1\tQ2", "Q1"])
    with pytest.raises(HgldError, match=r"instance_of\.tsv\.gz:3: expected item and class; found Q1"):
        subset_to_ntriples(tmp_path, tmp_path / "out.nt")
    assert not (tmp_path / "out.nt").exists()
    subset(tmp_path)
    (tmp_path / "labels_en.tsv.gz").unlink()
    with pytest.raises(HgldError, match=r"no table .*labels_en"):
        subset_to_ntriples(tmp_path, tmp_path / "out.nt")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_hgld_serve_prints_its_endpoint_and_ends_on_a_signal(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "a.nt").write_text("<urn:a> <urn:b> <urn:c> .\n")
    command = [sys.executable, "-m", "hgld.cli", "serve", str(tmp_path)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    # in a background job of a shell SIGINT is ignored, and so it is here
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert count(url) == "1"
            process.send_signal(how)
            assert process.wait(20) == 0
        finally:
            process.kill()
    with pytest.raises(OSError, match="refused"):
        urlopen(url, timeout=2)
