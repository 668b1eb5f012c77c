"""The simulated campaign of docs/review_campaign.py, on a made-up queue: what a verdict changes, and the order."""

import runpy
from types import SimpleNamespace

import pandas as pd
import pytest

from hgld.foundation.settings import load_params
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.stages.queue import COLUMNS
from tests.paths import ROOT

DOC = ROOT / "docs" / "review_campaign.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(DOC)))


@pytest.fixture
def world(script: SimpleNamespace):
    """Twenty landmarks of a pure class, twenty of a mixed one, twenty without; a few have nearly all of the images."""
    names = [f"Place {number:02d}" for number in range(60)]
    classes = {name: ["Q900"] if number < 20 else ["Q901"] if number < 40 else [] for number, name in enumerate(names)}
    truth = {name: "lake" if number < 20 or number % 2 else "church" for number, name in enumerate(names)}
    images = [1000 if number in (45, 50, 55) else 1 for number in range(60)]
    row = {"kind": "landmark", "suggested_label": "river", "suggested_by": "name", "reason": "doubtful"}
    rows = [
        dict.fromkeys(COLUMNS, "") | row | {"category": name, "images": count, "priority": float(count)}
        for name, count in zip(names, images, strict=True)
    ]
    landmarks = pd.DataFrame(rows, columns=COLUMNS)
    of_class = {"kind": "class", "reason": "class", "images": 20, "priority": 20.0}
    class_items = [dict.fromkeys(COLUMNS, "") | of_class | {"category": qid} for qid in ("Q900", "Q901")]
    params = load_params(ROOT / "params.yaml", profile="gldv2")
    queue = params.queue.model_copy(update={"overlap": 0.0})
    meaning = {"Q900": "lake", "Q901": ""}
    params = params.model_copy(update={"queue": queue})
    return script.World(params, load_taxonomy(), landmarks, pd.DataFrame(class_items), classes, truth, meaning)


def test_without_errors_every_label_is_right_in_the_end(script, world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(script.campaign.__globals__, "ERRORS", 0.0)
    for ours in (True, False):
        for classes in (True, False):
            curve = script.campaign(world, ours=ours, classes=classes, seed=0)
            assert (curve.images[0], curve.landmarks[0]) == (0, 0)
            assert (curve.images[-1], curve.landmarks[-1]) == (1, 1)
            assert classes or curve.verdicts[-1] == 60


def test_a_verdict_on_a_class_saves_those_on_its_landmarks(script, world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(script.campaign.__globals__, "ERRORS", 0.0)
    curve = script.campaign(world, ours=True, classes=True, seed=0)
    # twenty landmarks by the class that all three annotators judge; the mixed class says nothing
    assert curve.verdicts[-1] == 60 - 20 + 2 * script.ANNOTATORS
    assert curve.landmarks[5] == pytest.approx((3 + 20) / 60)  # the three with many images, then both classes


def test_our_order_takes_the_landmarks_with_many_images_first(script, world) -> None:
    ours, random = (script.campaign(world, ours=order, classes=False, seed=0) for order in (True, False))
    assert ours.needed(ours.images) <= 3 < random.needed(random.images)


def test_annotators_err_as_often_as_they_are_said_to(script, world) -> None:
    ends = [script.campaign(world, ours=False, classes=False, seed=seed).landmarks[-1] for seed in range(30)]
    assert sum(ends) / len(ends) == pytest.approx(1 - script.ERRORS, abs=0.015)
