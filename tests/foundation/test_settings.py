"""params.yaml: both profiles are valid; unknown, missing and invalid keys are reported by their path."""

import io
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params, Train, load_params, params_here, torchrun_variables
from tests.paths import ROOT

TEXT = (ROOT / "params.yaml").read_text()


def _load(tmp_path: Path, text: str) -> Params:
    (tmp_path / "params.yaml").write_text(text)
    return load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("profile", ["sample", "gldv2"])
def test_both_profiles_are_valid(profile: str) -> None:
    params = load_params(ROOT / "params.yaml", profile)
    assert params.data == Path("data") / profile
    assert isinstance(params.train.lr, float)


def test_file_selects_the_default_profile() -> None:
    assert load_params(ROOT / "params.yaml").profile == "sample"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("temperature: 0.05", "temprature: 0.05", "unknown key 'temprature' in sample.refine; did you mean 'temp"),
        ("  refine:", "  refin:", "unknown key 'refin' in sample; did you mean 'refine'"),
        ("weight: 0.9, settings", "wieght: 0.9, settings", "'wieght' in sample.train.loss.0; did you mean 'weight'"),
        ("    pooling: gem", "    pooling: max", "sample.train.pooling: .*found 'max'"),
        ("    batch_size: 64\n", "", "sample.train.batch_size: missing"),
        ("    batch_size: 64", "    batch_size: '64'", "sample.train.batch_size: .*found '64'"),
        ("profile: sample", "profile: [", "not YAML"),
        ("profile: sample", "profile: full", "no profile 'full'"),
        ("profile: sample", "profile: sample\n1: {}", "expected names as keys, found 1"),
        ("  refine:", "  5: {}\n  refine:", "sample: expected names as keys, found 5"),
        ("temperature: 0.05", "temperature: .inf", "sample.refine.temperature: .*finite"),
        ("temperature: 0.05", "temperature: .nan", "sample.refine.temperature: .*finite"),
        ('version: "0.1"', 'version: "0.1-beta"', "version: .*expected MAJOR.MINOR or .*found '0.1-beta'"),
        ('version: "0.1"', 'version: "01.0"', "sample.release.version: .*expected MAJOR.MINOR"),
        ('version: "0.1"', 'version: "1"', "sample.release.version: .*expected MAJOR.MINOR"),
        ('version: "0.1"', "version: 0.1", "sample.release.version: .*valid string; found 0.1"),
        ('version: "0.1"', 'version: "1.0\\n"', "sample.release.version: .*expected MAJOR.MINOR"),
        ("name: H-GLDv2-sample", "name: ../H", "sample.release.name: .*expected a file name"),
        ("    note: This", "    homepage: ftp://x\n    note: This", "sample.release.homepage: .*begins with https://"),
        ("    note: This", "    date: 2026.1.31\n    note: This", "sample.release.date: .*the day of publication"),
    ],
)  # fmt: skip
def test_invalid_key_is_reported_with_its_path(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(HgldError, match=message):
        _load(tmp_path, TEXT.replace(old, new, 1))


@pytest.mark.parametrize("version", ["0.1", "1.0", "10.2.33"])
def test_a_semantic_version_is_accepted(tmp_path: Path, version: str) -> None:
    params = _load(tmp_path, TEXT.replace('version: "0.1"', f'version: "{version}"', 1))
    assert params.release.version == version


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "profile: sample\nsample: 3\n"])
def test_document_without_profiles_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(HgldError):
        _load(tmp_path, text)


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HgldError, match="is a folder; a YAML file was expected"):
        load_params(tmp_path)


def test_missing_file_says_where_to_run() -> None:
    with pytest.raises(HgldError, match="run hgld in the root"):
        load_params(Path("nowhere/params.yaml"))


def test_empty_profile_name_is_not_the_default() -> None:
    with pytest.raises(HgldError, match=r"no profile '' \(there are: sample, gldv2\)"):
        load_params(ROOT / "params.yaml", "")


@pytest.mark.parametrize(
    "value", ["2024-01-01", "!!set {a}", "!!binary aGk=", "~", "[[]]", "{5: 1}", "0x" + "f" * 5000]
)
def test_value_of_another_type_is_reported_with_its_path(tmp_path: Path, value: str) -> None:
    for key in ("seed: 0", "version: '0.1'", "profile: sample", "prompts:"):
        old = next(line for line in TEXT.splitlines() if line.strip().startswith(key.split(":")[0] + ":"))
        name = old.strip().split(":")[0]
        with pytest.raises(HgldError, match=rf"{name}|not YAML") as caught:
            _load(tmp_path, TEXT.replace(old, f"{old.split(name)[0]}{name}: {value}", 1))
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("key", ["5", "~", "2024-01-01", "true", "!!binary aGk=", "[a]", "1.5"])
def test_key_of_another_type_is_reported(tmp_path: Path, key: str) -> None:
    for where in ("profile: sample", "  queue:"):
        indent = "  " if where.startswith(" ") else ""
        with pytest.raises(HgldError, match="expected names as keys"):
            _load(tmp_path, TEXT.replace(where, f"{indent}? {key}\n{indent}: 1\n{where}", 1))


RANGES = {
    "lr": [0, -1e-3, 2],
    "proxy_lr": [0, 101],
    "weight_decay": [-1e-4, 11],
    "dim": [1, 65_537],
    "image_size": [15, 4_096],
    "epochs": [0, 10**9],
    "batch_size": [1, 10**9],
    "per_class": [0],
    "chunk": [-1],
    "memory": [-1, 10**12],
    "memory_from": [0],
    "warmup_epochs": [-1, 10**9],
    "seed": [-1, 2**63],
    "threads": [0, 10**6],
    "max_broken": [-0.1, 1.1],
    "super_classes": [-1, 10**9],
    "momentum": [-0.1, 1],
    "gamma": [0, 1.1],
    "lr_warmup": [-1, 10**9],
    "clip_norm": [-1, 10**9],
    "ema": [-0.1, 1],
    "validate_every": [-1, 10**9],
    "validation_classes": [0, 1],
    "patience": [-1, 10**9],
}


@pytest.mark.parametrize("name", ["../elsewhere", "/elsewhere", ".", "..", "a/b", "a b", "x" * 65, "-rf"])
def test_a_profile_cannot_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text().replace("\nsample:", f'\n"{name}":', 1))
    with pytest.raises(HgldError, match=r"is no name for a profile.* at most 64 letters.* the first a letter"):
        load_params(path, name)


@pytest.mark.parametrize(
    ("rank", "world", "local"),
    [
        ("x", "2", "0"),
        ("0", "", "0"),
        ("0", "1.5", "0"),
        ("0", "-1", "0"),
        ("0", "0", "0"),
        ("2", "2", "0"),
        ("0", "2", "2"),
        ("0", "9" * 5000, "0"),
        ("0", "1000000000", "0"),
        ("٠", "2", "0"),
    ],
)
def test_variables_of_torchrun_are_checked(monkeypatch: pytest.MonkeyPatch, rank: str, world: str, local: str) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "3", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert torchrun_variables() == (1, 3, 0)
    for name, value in {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": local}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(HgldError, match=f"RANK={rank[:40]}, WORLD_SIZE={world[:40]}, LOCAL_RANK={local}: expected"):
        torchrun_variables()


def test_every_number_of_the_training_has_a_range(tmp_path: Path) -> None:
    numbers = {name for name, field in Train.model_fields.items() if field.annotation in (int, float)}
    assert numbers == RANGES.keys()
    for name, values in RANGES.items():
        for value in values:
            document = YAML(typ="safe").load(TEXT)
            document["sample"]["train"][name] = value
            text = io.StringIO()
            YAML(typ="safe").dump(document, text)
            with pytest.raises(HgldError, match=rf"sample\.train\.{name}: .* (greater|less) than .*found {value}"):
                _load(tmp_path, text.getvalue())


def test_a_params_yaml_of_another_project_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert params_here() is None
    Path("params.yaml").write_text("train:\n  lr: 0.1\n", encoding="utf-8")
    assert params_here() is None
    Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    assert params_here() == load_params(ROOT / "params.yaml")
    assert params_here("gldv2") == load_params(ROOT / "params.yaml", "gldv2")
    Path("params.yaml").write_text("profile: sample\n", encoding="utf-8")
    with pytest.raises(HgldError, match="no profile 'sample'"):
        params_here()


def test_a_profile_that_is_asked_for_needs_a_params_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HgldError, match=r"no params.yaml here"):
        params_here("sample")
