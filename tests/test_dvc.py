"""dvc.yaml: a stage runs again when any code that it runs has changed, and names its parameters."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from hgld.cli import STAGES
from hgld.foundation.settings import Params, load_params
from tests.paths import ROOT

# How files are written, checked and named: a change there does not change what is written.
FOUNDATION = {
    f"hierarchy/{name}.py" for name in ("errors", "files", "params", "schemas", "tables", "__init__")
}
GENERATED = {"sources/sample/metadata", "sources/sample/clip"}
MAKERS = {"draw": "pipeline/sample/world.py", "clip": "pipeline/sample/tiny_clip.py"}


def _stages(file: str) -> dict[str, Any]:
    stages: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / file)["stages"]
    return stages


def _module(stage: str) -> str:
    if stage in MAKERS:
        return MAKERS[stage]
    return {"train": "benchmarks/training/train.py", "benchmark": "benchmarks/evaluation/benchmark.py"}.get(
        stage, f"pipeline/{stage}.py"
    )


@cache
def _imported(file: str) -> frozenset[str]:
    """The package's own files that a file imports, itself included, all the way down."""
    found = {file}
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hgld."):
            base = "/".join((node.module or "").split(".")[1:])
            names = [f"{base}.py", *(f"{base}/{alias.name}.py" for alias in node.names)]
            for name in names:
                if (ROOT / name).is_file() and name not in found:
                    found |= _imported(name)
    return frozenset(found)


STAGE_FILES = {name: (stage, "dvc.yaml") for name, stage in _stages("dvc.yaml").items()}
STAGE_FILES |= {
    name: (stage, "sources/sample/dvc.yaml") for name, stage in _stages("sources/sample/dvc.yaml").items()
}


@pytest.mark.parametrize("name", STAGE_FILES)
def test_a_stage_depends_on_the_code_it_runs(name: str) -> None:
    deps = STAGE_FILES[name][0]["deps"]
    for file in sorted(_imported(_module(name)) - FOUNDATION):
        covered = any(file == dep or file.startswith(f"{dep}/") for dep in deps)
        assert covered, f"{name} runs {file}, which is not among its deps"
    for dep in deps:
        if not dep.startswith(("data/", "sources/")):
            assert (ROOT / dep).exists(), f"{name} depends on {dep}, which is not there"


def test_every_query_text_is_a_dependency_of_the_wikidata_stage() -> None:
    queries = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").glob("*.rq")}
    assert queries
    assert queries <= set(STAGE_FILES["wikidata"][0]["deps"])


def test_the_stages_are_those_of_the_command_line() -> None:
    assert list(_stages("dvc.yaml")) == [*STAGES, "benchmark"]


@pytest.mark.parametrize("name", list(_stages("dvc.yaml")))
def test_a_stage_says_what_it_does_and_names_its_section(name: str) -> None:
    stage = _stages("dvc.yaml")[name]
    assert stage["desc"]
    assert f"${{profile}}.{name}" in stage["params"]
    assert stage["cmd"].startswith(f"hgld {name}")


def test_verdicts_are_never_an_output() -> None:
    for stage, _ in STAGE_FILES.values():
        for out in stage["outs"]:
            path = out if isinstance(out, str) else next(iter(out))
            assert not path.startswith("review")


@pytest.mark.parametrize("name", list(_stages("dvc.yaml")))
def test_a_stage_names_every_section_that_its_module_reads(name: str) -> None:
    tree = ast.parse((ROOT / _module(name)).read_text(encoding="utf-8"))
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
    } & set(Params.model_fields) - {"profile"}
    named = {param.split(".")[1] for param in _stages("dvc.yaml")[name]["params"]}
    assert read <= named, f"{name} reads {read - named}, which is not among its params"


@pytest.mark.parametrize("profile", ["sample", "gldv2"])
@pytest.mark.parametrize(
    ("stage", "section", "key", "files"),
    [
        ("download", "download", "source", [""]),
        ("images", "images", "source", [""]),
        ("wikidata", "wikidata", "facts", [""]),
        *(
            (stage, "build", "taxonomy", names)
            for stage, names in (
                ("build", ["taxonomy.csv", "ignored_classes.csv", "cut_edges.csv"]),
                ("queue", ["taxonomy.csv"]),
                ("release", ["taxonomy.csv"]),
            )
        ),
        ("embed", "embed", "model_config_file", [""]),
        ("refine", "refine", "truth", [""]),
    ],
)
def test_a_file_that_the_settings_name_is_a_dependency(
    profile: str, stage: str, section: str, key: str, files: list[str]
) -> None:
    value = getattr(getattr(load_params(ROOT / "params.yaml", profile), section), key)
    deps = [dep.replace("${profile}", profile) for dep in _stages("dvc.yaml")[stage]["deps"]]
    for dep in deps:
        assert dep.startswith("data/") or dep in GENERATED or (ROOT / dep).exists(), f"{profile}: no {dep}"
    if value is not None and "://" not in value:
        for file in files:
            path = (Path(value) / file).as_posix()
            assert any(path == dep or path.startswith(f"{dep}/") for dep in deps), f"{stage} reads {path}"
