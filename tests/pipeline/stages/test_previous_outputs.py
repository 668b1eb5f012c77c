"""A real `dvc repro` that fails or is killed: what people work with is still there, in the version it had."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.config import Config
from ruamel.yaml import YAML

from hgld.hierarchy.curation.verdict import COLUMNS
from hgld.pipeline.stages import check, queue, release
from hgld.pipeline.stages.previous_outputs import put_back
from tests.paths import ROOT

STAGES = ("queue", "release", "train")
GATE = "check"
# a verdict with one bad cell
BAD = {"category": "Torn Place", "hierarchical_label": "no such label", "annotator": "ana", "decided_on": "2026-01-03"}


def _dvc(*words: str) -> "subprocess.Popen[str]":
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / ".typing"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *words],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _pipeline(folder: Path) -> None:
    """The stages of dvc.yaml, with their commands, outputs and data, but without the files of code; committed."""
    yaml = YAML(typ="safe", pure=True)
    document = yaml.load(ROOT / "dvc.yaml")
    stages = {name: document["stages"][name] for name in (GATE, *STAGES)}
    for stage in stages.values():
        stage["deps"] = [dep for dep in stage["deps"] if (folder / dep.replace("${profile}", "sample")).exists()]
    yaml.dump({"stages": stages}, folder / "dvc.yaml")
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(text.replace("taxonomy: hierarchy/", f"taxonomy: {ROOT}/hierarchy/"))
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    commit = _dvc("commit", "--force")
    output, _ = commit.communicate()
    assert commit.returncode == 0, output


@pytest.fixture
def repository(proposed) -> Path:
    """A repository whose queue, release and model are finished and committed to DVC."""
    Path("review").mkdir()
    queue.run(proposed.params)
    release.run(proposed.params)
    shutil.copy(ROOT / "params.yaml", ".")
    check.run(proposed.params, [])
    names = "train/model.pt train/curves.csv train/metrics.json images/tars.csv images/images.parquet"
    for name in names.split():
        path = proposed.data / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"the old {path.name}")
    _pipeline(proposed.folder)
    return proposed.data


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_people_work_with_survives_a_run_that_fails_or_is_killed(repository: Path) -> None:
    before = {stage: _contents(repository / stage) for stage in STAGES}
    rows = [COLUMNS, [BAD.get(name, "") for name in COLUMNS]]
    Path("review/ana.csv").write_text("".join(f"{','.join(row)}\n" for row in rows))
    for stage in ("queue", "release"):
        run = _dvc("repro", "--single-item", stage)
        output, _ = run.communicate()
        assert run.returncode, output
        assert re.search(r"review/ana\.csv:2:.*'no such label'", output), output
        assert _contents(repository / stage) == before[stage]
    params = Path("params.yaml")
    params.write_text(params.read_text(encoding="utf-8").replace("epochs: 15", "epochs: 14"), encoding="utf-8")
    model = repository / "train" / "model.pt"
    committed = model.stat().st_mtime_ns
    run = _dvc("repro", "--single-item", "train")
    _wait(lambda: not model.exists() or model.stat().st_mtime_ns != committed)  # DVC has deleted it
    _wait(lambda: _contents(repository / "train").keys() == before["train"].keys())
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert _contents(repository / "train") == before["train"]


def _versions(folder: Path) -> dict[str, tuple[int, int]]:
    """Which files there are, and whether they are still the same ones: a file that was deleted is another when back."""
    states = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in states.items()}


def test_nothing_is_deleted_before_what_people_edit_is_valid(repository: Path) -> None:
    before = {stage: _versions(repository / stage) for stage in STAGES}
    rows = [COLUMNS, [BAD.get(name, "") for name in COLUMNS]]
    Path("review/ana.csv").write_text("".join(f"{','.join(row)}\n" for row in rows))
    params = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(params.replace("name: sup_hap", "name: sup_hpa", 1), encoding="utf-8")
    run = _dvc("repro", "--force")
    output, _ = run.communicate()
    assert run.returncode and "failed to reproduce 'check'" in output, output
    assert re.search(r"2 problem\(s\).*unknown loss 'sup_hpa'.*review/ana\.csv:2:.*'no such label'", output, re.DOTALL)
    assert {stage: _versions(repository / stage) for stage in STAGES} == before
    # without it, DVC would delete the outputs of a single stage, and then not run it
    assert (repository / GATE / "valid.json").is_file()


def test_outputs_come_back_after_a_change_of_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dvc.lock has the other profile then. The newest version is the one of the last run."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    shutil.copytree(ROOT / ".dvc", ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    out = "data/${profile}/train"
    stage = {"cmd": f"mkdir -p {out} && cp input {out}/model.pt", "deps": ["input"], "outs": [f"{out}/model.pt"]}
    YAML(typ="safe", pure=True).dump({"stages": {"train": stage}}, Path("dvc.yaml"))
    for profile, content in (("one", "old"), ("one", "new"), ("two", "new")):
        Path("params.yaml").write_text(f"profile: {profile}\n")
        Path("input").write_text(f"{profile}: {content}")
        run = _dvc("repro")
        assert run.communicate() and run.returncode == 0
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_STAGE", "train")
    for profile in ("one", "two"):
        model = Path(f"data/{profile}/train/model.pt")
        model.unlink()
        put_back(profile)
        assert model.read_text() == f"{profile}: new"


@pytest.fixture
def train_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which `train` runs: its three outputs are in dvc.lock, and neither in place nor in a cache."""
    for level in ("global", "system"):
        (tmp_path / level).mkdir()
        monkeypatch.setenv(f"DVC_{level.upper()}_CONFIG_DIR", str(tmp_path / level))
    root = tmp_path / "root"
    (root / ".dvc").mkdir(parents=True)
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.setenv("DVC_STAGE", "train")
    outs = [{"path": f"data/one/train/{name}", "md5": hashlib.md5(name.encode()).hexdigest()} for name in OUTS]
    lock = {"stages": {"train": {"cmd": "x", "outs": outs}}}
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(lock, root / "dvc.lock")
    return root


OUTS = ("curves.csv", "metrics.json", "model.pt")


def _fill(cache: Path, *names: str) -> None:
    """Outputs whose content is their name in a cache."""
    for name in names:
        digest = hashlib.md5(name.encode()).hexdigest()
        path = cache / "files" / "md5" / digest[:2] / digest[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def _put_back(root: Path) -> list[str]:
    """The outputs that come back."""
    put_back("one")
    files = [path for path in (root / "data").rglob("*.*") if path.is_file()]
    return sorted(path.name for path in files if path.read_text() == path.name)


@pytest.mark.parametrize(
    ("file", "text", "cache"),
    [
        ("global/config", "[cache]\n    dir = {tmp}/far\n", "far"),
        ("system/config", "[cache]\n    dir = {tmp}/far\n", "far"),
        ("global/config", "[cache]\n    dir = near\n", "global/near"),
        ("root/.dvc/config", "[core]\n    autostage = true\n['remote \"s3\"']\n    url = s3://a\n", "root/.dvc/cache"),
        ("root/.dvc/config", '[cache]\n    dir = "{tmp}/a,b"\n', "a,b"),
        ("root/.dvc/config.local", "[Cache]\n    DIR = '{tmp}/a#b' # a comment\n", "a#b"),
        ("root/.dvc/config", "[cache]\n    dir = ../../shared\n    type = hardlink,copy\n", "shared"),
    ],
)
def test_outputs_come_back_from_the_cache_that_dvc_uses(train_ran: Path, file: str, text: str, cache: str) -> None:
    folder = train_ran.parent
    (folder / file).write_text(text.format(tmp=folder))
    _fill(folder / cache, *OUTS)
    config = Config(dvc_dir=str(train_ran / ".dvc"))
    assert Path(config["cache"].get("dir", train_ran / ".dvc" / "cache")) == folder / cache
    assert _put_back(train_ran) == sorted(OUTS)


def test_a_nearer_configuration_takes_precedence(train_ran: Path) -> None:
    (train_ran.parent / "global" / "config").write_text("[cache]\n    dir = far\n")
    (train_ran / ".dvc" / "config").write_text("[cache]\n    dir = near\n")
    _fill(train_ran / ".dvc" / "near", *OUTS)
    assert _put_back(train_ran) == sorted(OUTS)


def test_an_output_that_cannot_come_back_keeps_no_other_away(
    train_ran: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _fill(train_ran / ".dvc" / "cache", "metrics.json", "model.pt")
    assert _put_back(train_ran) == ["metrics.json", "model.pt"]
    shutil.rmtree(train_ran / "data")
    (train_ran / "data/one/train").mkdir(parents=True)
    (train_ran / "data/one/train/metrics.json").symlink_to("/dev/null/elsewhere")
    assert _put_back(train_ran) == ["model.pt"]
    (line,) = capsys.readouterr().out.splitlines()
    assert "cannot be put back" in line and "metrics.json" in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cache]\n    dir = {tmp}/unmounted\n", "/unmounted, the cache folder in DVC's configuration, does not exist"),
        ("[cache\n    dir = x\n", "cannot be put back"),
        ("dir = x\n[cache]\n[cache]\n", "cannot be put back"),
    ],
)
def test_a_cache_that_cannot_be_found_is_one_line(
    train_ran: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    put_back("one")
    assert capsys.readouterr().out == "", "a fresh clone has no cache"
    (train_ran / ".dvc" / "config").write_text(text.format(tmp=train_ran.parent))
    put_back("one")
    (line,) = capsys.readouterr().out.splitlines()
    assert message in line


def test_stage_runs_without_a_word_when_the_cache_holds_no_previous_outputs(repository: Path) -> None:
    """As in a fresh clone: dvc.lock records outputs that nobody has."""
    before = _contents(repository / "queue")
    shutil.rmtree(".dvc/cache")
    shutil.rmtree(repository / "queue")
    run = _dvc("repro", "--single-item", "queue")
    output, _ = run.communicate()
    assert run.returncode == 0, output
    assert "put back" not in output
    assert _contents(repository / "queue").keys() == before.keys()
