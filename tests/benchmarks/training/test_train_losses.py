"""The training loss: every loss by its name in the settings, those with proxies fitted to the labels."""

import pytest
import torch

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.training.setup import loss_terms
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import LossTerm, load_params
from tests.paths import ROOT

SETTINGS = load_params(ROOT / "params.yaml").train
LABELS = torch.tensor([[0, 0, 0], [1, 0, 0], [2, 1, 0], [3, 2, 1]]).repeat_interleave(4, 0)


def _with(*terms: LossTerm) -> object:
    return SETTINGS.model_copy(update={"loss": list(terms), "dim": 8})


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_can_be_named_in_the_settings(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.nn.functional.normalize(
        torch.randn(16, 8, generator=generator), dim=1
    ).requires_grad_()
    (term,) = loss_terms(_with(LossTerm(name=name, weight=1.0)), LABELS, "cpu")
    value = term.loss(embeddings, LABELS)
    value.backward()
    assert value.isfinite() and embeddings.grad is not None


def test_proxies_follow_the_level() -> None:
    (term,) = loss_terms(_with(LossTerm(name="cluster", weight=1.0, settings={"level": 1})), LABELS, "cpu")
    assert term.loss.weight.shape == (3, 8)


def test_a_loss_twice_is_refused() -> None:
    with pytest.raises(HgldError, match="twice"):
        loss_terms(
            _with(LossTerm(name="sup_ap", weight=1.0), LossTerm(name="sup_ap", weight=0.5)), LABELS, "cpu"
        )
