"""The house: which folder may import from which, what a folder is for, and that the wheel holds what the tree holds."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGES = ("foundation", "hierarchy", "pipeline", "benchmarks")

FOUNDATION = {"foundation", "foundation/display"}

# A folder may import from itself and from the folders named here; foundation from nothing, all others from foundation.
MAY_IMPORT = {
    "hierarchy/curated": "",
    "hierarchy/taxonomy": "curated",
    "hierarchy/fusion": "",
    "hierarchy/places": "curated",
    "hierarchy/names": "taxonomy fusion curated",
    "hierarchy/comparison": "taxonomy",
    "hierarchy/comparison/drift": "comparison taxonomy fusion",
    "hierarchy/curation": "taxonomy names fusion places",
    "hierarchy/curation/quality": "curation",
    "pipeline/sample": "",
    "pipeline/dataset": "hierarchy/curated hierarchy/places hierarchy/taxonomy hierarchy/fusion hierarchy/curation",
    "pipeline/acquisition": "",
    "pipeline/sparql": "acquisition",
    "pipeline/wikidata": "sparql hierarchy/taxonomy",
    "pipeline/embedding": "dataset hierarchy/fusion",
    "pipeline/evidence": "dataset embedding hierarchy/taxonomy hierarchy/fusion hierarchy/names",
    "pipeline/release": "pipeline/release/texts pipeline/release/changes dataset hierarchy/taxonomy hierarchy/fusion "
    "hierarchy/curation hierarchy/curation/quality",
    "pipeline/release/changes": "hierarchy/comparison hierarchy/comparison/drift",
    "pipeline/release/texts": "dataset hierarchy/fusion",
    "pipeline/stages": "acquisition dataset embedding evidence sparql wikidata release pipeline/release/texts "
    "hierarchy/taxonomy hierarchy/fusion hierarchy/curation hierarchy/curation/quality",
    "pipeline/release/verification": "dataset pipeline/release/changes hierarchy/taxonomy hierarchy/fusion "
    "hierarchy/comparison hierarchy/comparison/drift",
    "pipeline/release/publishing": "acquisition release pipeline/release/changes pipeline/release/verification",
    "pipeline/release/export": "pipeline/release/verification hierarchy/taxonomy",
    "pipeline/overlap": "",
    "pipeline/review": "stages dataset hierarchy/taxonomy hierarchy/fusion hierarchy/curation "
    "hierarchy/curation/quality",
    "pipeline/review/terminal": "review hierarchy/taxonomy hierarchy/curation",
    "pipeline/review/web": "review hierarchy/taxonomy hierarchy/curation",
    "pipeline/commands": "stages acquisition wikidata sparql dataset pipeline/release/texts pipeline/release/changes "
    "hierarchy/curated hierarchy/taxonomy hierarchy/names hierarchy/fusion hierarchy/comparison "
    "hierarchy/comparison/drift hierarchy/curation",
    "benchmarks/ranking": "",
    "benchmarks/datasets": "ranking",
    "benchmarks/datasets/files": "datasets",
    "benchmarks/datasets/layouts": "benchmarks/datasets/files protocols",
    "benchmarks/models": "",
    "benchmarks/models/sources": "models",
    "benchmarks/losses": "ranking",
    "benchmarks/metrics": "ranking",
    "benchmarks/training": "losses metrics models datasets ranking "
    "benchmarks/training/optimisation benchmarks/training/monitoring",
    "benchmarks/training/optimisation": "models",
    "benchmarks/training/monitoring": "metrics models datasets benchmarks/training/optimisation",
    "benchmarks/run_files": "datasets training",
    "benchmarks/protocols": "ranking models",
    "benchmarks/evaluation": "training metrics models benchmarks/models/sources datasets ranking",
    "benchmarks/comparison": "evaluation metrics benchmarks/models/sources",
    "benchmarks/speed": "metrics losses ranking",
    "benchmarks/claims": "training metrics models comparison benchmarks/training/optimisation",
}
NOT_IN_HIERARCHY = {"torch", "requests", "SPARQLWrapper", "open_clip", "timm", "urllib3", "socket", "http"}
DRAWERS = {"utils", "lib", "common", "helpers", "misc"}
MOST_MODULES = 10


def _modules(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert len(found) > 1
    return found


def _folder(path: Path) -> str:
    return path.parent.relative_to(ROOT).as_posix()


def _allowed(folder: str) -> set[str]:
    """The folders that a folder may import from, with their package."""
    package = folder.split("/")[0]
    names = MAY_IMPORT.get(folder, "").split()
    own = {name if "/" in name else f"{package}/{name}" for name in names}
    return own | {folder} | FOUNDATION


def _imports(path: Path) -> set[str]:
    """The names that a file imports, in full."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _target(name: str) -> str:
    """The folder in which the module of an import such as hgld.hierarchy.names.class_names.key lies."""
    path = ROOT
    for part in name.split(".")[1:]:
        if not (path / part).is_dir():
            break
        path /= part
    return path.relative_to(ROOT).as_posix()


def _code_folders() -> list[str]:
    folders = {_folder(path) for package in PACKAGES for path in _modules(package)}
    return sorted(folders - {"hierarchy", "pipeline", "benchmarks"})


def test_the_table_names_every_folder() -> None:
    assert sorted(MAY_IMPORT) == [folder for folder in _code_folders() if folder not in FOUNDATION]


@pytest.mark.parametrize("folder", _code_folders())
def test_folder_imports_only_what_the_table_allows(folder: str) -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / folder).glob("*.py")
        for name in _imports(path)
        if name.startswith("hgld.") and _target(name) not in _allowed(folder)
    }
    assert sorted(wrong) == []


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_every_arrow_of_the_table_is_used(folder: str) -> None:
    used = {_target(name) for path in (ROOT / folder).glob("*.py") for name in _imports(path) if name[:5] == "hgld."}
    assert sorted(_allowed(folder) - ({folder} | FOUNDATION) - used) == []


def test_the_table_has_no_cycle() -> None:
    reached: list[str] = []
    waiting = dict.fromkeys(MAY_IMPORT)
    while waiting:
        free = [folder for folder in waiting if not (_allowed(folder) - ({folder} | FOUNDATION)) & set(waiting)]
        assert free, f"a cycle among {sorted(waiting)}"
        reached += free
        for folder in free:
            del waiting[folder]


def test_pipeline_and_benchmarks_never_see_each_other() -> None:
    others = {"pipeline": "benchmarks/", "benchmarks": "pipeline/", "hierarchy": ("pipeline/", "benchmarks/")}
    for folder in MAY_IMPORT:
        assert not [name for name in _allowed(folder) if name.startswith(others[folder.split("/")[0]])]


@pytest.mark.parametrize("folder", [*_code_folders(), "hierarchy", "pipeline", "benchmarks"])
def test_folder_says_in_one_sentence_what_is_in_it_and_what_is_not(folder: str) -> None:
    text = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(text) > 40
    assert len(re.findall(r"[.!?](?:\s|$)", text)) == 1, f"{folder}: expected one sentence, found: {text}"
    assert re.search(r"\b(no|not|nothing|without|elsewhere|never|only|neither)\b", text), (
        f"{folder}: what is not in it?"
    )


@pytest.mark.parametrize("folder", [folder for folder in _code_folders() if folder != "pipeline/sample"])
def test_folder_is_small_enough_to_read(folder: str) -> None:
    modules = [path for path in (ROOT / folder).glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES, f"{folder} holds {len(modules)} modules: split it"


def test_the_domain_knows_no_network_and_no_torch() -> None:
    for path in [*_modules("hierarchy"), *_modules("foundation")]:
        roots = {name.split(".")[0] for name in _imports(path)}
        assert not roots & NOT_IN_HIERARCHY, f"{path.relative_to(ROOT)} imports {roots & NOT_IN_HIERARCHY}"


def test_nothing_outside_imports_the_sample() -> None:
    for package in PACKAGES:
        for path in _modules(package):
            if _folder(path) != "pipeline/sample":
                assert not [name for name in _imports(path) if name.startswith("hgld.pipeline.sample")], path


def test_tests_mirror_the_packages() -> None:
    folders = {_folder(path).removeprefix("tests/") for path in (ROOT / "tests").rglob("test_*.py")}
    beside = {"tests", "sources", "docs", "examples"}  # folders that are no packages, but whose content is tested
    assert all((ROOT / folder).is_dir() for folder in beside)
    assert folders - beside <= {*_code_folders(), *PACKAGES}


def test_one_file_knows_where_the_shared_data_are() -> None:
    scripts = [path for folder in ("tests", "docs") for path in (ROOT / folder).rglob("*.py")]
    knowing = [
        path
        for path in scripts
        if 'ROOT.parent / "' in (text := path.read_text(encoding="utf-8")) or '"shared" /' in text
    ]
    assert [path.name for path in knowing] == ["paths.py", "test_layout.py"]


def test_every_subpackage_is_packaged_and_cli_is_the_only_root_module() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {"hgld", "hgld.runs"}
    for package in PACKAGES:
        for init in (ROOT / package).rglob("__init__.py"):
            found.add(".".join(["hgld", *init.parent.relative_to(ROOT).parts]))
    assert set(setuptools["packages"]) == found
    assert [path.name for path in ROOT.glob("*.py")] == ["cli.py"]


def test_the_wheel_holds_every_data_file_and_names_no_other() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    unused = {(name, pattern) for name, own in patterns.items() for pattern in own if name != "hgld"}
    for package in (*PACKAGES, "runs"):
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and path.suffix not in {".py", ".pyc"}:
                name = ".".join(["hgld", *path.parent.relative_to(ROOT).parts])
                matching = [pattern for pattern in patterns.get(name, []) if path.match(pattern)]
                assert matching, f"{path} would not be in the wheel"
                unused -= {(name, pattern) for pattern in matching}
    assert unused == set()


def test_each_line_of_a_message_is_an_argument_of_its_own() -> None:
    """So that a line end in a message is always one of a value, and shown as such (foundation.errors, visible.echo)."""
    for path in [ROOT / "cli.py", *(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and re.fullmatch("echo|[A-Z].*Error", node.func.id)
            ):
                texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
                assert not any("\n" in text for text in texts if isinstance(text, str)), f"{path}:{node.lineno}"


def test_no_module_is_a_drawer_for_anything() -> None:
    assert not [path for package in PACKAGES for path in _modules(package) if path.stem in DRAWERS]


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    heavy = "torch", "pandas", "networkx", "open_clip", "pydantic", "requests"
    code = f"import sys, hgld.cli; sys.exit(', '.join(m for m in {heavy} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"hgld.cli imports {done.stderr}"
