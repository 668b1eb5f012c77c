"""The layers: cli → {pipeline, benchmarks} → hierarchy; and what the wheel holds is what the tree holds."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGES = ("hierarchy", "pipeline", "benchmarks")
MAY_IMPORT = {
    "hierarchy": {"hierarchy"},
    "pipeline": {"pipeline", "hierarchy"},
    "benchmarks": {"benchmarks", "hierarchy"},
}
NOT_IN_HIERARCHY = {"torch", "requests", "SPARQLWrapper", "open_clip", "timm", "urllib3", "socket", "http"}


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert len(found) > 3
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_layer_imports_only_what_lies_below_it(package: str) -> None:
    for path in _modules(package):
        for name in _imports(path):
            parts = name.split(".")
            if parts[0] == "hgld" and len(parts) > 1:
                assert parts[1] in MAY_IMPORT[package], f"{path.relative_to(ROOT)} imports {name}"


def test_the_domain_knows_no_network_and_no_torch() -> None:
    for path in _modules("hierarchy"):
        roots = {name.split(".")[0] for name in _imports(path)}
        assert not roots & NOT_IN_HIERARCHY, f"{path.relative_to(ROOT)} imports {roots & NOT_IN_HIERARCHY}"


def test_every_subpackage_is_packaged_and_cli_is_the_only_root_module() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {"hgld"}
    for package in PACKAGES:
        for init in (ROOT / package).rglob("__init__.py"):
            found.add(".".join(["hgld", *init.parent.relative_to(ROOT).parts]))
    assert set(setuptools["packages"]) == found
    assert [path.name for path in ROOT.glob("*.py")] == ["cli.py"]


def test_data_that_code_reads_is_packaged() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and path.suffix not in {".py", ".pyc"}:
                name = ".".join(["hgld", *path.parent.relative_to(ROOT).parts])
                assert any(path.match(one) for one in patterns.get(name, [])), (
                    f"{path} would not be in the wheel"
                )


def test_no_module_is_a_drawer_for_anything() -> None:
    drawers = {"utils", "lib", "common", "helpers", "misc"}
    assert not [path for package in PACKAGES for path in _modules(package) if path.stem in drawers]


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    heavy = "torch", "pandas", "networkx", "open_clip", "pydantic", "requests"
    code = f"import sys, hgld.cli; sys.exit(', '.join(m for m in {heavy} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"hgld.cli imports {done.stderr}"
