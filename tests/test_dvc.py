"""dvc.yaml: a stage runs again when code or data that it reads has changed, and for nothing else; params are named."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from hgld.cli import STAGES
from hgld.foundation.files import STAGE_OF_FOLDER
from hgld.foundation.settings import Params, load_params
from hgld.hierarchy.fusion.evidence_kinds import proposing_kinds
from tests.paths import ROOT

PACKAGES = ("foundation", "hierarchy", "pipeline", "benchmarks")
# Left out on purpose, although every stage imports them: messages, settings, and how tables and files are written. A
# stage that costs hours is not run again for them; who changes the form of a file runs `dvc repro --force`.
NO_DEPENDENCY = {f"foundation/{name}.py" for name in ("errors", "files", "settings", "tables")}
NO_DEPENDENCY |= {f"foundation/{name}.py" for name in ("lock", "sorted_rows", "text_input", "train_settings")} | {
    "foundation/display/visible.py"
}
NO_DEPENDENCY |= {"pipeline/dataset/schemas.py"}
GENERATED = {"sources/sample/metadata", "sources/sample/clip"}
MAKERS = {"draw": "pipeline/sample/world.py", "clip": "pipeline/sample/tiny_clip.py"}
# A false re-run of these costs network or GPU time: their code is named file by file.
COSTLY = {"images", "wikidata", "embed"}
# The stage that validates what people edit; nothing runs, and so nothing is deleted, while it fails.
GATE = "check"


@cache
def _stages(file: str) -> dict[str, Any]:
    stages: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / file)["stages"]
    return stages


def _module(stage: str) -> str:
    """The module that `hgld STAGE` runs."""
    modules = {"train": "benchmarks/training/train.py", "benchmark": "benchmarks/evaluation/benchmark.py"}
    return {**MAKERS, **modules}.get(stage, f"pipeline/stages/{stage}.py")


def _modules(stage: str) -> list[str]:
    """All modules that the command calls: `hgld check` asks two packages, which do not know each other."""
    return [_module(stage), *(["benchmarks/evaluation/check_settings.py"] if stage == GATE else [])]


@cache
def _imports(file: str) -> frozenset[str]:
    """The package's own files that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hgld."):
            base = "/".join((node.module or "").split(".")[1:])
            names |= {
                f"{base}.py",
                f"{base}/__init__.py",
                *(f"{base}/{alias.name}.py" for alias in node.names),
            }
    if file == "pipeline/evidence/sources.py":  # it imports the modules that the table of evidence kinds names
        names |= {f"{kind.module.removeprefix('hgld.').replace('.', '/')}.py" for kind in proposing_kinds()}
    return frozenset(name for name in names if (ROOT / name).is_file())


@cache
def _imported(file: str) -> frozenset[str]:
    """The package's own files that a file imports, itself included, all the way down."""
    reached, waiting = {file}, [file]
    while waiting:
        new = _imports(waiting.pop()) - reached
        reached |= new
        waiting += new
    return frozenset(reached)


@cache
def _data_files() -> dict[str, str]:
    """Every file in the packages that is not code, by its name: queries, curated tables, templates."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    return {path.name: path.relative_to(ROOT).as_posix() for path in paths if path.suffix not in (".py", ".pyc")}


@cache
def _read_by(file: str) -> frozenset[str]:
    """The data files of the packages whose name stands as a text in a module."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return frozenset(path for name, path in _data_files().items() if name in texts)


def _needed(stage: str) -> set[str]:
    """Code that a stage runs and data files of the packages that this code reads."""
    reached = {file for module in _modules(stage) for file in _imported(module)}
    code = {file for file in reached if not _is_empty(file)} - NO_DEPENDENCY
    return code | {path for file in code for path in _read_by(file)}


def _is_empty(file: str) -> bool:
    """Whether an `__init__.py` holds its docstring only."""
    return file.endswith("__init__.py") and len(ast.parse((ROOT / file).read_text(encoding="utf-8")).body) <= 1


def _tracked(folder: str) -> set[str]:
    """The files below a folder of the packages that a change in would run the stage again."""
    paths = [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    names = {path.relative_to(ROOT).as_posix() for path in paths}
    return {name for name in names if not (name.endswith("__init__.py") and _is_empty(name))}


STAGE_FILES = {name: (stage, "dvc.yaml") for name, stage in _stages("dvc.yaml").items()}
STAGE_FILES |= {name: (stage, "sources/sample/dvc.yaml") for name, stage in _stages("sources/sample/dvc.yaml").items()}


def _own_deps(stage: str) -> list[str]:
    """The deps of a stage that lie in the packages."""
    return [dep for dep in STAGE_FILES[stage][0]["deps"] if dep.split("/")[0] in PACKAGES]


@pytest.mark.parametrize("name", STAGE_FILES)
def test_stage_depends_on_exactly_the_code_and_data_files_it_reads(name: str) -> None:
    deps = _own_deps(name)
    assert [dep for dep in deps if not (ROOT / dep).exists()] == []
    covered = {file for dep in deps for file in ([dep] if (ROOT / dep).is_file() else _tracked(dep))}
    needed = _needed(name)
    assert sorted(needed - covered) == [], f"{name} reads files that are not among its deps"
    assert sorted(covered - needed) == [], f"{name}: name the files that it reads instead of the folder"


@pytest.mark.parametrize("name", STAGE_FILES)
def test_folder_is_a_dependency_only_where_a_false_rerun_is_cheap(name: str) -> None:
    folders = [dep for dep in _own_deps(name) if (ROOT / dep).is_dir()]
    assert not (name in COSTLY and folders)


def test_compiled_files_are_no_dependency() -> None:
    assert "__pycache__/" in (ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", STAGE_FILES)
def test_every_output_is_cached_and_none_persists(name: str) -> None:
    """Otherwise DVC cannot compare the metrics of two commits, nor restore a run when the profile changes back."""
    for out in STAGE_FILES[name][0]["outs"]:
        assert isinstance(out, str), f"{name}: {out} has options"


def test_metrics_and_plots_are_outputs_of_a_stage() -> None:
    document = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")
    outs = {out for stage in document["stages"].values() for out in stage["outs"]}
    named = {*document["metrics"], *(next(iter(plot)) for plot in document["plots"])}
    assert named <= outs
    assert {out for out in outs if out.endswith("/metrics.json")} <= named


def test_the_stages_are_those_of_the_command_line() -> None:
    assert list(_stages("dvc.yaml")) == [GATE, *STAGES, "benchmark"]


def test_the_inputs_are_checked_again_when_another_profile_is_removed() -> None:
    """Verdicts, and release.verdicts_from, name other profiles; its params are those of one."""
    assert "params.yaml" in _stages("dvc.yaml")[GATE]["deps"]


def test_each_stage_has_the_folder_that_messages_and_outputs_name() -> None:
    stages = _stages("dvc.yaml")
    assert list(stages) == list(STAGE_OF_FOLDER.values())
    for folder, stage in STAGE_OF_FOLDER.items():
        assert any(out.startswith(f"data/${{profile}}/{folder}") for out in stages[stage]["outs"])


@pytest.mark.parametrize("name", [*STAGES, "benchmark"])
def test_no_stage_runs_before_the_inputs_are_checked(name: str) -> None:
    """DVC deletes the outputs of a stage before it runs it, whatever the stage then says about a verdict."""
    stages = _stages("dvc.yaml")
    makers = {out: stage for stage, entry in stages.items() for out in entry["outs"]}
    waiting, seen = [name], set()
    while waiting:
        stage = waiting.pop()
        seen.add(stage)
        waiting += {makers[dep] for dep in stages[stage]["deps"] if dep in makers} - seen
    assert GATE in seen


@pytest.mark.parametrize("name", list(_stages("dvc.yaml")))
def test_stage_has_a_description_and_depends_on_its_section_of_params(name: str) -> None:
    stage = _stages("dvc.yaml")[name]
    assert stage["desc"]
    assert (f"${{profile}}.{name}" if name != GATE else "${profile}") in stage["params"]
    assert stage["cmd"].startswith(f"hgld {name}")


@pytest.mark.parametrize("name", STAGE_FILES)
def test_verdicts_are_never_an_output(name: str) -> None:
    assert not [out for out in STAGE_FILES[name][0]["outs"] if out.startswith("review")]


@pytest.mark.parametrize("name", list(_stages("dvc.yaml")))
def test_stage_depends_on_every_section_that_its_module_reads(name: str) -> None:
    tree = ast.parse((ROOT / _module(name)).read_text(encoding="utf-8"))
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
    } & set(Params.model_fields) - {"profile"}
    named = {param.split(".")[1] for param in _stages("dvc.yaml")[name]["params"] if "." in param}
    if name == GATE:
        named = set(Params.model_fields)  # it depends on the whole profile
    assert read <= named, f"{name} reads {read - named}, which is not among its params"


@pytest.mark.parametrize("profile", ["sample", "gldv2"])
@pytest.mark.parametrize(
    ("stage", "section", "key"),
    [
        ("download", "download", "source"),
        ("images", "images", "source"),
        ("wikidata", "wikidata", "facts"),
        ("embed", "embed", "model_config_file"),
        ("refine", "refine", "truth"),
    ],
)
def test_file_that_the_settings_name_is_a_dependency(profile: str, stage: str, section: str, key: str) -> None:
    value = getattr(getattr(load_params(ROOT / "params.yaml", profile), section), key)
    deps = [dep.replace("${profile}", profile) for dep in _stages("dvc.yaml")[stage]["deps"]]
    for dep in deps:
        assert dep.startswith("data/") or dep in GENERATED or (ROOT / dep).exists(), f"{profile}: no {dep}"
    if value is not None and "://" not in value:
        path = Path(value).as_posix()
        assert any(path == dep or path.startswith(f"{dep}/") for dep in deps), f"{stage} reads {path}"


@pytest.mark.parametrize("profile", ["sample", "gldv2"])
def test_the_taxonomy_of_every_profile_is_the_curated_one_that_stages_depend_on(profile: str) -> None:
    assert load_params(ROOT / "params.yaml", profile).build.taxonomy == "hierarchy/curated"
