"""`hgld check`: build the losses and parse the metrics that params.yaml names, before any stage needs them."""

import torch

from hgld.benchmarks.datasets.release import known_levels
from hgld.benchmarks.metrics.macro import check_metric
from hgld.benchmarks.training.setup import check_train_settings, loss_terms
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params, Train


def setting_problems(params: Params) -> list[str]:
    """One message per loss, loss setting, level or metric that does not exist; empty when all are valid."""
    try:
        levels = len(known_levels(params.train.levels))
    except HgldError as error:
        return [f"{params.profile}.train.levels: {error}"]
    problems = []
    for name in params.benchmark.metrics:
        try:
            check_metric(name, levels)
        except HgldError as error:
            problems.append(f"{params.profile}.benchmark.metrics: {error}")
    # Each loss on its own, so that every mistake is reported; then their sum.
    singles = [params.train.model_copy(update={"loss": [term]}) for term in params.train.loss]
    errors = [text for settings in singles if (text := _error(settings, levels))]
    errors = errors or [text for text in [_error(params.train, levels)] if text]
    return problems + [f"{params.profile}: {text}" for text in errors]


def _error(settings: Train, levels: int) -> str:
    """The message with which the settings are refused; "" when they are valid."""
    labels = torch.arange(4).unsqueeze(1).expand(4, levels).contiguous()  # four classes per level, for proxies
    try:
        check_train_settings(settings)
        loss_terms(settings, labels, "cpu")
    except HgldError as error:
        return str(error)
    return ""
