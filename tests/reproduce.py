"""The whole pipeline in fresh clones: offline, nothing runs twice, and the same bytes whatever the order of rows.

    python -m tests.reproduce

Clones the checkout (its last commit) into two temporary folders and runs `dvc repro` in both at once, cut off from
every network but loopback: one with PYTHONHASHSEED=0, the other with PYTHONHASHSEED=1 and the rows of every input CSV
shuffled. Fails when a second `dvc repro` runs anything, an output differs, the data card states other numbers, git sees
a change in another file than the locks, a verdict given to `hgld review` is not what the next `dvc repro` releases, DVC
cannot compare two commits, a command of the documentation fails, or switching to another profile and back runs anything
again.
"""

import csv
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.page_blocks import sample_commands, sample_files

ROOT = Path(__file__).resolve().parents[1]
# Raises the loopback interface of the new network namespace, then becomes the command.
_LOOPBACK_ONLY = (
    "import fcntl, os, socket, struct, sys; s = socket.socket(); "
    "fcntl.ioctl(s, 0x8914, struct.pack('16sH', b'lo', 0x1 | 0x40)); s.close(); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
_REACHES_OUT = "import socket; socket.create_connection(('192.0.2.1', 80), 3)"


def main() -> None:
    """Run both clones, compare them, and go on in both, and in a copy of the first."""
    with tempfile.TemporaryDirectory() as scratch:
        plain, shuffled = Path(scratch, "plain"), Path(scratch, "shuffled")
        for clone in (plain, shuffled):
            _run(["git", "clone", "--quiet", str(ROOT), str(clone)], ROOT)
        _check_cut_off(plain)
        _repro(plain, "0", "sources/sample/dvc.yaml:draw")
        _shuffle_csvs(plain, shuffled)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(_repro, (plain, shuffled), ("0", "1")))
        _check_nothing_runs(plain, "the second dvc repro")
        _run(["hgld", "card", "--check"], plain)
        _check_clean(plain)
        _compare(_hashes(plain), _hashes(shuffled))
        pages = Path(shutil.copytree(plain, Path(scratch, "pages"), symlinks=True))
        checks = {_check_changes: plain, _check_profiles: shuffled, _check_pages: pages}
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda check: check(checks[check]), checks))


def _run(command: list[str], folder: Path, answers: str = "", **env: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / ".typing"), **env},
        input=answers,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} in {folder} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def _offline(command: list[str]) -> list[str]:
    return ["unshare", "--map-root-user", "--net", sys.executable, "-c", _LOOPBACK_ONLY, *command]


def _check_cut_off(folder: Path) -> None:
    out = _run(
        _offline([sys.executable, "-c", f"try:\n {_REACHES_OUT}\nexcept OSError as e: print('cut', e)"]),
        folder,
    )
    if not out.startswith("cut"):
        sys.exit(f"the namespace is not cut off from the network: {out}")


def _repro(folder: Path, hash_seed: str, *targets: str) -> str:
    """Run `dvc repro` offline; print how long it took, and each of its stages."""
    started = time.monotonic()
    env = {**os.environ, "PYTHONPATH": str(folder / ".typing"), "PYTHONHASHSEED": hash_seed}
    lines, starts = [], []
    with subprocess.Popen(
        _offline(["dvc", "repro", *targets]),
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            if stage := re.match(r"Running stage '(?:.*:)?(\w+)'", line):
                starts.append((stage[1], time.monotonic()))
    ended = time.monotonic()
    if process.returncode:
        sys.exit(f"dvc repro in {folder} ended with {process.returncode}:\n{''.join(lines)}")
    took = ", ".join(f"{stage} {end - start:.0f}" for (stage, start), (_, end) in pairwise([*starts, ("", ended)]))
    print(
        f"dvc repro in {folder.name} (PYTHONHASHSEED={hash_seed}): {ended - started:.0f} s ({took})",
        flush=True,
    )
    return "".join(lines)


def _shuffle_csvs(plain: Path, shuffled: Path) -> None:
    """Shuffle the authored CSV of the sample, and serve the metadata from a copy with shuffled rows."""
    _shuffle(shuffled / "sources/sample/landmarks.csv")
    copy = shuffled / "shuffled"
    shutil.copytree(plain / "sources/sample/metadata", copy)
    for path in sorted((copy / "metadata").glob("*.csv")):
        _shuffle(path)
        digest = hashlib.md5(path.read_bytes()).hexdigest()
        (copy / f"md5sum/metadata/md5.{path.name}.txt").write_text(f"{digest}  {path.name}\n")
    params = shuffled / "params.yaml"
    text = params.read_text()
    changed = text.replace("  download:\n    source: sources/sample/metadata", "  download:\n    source: shuffled", 1)
    if changed == text:
        sys.exit("params.yaml has another form than this check expects")
    params.write_text(changed)


def _shuffle(path: Path) -> None:
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    order = random.Random(path.name).sample(rows, len(rows))
    if len(rows) > 2 and order == rows:
        sys.exit(f"{path} was not shuffled")
    path.write_text("\n".join([header, *order, ""]), encoding="utf-8")


def _check_clean(folder: Path) -> None:
    """Git sees no change but in the locks, which differ from one processor to the next."""
    changed = [line for line in _run(["git", "status", "--porcelain"], folder).splitlines() if line[-8:] != "dvc.lock"]
    if changed:
        sys.exit(f"dvc repro in {folder} changed files of the repository: {changed}")


def _check_changes(folder: Path) -> None:
    """What follows from a verdict and from other settings."""
    _check_verdict(folder)
    _check_commits(folder)


def _check_pages(folder: Path) -> None:
    """The commands of the documentation that need a finished sample, as a reader types them."""
    for name, text in sample_files().items():
        (folder / name).write_text(text, encoding="utf-8")
    for name in ("old_release", "new_release", "OLD_RELEASE", "NEW_RELEASE", "OLD", "NEW"):
        shutil.copytree(folder / "data/sample/release", folder / name)
    started, commands = time.monotonic(), {command: page for page, command in reversed(sample_commands())}
    for command, page in reversed(commands.items()):
        output = _run(["bash", "-c", command], folder)
        if re.search("^(Traceback|Error)", output, re.MULTILINE):
            sys.exit(f"{page}: {command}:\n{output}")
    print(f"{len(commands)} commands of the documentation: {time.monotonic() - started:.0f} s", flush=True)


def _check_verdict(folder: Path) -> None:
    """A verdict on the first category of the queue becomes its released label, with its source; the file stays."""
    with (folder / "data/sample/queue/queue.csv").open(encoding="utf-8", newline="") as handle:
        first = next(csv.DictReader(handle))
    label = "lighthouse" if first["suggested_label"] != "lighthouse" else "zoo"
    _run(["hgld", "review", "--text", "--annotator", "ana"], folder, answers=f"{label} # seen on the spot\nq\n")
    verdicts = (folder / "review/ana.csv").read_bytes()
    _run(_offline(["dvc", "repro", "release", "queue"]), folder)
    chain = _run(["hgld", "show", first["category"]], folder)
    if not re.search(rf"released +{label} > human-made .*source: .*ana", chain):
        sys.exit(f"the verdict is not what was released:\n{chain}")
    if (folder / "review/ana.csv").read_bytes() != verdicts:
        sys.exit("the verdict file was changed by a stage")
    if first["category"] in (folder / "data/sample/queue/queue.csv").read_text(encoding="utf-8"):
        sys.exit("a judged category is still in the queue")
    print(f"a verdict on {first['category']} is released as {label}, by ana")


def _check_nothing_runs(folder: Path, what: str, but: str = "") -> None:
    """but: a stage that may run."""
    output = _repro(folder, "0")
    if set(re.findall("Running stage '(.*)'", output)) - {but}:
        sys.exit(f"{what} ran something:\n{output}")


def _check_commits(folder: Path) -> None:
    """DVC compares metrics, experiments and plots of two commits, with a figure on both sides."""
    _commit(folder, "one")
    _edit_params(folder, lambda sample: sample["train"].update(epochs=2))
    _repro(folder, "0")
    _commit(folder, "two")
    one, two = (_run(["git", "rev-parse", revision], folder).strip() for revision in ("HEAD~1", "HEAD"))
    file = "data/sample/benchmark/metrics.json"
    change = _json(["metrics", "diff", one, two], folder)[file]["H-AP"]
    shown = _json(["metrics", "show", "--all-commits"], folder)
    figures = [shown[revision]["data"][file]["data"]["H-AP"] for revision in (one, two)]
    if figures != [change["old"], change["new"]]:
        sys.exit(f"dvc metrics diff and show disagree: {change}, {figures}")
    latest = next(entry for entry in _json(["exp", "show"], folder) if entry["rev"] == two)
    if latest["data"]["metrics"][file]["data"]["H-AP"] != figures[1]:
        sys.exit(f"dvc exp show lacks the figures of the commit: {latest}")
    curves = _json(["plots", "diff", one], folder)["data"]
    revisions = {
        point["rev"] for plots in curves.values() for plot in plots for point in plot["content"]["data"]["values"]
    }
    if len(revisions) < 2:
        sys.exit(f"dvc plots diff draws the curves of {revisions}")
    print(f"DVC compares two commits: H-AP {figures[0]} and {figures[1]}, curves of {len(revisions)} revisions")


def _json(arguments: list[str], folder: Path) -> Any:
    """What a command of DVC prints as JSON; it fails on older commits, whose outputs this clone does not have."""
    command = ["dvc", *arguments, "--json"]
    return json.loads(subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def _check_profiles(folder: Path) -> None:
    """A second profile beside the first; back to the first, and to the second again, only the first check runs.

    It reads all of params.yaml: a profile may name others, whose verdicts count.
    """
    for name in ("metadata", "clip", "wikidata", "landmarks.csv"):
        source, target = folder / "sources/sample" / name, folder / "sources/other" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, _made(target))
    params = folder / "params.yaml"
    text = params.read_text()
    section = text[text.index("\nsample:") : text.index("\ngldv2:")]
    other = section.replace("\nsample:", "\nother:").replace("sources/sample", "sources/other")
    for profile in ("other", "sample", "other"):
        params.write_text(text.replace("profile: sample", f"profile: {profile}") + other)
        first_time = profile == "other" and not (folder / "data/other").exists()
        if first_time:
            _repro(folder, "0")
        else:
            _check_nothing_runs(folder, f"switching back to the profile {profile}", but="check")


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _edit_params(folder: Path, change: Callable[[Any], object]) -> None:
    """Change the section `sample` of params.yaml."""
    yaml, path = YAML(), folder / "params.yaml"
    document = yaml.load(path)
    change(document["sample"])
    yaml.dump(document, path)


def _commit(folder: Path, message: str) -> None:
    _run(["git", "add", "--all"], folder)
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
    _run(["git", *identity, "commit", "--quiet", "--message", message], folder)


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every output; the downloads are inputs, kept as they came, and the query cache is a cache."""
    found = {}
    for top in ("data/sample", "sources/sample/clip"):
        for path in sorted((folder / top).rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not name.startswith(("data/sample/downloads", "data/sample/cache")):
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _compare(one: dict[str, str], two: dict[str, str]) -> None:
    differing = [name for name in sorted(one.keys() | two.keys()) if one.get(name) != two.get(name)]
    if differing or not one:
        sys.exit("outputs differ:\n" + "\n".join(differing))
    print(f"{len(one)} output files, all equal")


if __name__ == "__main__":
    main()
