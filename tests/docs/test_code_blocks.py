"""Every code block of the documentation is run: by the test of its page, here, in a finished sample, or by the
test that a row of ELSEWHERE names; what cannot be run has its reason in NOT_RUN.

`python -m tests.reproduce` runs the commands of SAMPLE in a clone after `dvc repro`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd
import pytest
import timm
import torch
from click.testing import CliRunner

from hgld.benchmarks.models.network import Architecture, build_network, save_checkpoint
from hgld.cli import main
from tests.benchmarks.conftest import add_places, make_world
from tests.benchmarks.run_files.coloured_table import write_table
from tests.page_blocks import Block, blocks, pages, sample_commands
from tests.paths import ROOT

# Pages whose own test takes their commands or snippets from the page, and the kinds of blocks that it runs.
OWN_TEST = {
    "docs/choosing.md": ("tests/benchmarks/claims/test_claims.py", {"yaml"}),
    "docs/evaluate.md": ("tests/benchmarks/evaluation/test_evaluate_page.py", {"command"}),
    "docs/models.md": ("tests/benchmarks/models/sources/test_models_page.py", {"command", "python"}),
    "docs/release_tools.md": ("tests/pipeline/release/test_release_tools_page.py", {"command"}),
    "docs/train.md": ("tests/benchmarks/run_files/test_train_page.py", {"command", "yaml"}),
    "docs/metrics.md": ("tests/benchmarks/metrics/test_metrics_page.py", {"python"}),
    "docs/release.md": ("tests/pipeline/release/test_loaders.py", {"python"}),
}
# Pages whose commands run here, one after the other, in a folder with photographs and their table.
WITH_PHOTOS = (
    "docs/how_to/train_on_my_data.md",
    "docs/how_to/score_my_model.md",
    "docs/how_to/scale_out.md",
    "docs/data.md",
)
# Pages whose commands run here in a folder with a small release, params.yaml and two models.
WITH_A_RELEASE = ("docs/compare.md", "docs/taxonomy.md")
# Commands that another test runs: where, and a text in it.
ELSEWHERE = {
    "python -m hgld.benchmarks.claims*": ("tests/benchmarks/claims/test_claims.py", "--quick"),
    "make demo": ("tests/test_makefile.py", '"demo"'),
    "make docs": ("tests/docs/test_site.py", '"docs"'),
    "make test": (".ci/run", "make test"),
    "make reproduce": (".ci/run", "make reproduce"),
    "dvc repro*": ("tests/reproduce.py", '"dvc", "repro"'),
    "python examples/*.py": ("tests/examples/test_examples.py", "EXAMPLES"),
    "pytest tests/pipeline": (".ci/run", "make test"),
    "hgld review": ("tests/pipeline/review/conftest.py", '"review", "--annotator"'),
    "hgld review --annotator ana": ("tests/pipeline/review/conftest.py", '"review", "--annotator"'),
    "hgld review --only-conflicts": ("tests/pipeline/review/test_review.py", "only_conflicts=True"),
    "hgld review --focus lake": ("tests/pipeline/review/test_review.py", "focus="),
    "hgld review --kind class": ("tests/pipeline/review/test_web.py", '"--kind", "class"'),
    "hgld review --text --annotator ana": ("tests/reproduce.py", '"review", "--text", "--annotator", "ana"'),
    'hgld review "Mount Rainier"*': ("tests/pipeline/review/conftest.py", "*words"),
    "hgld review --report*": ("tests/pipeline/review/test_quality.py", '"--report"'),
    "hgld browse": ("tests/pipeline/review/test_browse.py", "browse"),
    "hgld thumbnails *": ("tests/pipeline/acquisition/test_thumbnails.py", "thumbnails"),
    "hgld images --accept-md5 *": ("tests/pipeline/acquisition/test_download_files.py", "--accept-md5"),
    "hgld wikidata --freeze *": ("tests/pipeline/stages/test_wikidata.py", "freeze"),
    "hgld wikidata --refresh": ("tests/pipeline/stages/test_wikidata_faults.py", "refresh"),
    "hgld serve *": ("tests/pipeline/sparql/test_oxigraph.py", '"serve"'),
    "hgld assign *": ("tests/pipeline/commands/test_assign.py", "assign"),
    "hgld compare crosswalk.csv *": ("tests/test_crosswalk.py", "compare"),
    "hgld evaluate *": ("tests/benchmarks/protocols/test_evaluate_files.py", "evaluate"),
    "hgld card": ("tests/pipeline/dataset/test_card_numbers.py", '"card"'),
    "hgld publish *": ("tests/pipeline/release/publishing/test_publish_page.py", "README"),
    "hgld archive * --previous *": ("tests/pipeline/release/changes/test_archive_previous.py", '"--previous"'),
    "hgld overlap*": ("tests/pipeline/overlap/test_overlap.py", '"overlap"'),
    "hgld report *": ("tests/pipeline/release/test_release_tools_page.py", "README"),
    "hgld benchmark model.pt": ("tests/benchmarks/evaluation/test_evaluate_page.py", "hgld benchmark model.pt"),
    "torchrun * hgld train happier *": ("tests/docs/test_code_blocks.py", '"docs/how_to/scale_out.md"'),
    "hgld train": ("tests/reproduce.py", '"dvc", "repro"'),
    "hgld release": ("tests/reproduce.py", '"dvc", "repro"'),
    "python -m docs.published_noise": ("tests/hierarchy/comparison/test_published_noise.py", "published_noise"),
    "python -m docs.published_sample *": ("tests/hierarchy/comparison/test_published_sample.py", "published_sample"),
}
NOT_RUN = {
    "pre-commit install": "changes the hooks of the clone",
    "git status --short review": "is of git alone",
    "hgld train happier --data images.csv *": "downloads weights; test_train_page.py runs it small",
    "hgld benchmark weights.pt --backbone resnet50 *": "as in docs/models.md, on other data",
    "hgld benchmark timm:resnet50 --data *": "downloads weights; test_models_page.py tries",
    "hgld leaderboard results/a results/b": "as in docs/compare.md, with the names of this page",
    "hgld data photos/": "as in docs/data.md, with a folder",
}


# Snippets that another test runs in words of its own.
SNIPPETS_ELSEWHERE = {"docs/release_tools.md": ("tests/pipeline/release/export/test_export.py", "webdataset")}


def is_covered(command: str) -> bool:
    return any(fnmatchcase(command, pattern) for pattern in (*ELSEWHERE, *NOT_RUN))


def kind(block: Block) -> str:
    """command; a language; "" for what only shows something."""
    if block.commands:
        return "command"
    return "" if block.language in ("text", "mermaid", "csv", "") else block.language


ALL = [block for page in pages() for block in blocks(page)]
RUN_IN_THE_SAMPLE = {(page, command) for page, command in sample_commands()}


@pytest.mark.parametrize("block", [block for block in ALL if block.commands], ids=lambda b: f"{b.page}:{b.line}")
def test_every_command_is_run(block: Block) -> None:
    if "command" in OWN_TEST.get(block.page, ("", set()))[1] or block.page in WITH_PHOTOS + WITH_A_RELEASE:
        return
    missing = [
        command
        for command in block.commands
        if (block.page, command) not in RUN_IN_THE_SAMPLE and not is_covered(command)
    ]
    assert missing == [], f"{block.page}:{block.line}: no test runs this: see {Path(__file__).name}"


@pytest.mark.parametrize(
    "block", [b for b in ALL if kind(b) not in ("", "command")], ids=lambda b: f"{b.page}:{b.line} {b.language}"
)
def test_every_snippet_is_run(block: Block) -> None:
    if re.fullmatch(r'--8<-- "(\S+)"', block.text.strip()):
        file = block.text.split('"')[1]
        assert (ROOT / file).is_file()
        assert file.startswith("examples/") or file.endswith(".rq"), "it is not run"
    elif block.language == "yaml" and block.file:
        assert block.page in WITH_PHOTOS or block.page in {page for page, _ in RUN_IN_THE_SAMPLE}
    else:
        ran = block.language in OWN_TEST.get(block.page, ("", set()))[1] or block.text in SNIPPETS_HERE
        assert ran or block.page in SNIPPETS_ELSEWHERE


def test_what_runs_elsewhere_is_there() -> None:
    for command, (name, text) in {**ELSEWHERE, **SNIPPETS_ELSEWHERE}.items():
        path = ROOT / name
        files = path.rglob("test_*.py") if path.is_dir() else [path]
        assert any(text in file.read_text(encoding="utf-8") for file in files), f"{command}: {text!r} is not in {name}"
    for page, (name, _) in OWN_TEST.items():
        assert Path(page).name in (ROOT / name).read_text(encoding="utf-8")


def test_no_row_is_left_over() -> None:
    commands = {command for block in ALL for command in block.commands}
    rows = [*ELSEWHERE, *NOT_RUN]
    assert [row for row in rows if not any(fnmatchcase(command, row) for command in commands)] == []


SNIPPETS_HERE = [
    block.text
    for block in ALL
    if block.language == "python"
    and block.page in ("README.md", "docs/near_linear.md", "docs/checkpoint.md", "docs/concepts/h_ap.md")
]


@pytest.mark.parametrize("page", ["README.md", "docs/near_linear.md"])
def test_the_snippets_on_losses_run(page: str) -> None:
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(16, 8), dim=1).requires_grad_()
    labels = torch.stack([torch.arange(16) // 2, torch.arange(16) // 4], dim=1)
    memory = type("Memory", (), {"embeddings": vectors.detach(), "labels": labels})
    names = {"embeddings": vectors, "labels": labels, "memory": memory, "query": vectors.detach()}
    names |= {"query_labels": labels, "gallery": vectors.detach(), "gallery_labels": labels}
    for block in blocks(page):
        if block.language == "python":
            exec("from hgld.benchmarks.losses import SupHAP\n" + block.text, names)
    names["value"].backward()
    assert 0 < names["value"] < 1
    if page == "README.md":
        assert list(names["frame"]) == ["H-AP", "NDCG@10", "AP_l0", "R@1_l1"]


def test_the_conversion_of_weights_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = [block for block in blocks("docs/checkpoint.md") if block.language == "python"]
    text = block.text.replace('"resnet50", dim=512', '"test_resnet", dim=8')
    assert text != block.text
    architecture = Architecture(backbone="test_resnet", dim=8, pooling="gem", image_size=224)
    weights = build_network(architecture, seed=1).state_dict()
    exec(text, {"weights": weights})
    assert torch.load("model.pt", weights_only=True)["config"] == {"trained": "elsewhere"}


def test_h_ap_is_computed_as_the_page_says() -> None:
    import doctest

    result = doctest.testfile(str(ROOT / "docs/concepts/h_ap.md"), module_relative=False)
    assert result.attempted > 10 and result.failed == 0


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    modules = os.pathsep.join([str(ROOT / ".typing"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": modules, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of a user: photographs with their tables, weights, and the run file of the page."""
    folder = tmp_path_factory.mktemp("user")
    table = pd.read_csv(write_table(folder)).rename(columns={"shade": "fine", "hue": "coarse"})
    table.to_csv(folder / "photos.csv", index=False)
    table.rename(columns={"fine": "product", "coarse": "category"}).to_csv(folder / "shop.csv", index=False)
    torch.manual_seed(0)
    torch.save(timm.create_model("test_resnet").state_dict(), folder / "weights.pt")
    network = build_network(Architecture(backbone="test_resnet", dim=8, pooling="gem", image_size=32), seed=0)
    save_checkpoint(network, {}, folder / "model.pt")
    for block in blocks("docs/how_to/train_on_my_data.md"):
        if block.language == "yaml":
            (folder / block.file).write_text(block.text + "\nthreads: 1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield folder


SMALL = {"hgld train --data shop.csv": "hgld train mine.yaml --data shop.csv"}


@pytest.mark.parametrize("page", WITH_PHOTOS)
def test_the_commands_of_a_page_run_one_after_the_other(photos: Path, page: str) -> None:
    commands = [command for block in blocks(page) for command in block.commands]
    assert commands
    for command in commands:
        if command.startswith("python examples/") or any(fnmatchcase(command, pattern) for pattern in NOT_RUN):
            continue
        for name, small in SMALL.items():
            command = command.replace(name, small)
        run(command)
        if out := re.search(r"--out (\S+)", command):
            assert next((photos / out[1]).glob("model.pt"), None) or (photos / out[1] / "report.html").is_file()


def run(command: str) -> str:
    """Run `hgld` in this process, which is quicker, and other programs as a user does."""
    words = shlex.split(command)
    if words[0] == "hgld":
        result = CliRunner().invoke(main, words[1:])
        assert result.exit_code == 0, f"{command}: {result.output}"
        return result.output
    assert words[0] == "torchrun"
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words[1:]],
        env=environment(), capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    return done.stdout


OF_A_RELEASE = {
    "docs/compare.md": {"table.tex", "leaderboard.html", "results/vit/metrics.json", "results/resnet/report.html"},
    "docs/taxonomy.md": {"trained/default-release/model.pt"},
}
# For a release of a few images.
SHORT = " --set epochs=1 --set batch_size=8 --set per_class=2"


@pytest.mark.parametrize("page", WITH_A_RELEASE)
def test_the_commands_of_a_page_run_on_a_release(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    make_world(tmp_path / "data" / "sample", per_split={"train": 4, "index": 3, "test": 2})
    add_places(tmp_path / "data" / "sample")
    for name, backbone in (("vit", "test_vit"), ("resnet", "test_resnet"), ("model", "test_resnet")):
        size = 160 if backbone == "test_vit" else 32
        network = build_network(Architecture(backbone=backbone, dim=8, pooling="avg", image_size=size), seed=len(name))
        save_checkpoint(network, {}, tmp_path / f"{name}.pt")
    for command in (command for block in blocks(page) for command in block.commands):
        run(command + (SHORT if command.startswith("hgld train") else ""))
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert written >= OF_A_RELEASE[page]


def test_the_command_of_an_indented_block_in_a_list_is_found() -> None:
    commands = [command for block in blocks("docs/how_to/extend_the_taxonomy.md") for command in block.commands]
    assert commands[0] == 'hgld show "Citic Tower"' and "dvc repro release queue" in commands
