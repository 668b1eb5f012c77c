"""`package.module:function`, with --trust: a function of the user's code that returns a network and its transform."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hgld.benchmarks.models.embedding_network import (
    EmbeddingNetwork,
    identity,
    probe_image,
    scored_model,
    text_of,
    weights_digest,
)
from hgld.benchmarks.models.scored_model import ModelOptions, ScoredModel
from hgld.foundation.errors import HgldError, lacks_memory, reason

PATTERN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_EXPECTED = "expected (module, transform): a torch.nn.Module and what turns a PIL image into its input"


def open_python_callable(model: str, options: ModelOptions) -> ScoredModel:
    """What the function returns. Raises HgldError when it cannot be imported, fails, or returns something else."""
    function = _function(model)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # a function that initialises weights gives the same network each time
            returned = function()
    except Exception as error:
        if lacks_memory(error):
            raise
        raise HgldError(f"{model}: the function fails: {type(error).__name__}: {reason(error)[:300]}") from None
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise HgldError(f"{model} returns a {type(returned).__name__}; {_EXPECTED}")
    module, transform = returned
    if not isinstance(module, nn.Module) or not callable(transform):
        raise HgldError(f"{model} returns {type(module).__name__} and {type(transform).__name__}; {_EXPECTED}")
    network = EmbeddingNetwork(module.float().eval())
    settings = {"function": model, "architecture": hashlib.sha256(text_of(module).encode()).hexdigest()[:16]}
    weights = identity(weights_digest(network), {"source": _source(function), "input": _input_digest(transform, model)})
    return scored_model(model, network, transform, options, {"model": settings}, weights=weights)


def _function(model: str) -> Callable[[], Any]:
    """The function, from a module on the path or in the current folder."""
    module_name, _, name = model.partition(":")
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # the code of a module may raise anything
        if lacks_memory(error):
            raise
        raise HgldError(f"{model} cannot be imported: {type(error).__name__}: {reason(error)[:300]}") from None
    finally:
        sys.path.remove(folder)
    if not callable(found):
        raise HgldError(f"{model} is a {type(found).__name__}, not a function; {_EXPECTED}")
    function: Callable[[], Any] = found
    return function


def _source(function: Callable[[], Any]) -> str:
    """Hex SHA-256 of the file that the function is in: a network is more than its weights."""
    try:
        path = inspect.getsourcefile(function)
    except TypeError:
        path = None
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path and Path(path).is_file() else ""


def _input_digest(transform: Callable[..., Any], model: str) -> str:
    """Hex SHA-256 of what the transform makes of a fixed image. Raises HgldError when that differs each time."""
    try:
        first, second = (transform(probe_image(1)) for _ in range(2))
        same = torch.equal(first, second)
    except Exception as error:
        if lacks_memory(error):
            raise
        raise HgldError(f"{model}: its transform fails on an RGB image: {reason(error)[:300]}") from None
    if not same:
        raise HgldError(
            f"{model}: its transform gives another tensor each time; return the transform of the evaluation"
        )
    return hashlib.sha256(first.cpu().contiguous().numpy().tobytes()).hexdigest()
