"""The page about the metrics: its figure is what the library computes, its example runs, its names parse."""

from __future__ import annotations

import doctest
import re
import runpy
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from hgld.benchmarks.metrics import METRICS, evaluate, parse
from tests.paths import ROOT

DOCS = ROOT / "docs"
PAGE = (DOCS / "metrics.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "toy_ranking.py"))


def test_the_figure_is_the_one_the_script_draws(script: dict[str, Any]) -> None:
    committed = (DOCS / "toy_ranking.svg").read_text(encoding="utf-8")
    assert script["figure"]() == committed, "run: python docs/toy_ranking.py"
    ElementTree.fromstring(committed)


def test_ap_cannot_tell_the_rankings_apart_and_h_ap_can(script: dict[str, Any]) -> None:
    (ap_a, hap_a), (ap_b, hap_b) = (script["scores"](ranking) for ranking in script["RANKINGS"].values())
    assert ap_a == ap_b
    assert hap_a > hap_b + 0.2
    for value in (ap_a, hap_a, hap_b):
        assert f"{value:.3f}" in PAGE


def test_the_example_of_the_page_runs() -> None:
    result = doctest.testfile(str(DOCS / "metrics.md"), module_relative=False)
    assert result.attempted > 5
    assert result.failed == 0


def test_the_page_defines_every_metric() -> None:
    named = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
    for name in named:
        parse(name, levels=3)
    forms = {re.sub(r"\d+", "n", name) for name in named}
    assert {re.sub(r"\d+", "n", name) for name in [*METRICS, "ties"]} <= forms


def test_relevance_is_not_agreement() -> None:
    """Ten pictures of the landmark weigh 1/10 each, a single other church 2/3: H-AP wants the church first."""
    own, church, query = [0, 0, 0], [1, 0, 0], torch.tensor([[0, 0, 0]])
    scores = torch.linspace(1, 0, 11)[None]
    found = [
        evaluate(scores, query, torch.eye(11), torch.tensor(labels), metrics=["H-AP", "NDCG"]).iloc[0]
        for labels in ([own] * 10 + [church], [church] + [own] * 10)
    ]
    assert found[0]["NDCG"] == pytest.approx(1) and found[0]["H-AP"] < 0.9
    assert found[1]["NDCG"] < 1 and found[1]["H-AP"] == pytest.approx(1)
