"""sources/sample/dvc.yaml: what tests/test_dvc.py, which compares the deps with the imports, does not check."""

import pytest
from ruamel.yaml import YAML

from tests.paths import ROOT

STAGES = YAML(typ="safe").load((ROOT / "sources" / "sample" / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


@pytest.mark.parametrize("name", ["draw", "clip"])
def test_stages_run_in_the_root_and_only_draw_reads_the_landmarks(name: str) -> None:
    assert STAGES[name]["desc"]
    assert STAGES[name]["wdir"] == "../.."
    assert ("sources/sample/landmarks.csv" in STAGES[name]["deps"]) == (name == "draw")
