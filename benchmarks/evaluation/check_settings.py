"""`hgld check`: the losses and metrics that params.yaml names, tried as the stages will ask for them."""

import torch

from hgld.benchmarks.datasets.release import known_levels
from hgld.benchmarks.metrics import parse
from hgld.benchmarks.training.setup import check_recipe, loss_terms
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params, Train


def setting_problems(params: Params) -> list[str]:
    """One message a loss, setting or metric that does not exist; an empty list when all do."""
    try:
        levels = len(known_levels(params.train.levels))
    except HgldError as error:
        return [f"{params.profile}.train.levels: {error}"]
    problems = []
    for name in params.benchmark.metrics:
        try:
            parse(name, levels)
        except HgldError as error:
            problems.append(f"{params.profile}.benchmark.metrics: {error}")
    # four classes a level are enough to build the losses that keep a proxy for each
    labels = torch.arange(4).unsqueeze(1).expand(4, levels).contiguous()
    # each loss alone, so that every mistake is told; then their sum
    alone = [params.train.model_copy(update={"loss": [term]}) for term in params.train.loss]
    wrong = [text for one in alone if (text := _refused(one, labels))]
    if not wrong and (text := _refused(params.train, labels)):
        wrong = [text]
    return problems + [f"{params.profile}: {text}" for text in wrong]


def _refused(settings: Train, labels: torch.Tensor) -> str:
    try:
        check_recipe(settings)
        loss_terms(settings, labels, "cpu")
    except HgldError as error:
        return str(error)
    return ""
