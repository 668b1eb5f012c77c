"""The parts of a training: every loss can be named in the settings, and proxies fit the labels."""

import pytest
import torch

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.training.setup import check_train_settings, contiguous_labels, loss_terms
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import LossTerm, Params, Train, load_params
from tests.benchmarks.conftest import tiny
from tests.paths import ROOT

SETTINGS = load_params(ROOT / "params.yaml").train
LABELS = torch.tensor([[0, 0, 0], [1, 0, 0], [2, 1, 0], [3, 2, 1]]).repeat_interleave(4, 0)


def with_losses(*terms: LossTerm) -> Train:
    return SETTINGS.model_copy(update={"loss": list(terms), "dim": 8})


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_can_be_named_in_the_settings(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.nn.functional.normalize(torch.randn(16, 8, generator=generator), dim=1)
    embeddings.requires_grad_()
    (term,) = loss_terms(with_losses(LossTerm(name=name, weight=1.0)), LABELS, "cpu")
    value = term.loss(embeddings, LABELS)
    value.backward()
    assert value.isfinite() and embeddings.grad is not None


def test_number_of_proxies_follows_the_level() -> None:
    settings = with_losses(LossTerm(name="cluster", weight=1.0, settings={"level": 1}))
    (term,) = loss_terms(settings, LABELS, "cpu")
    assert term.loss.weight.shape == (3, 8)


def test_a_loss_named_twice_is_an_error() -> None:
    settings = with_losses(LossTerm(name="sup_ap", weight=1.0), LossTerm(name="sup_ap", weight=0.5))
    with pytest.raises(HgldError, match="twice"):
        loss_terms(settings, LABELS, "cpu")


def test_contiguous_labels_have_no_gaps() -> None:
    assert contiguous_labels(torch.tensor([[9, 2], [4, 2], [9, 7]])).tolist() == [[1, 0], [0, 0], [1, 1]]
    missing = contiguous_labels(torch.tensor([[9, -1], [4, 5], [9, 7]]))
    assert missing.tolist() == [[1, -1], [0, 0], [1, 1]], "a missing label is no class"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chunk": 20}, r"train.chunk \(20\) must be smaller than train.batch_size \(20\)"),
        ({"memory": 10**8, "dim": 2048}, r"train.memory \(100,000,000\) .* need 763 GiB, at most 64 are allowed"),
        ({"loss": [LossTerm(name="sup_hpa", weight=1)]}, "unknown loss 'sup_hpa'; did you mean 'sup_hap'"),
        (
            {"loss": [LossTerm(name="cluster", weight=1, settings={"level": 9})]},
            "level must be .* found 9",
        ),
    ],
)
def test_settings_that_do_not_fit_are_errors(settings: Params, change: dict[str, object], message: str) -> None:
    with pytest.raises(HgldError, match=message):
        check_train_settings(tiny(settings, **change).train)
