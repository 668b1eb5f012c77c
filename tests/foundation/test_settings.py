"""params.yaml: both profiles are valid; unknown, missing and invalid keys are reported by their path."""

from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.settings import load_params
from tests.paths import ROOT

TEXT = (ROOT / "params.yaml").read_text()


def _load(tmp_path: Path, text: str) -> object:
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
    ],
)  # fmt: skip
def test_invalid_key_is_reported_with_its_path(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(HgldError, match=message):
        _load(tmp_path, TEXT.replace(old, new, 1))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "profile: sample\nsample: 3\n"])
def test_document_without_profiles_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(HgldError):
        _load(tmp_path, text)


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HgldError, match="cannot be read: Is a directory"):
        load_params(tmp_path)


def test_missing_file_says_where_to_run() -> None:
    with pytest.raises(HgldError, match="run hgld in the root"):
        load_params(Path("nowhere/params.yaml"))


def test_empty_profile_name_is_not_the_default() -> None:
    with pytest.raises(HgldError, match=r"no profile '' \(there are: sample, gldv2\)"):
        load_params(ROOT / "params.yaml", "")
