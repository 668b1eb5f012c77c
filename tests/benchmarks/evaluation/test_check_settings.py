"""`hgld check` on settings: the shipped profiles are valid, and all mistakes are reported at once."""

import pytest

from hgld.benchmarks.evaluation.check_settings import setting_problems
from hgld.foundation.settings import LossTerm, Params, load_params, profiles
from tests.paths import ROOT


def changed(**train: object) -> Params:
    params = load_params(ROOT / "params.yaml", profile="sample")
    return params.model_copy(update={"train": params.train.model_copy(update=train)})


@pytest.mark.parametrize("profile", profiles(ROOT / "params.yaml"))
def test_shipped_profiles_are_valid(profile: str) -> None:
    assert setting_problems(load_params(ROOT / "params.yaml", profile=profile)) == []


def test_all_mistakes_are_reported() -> None:
    params = changed(
        loss=[
            LossTerm(name="sup_hpa", weight=1.0),
            LossTerm(name="cluster", weight=1.0, settings={"temprature": 0.1}),
            LossTerm(name="proxy_nca", weight=1.0, settings={"level": 7}),
        ]
    )
    metrics = params.benchmark.model_copy(update={"metrics": ["H-PA", "AP_l9", "NDCG"]})
    problems = setting_problems(params.model_copy(update={"benchmark": metrics}))
    assert len(problems) == 5
    assert problems[0].startswith("sample.benchmark.metrics: unknown metric 'H-PA'; did you mean 'H-AP'?")
    assert "unknown loss 'sup_hpa'; did you mean 'sup_hap'?" in problems[2]
    assert "temprature" in problems[3]
    assert "level must be a number from 0 (finest) to 2; found 7" in problems[4]


def test_a_loss_named_twice_and_an_unknown_level_are_reported() -> None:
    twice = [LossTerm(name="sup_hap", weight=0.5), LossTerm(name="sup_hap", weight=0.5)]
    assert setting_problems(changed(loss=twice)) == [
        "sample: train.loss: a loss is named twice; merge the terms into one"
    ]
    assert setting_problems(changed(levels=["landmrk"]))[0].startswith("sample.train.levels: ")
