"""sources/sample/dvc.yaml: each stage depends on every module of the drawing program that its code imports."""

import ast

import pytest
from ruamel.yaml import YAML

from tests.paths import ROOT

PACKAGE = "hgld.pipeline.sample"


def _imported(module: str, seen: set[str]) -> set[str]:
    """The file of a module of the sample package and those it imports, followed to the end."""
    path = f"pipeline/sample/{module}.py"
    if path in seen:
        return seen
    seen.add(path)
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            for name in node.names:
                _imported(name.name, seen)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            _imported(str(node.module).removeprefix(f"{PACKAGE}."), seen)
    return seen


@pytest.mark.parametrize(("stage", "module"), [("draw", "world"), ("clip", "tiny_clip")])
def test_stages_depend_on_the_code_they_run(stage: str, module: str) -> None:
    stages = YAML(typ="safe").load((ROOT / "sources" / "sample" / "dvc.yaml").read_text(encoding="utf-8"))[
        "stages"
    ]
    assert stages[stage]["desc"] and stages[stage]["wdir"] == "../.."
    code = {dep for dep in stages[stage]["deps"] if dep.endswith(".py")}
    assert code == _imported(module, set())
    assert ("sources/sample/landmarks.csv" in stages[stage]["deps"]) == (stage == "draw")
