"""Each example runs as its docstring says, in seconds and without a network, and prints what the pages say it does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.page_blocks import pages
from tests.paths import ROOT

EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
# No request leaves this machine: every host but this one is behind a proxy that does not exist.
NOWHERE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


def run(name: str, folder: Path) -> str:
    env = {**os.environ, **NOWHERE, "no_proxy": "127.0.0.1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT / ".typing"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", "error::DeprecationWarning:hgld", str(ROOT / "examples" / name)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    return done.stdout


def test_the_loop_of_ones_own_learns(tmp_path: Path) -> None:
    values = [float(value) for value in re.findall(r"H-AP (0\.\d+)", run("own_training_loop.py", tmp_path))]
    assert len(values) == 3
    assert values[0] < 0.6 and values[-1] > 0.8


def test_the_timm_model_is_scored(tmp_path: Path) -> None:
    text = run("score_timm_model.py", tmp_path)
    assert text.startswith("24 queries, levels fine and coarse\n")
    (h_ap,) = (float(value) for value in re.findall(r"H-AP +(\d\.\d+)", text))
    assert 0.5 < h_ap < 1  # random features tell colours apart, but not perfectly


def test_the_landmarks_get_their_labels(tmp_path: Path) -> None:
    by_name, by_class = re.split(r"\n(?= *category)", run("label_my_landmarks.py", tmp_path))
    for landmark, label, item in (
        ("Hoover Dam", "dam", "Q172822"),
        ("St. Paul's Cathedral", "church", "Q173882"),
        ("Wat Arun", "buddhist temple", "Q724970"),
        (r"Theatinerkirche \(Munich\)", "church", "Q259799"),
    ):
        assert re.search(f"{landmark} +{label} +0\\.", by_name), by_name
        assert re.search(f"{landmark} +{label} +{item} +Q", by_class), by_class


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_short_and_shown_in_the_documentation(name: str) -> None:
    assert len((ROOT / "examples" / name).read_text(encoding="utf-8").splitlines()) <= 60
    including = [page for page in pages() if f'--8<-- "examples/{name}"' in (ROOT / page).read_text(encoding="utf-8")]
    assert including, f"no page of docs/ includes examples/{name}"


def test_every_example_has_a_test() -> None:
    assert [name for name in EXAMPLES if f'run("{name}"' not in Path(__file__).read_text(encoding="utf-8")] == []
