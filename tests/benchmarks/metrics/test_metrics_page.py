"""docs/metrics.md: its figure is up to date, its example runs, its names parse."""

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


def test_the_figure_is_what_the_script_draws(script: dict[str, Any]) -> None:
    committed = (DOCS / "toy_ranking.svg").read_text(encoding="utf-8")
    assert script["figure"]() == committed, "run: python -m docs.toy_ranking"
    ElementTree.fromstring(committed)


def test_h_ap_distinguishes_the_rankings_and_ap_does_not(script: dict[str, Any]) -> None:
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
    """Ten images of the landmark weigh 1/10 each, a single other church 2/3: H-AP is highest with the church first."""
    own, church, query = [0, 0, 0], [1, 0, 0], torch.tensor([[0, 0, 0]])
    scores = torch.linspace(1, 0, 11)[None]
    frames = [
        evaluate(scores, query, torch.eye(11), torch.tensor(labels), metrics=["H-AP", "NDCG"]).iloc[0]
        for labels in ([own] * 10 + [church], [church] + [own] * 10)
    ]
    assert frames[0]["NDCG"] == pytest.approx(1) and frames[0]["H-AP"] < 0.9
    assert frames[1]["NDCG"] < 1 and frames[1]["H-AP"] == pytest.approx(1)
