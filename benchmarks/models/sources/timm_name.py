"""`timm:NAME`: a network of timm with its published weights, and the preprocessing that its config states.

NAME is one of timm.list_pretrained(), `hf-hub:ORGANISATION/NAME`, or `local-dir:FOLDER` with config.json and weights.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import socket
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import timm
import torch

from hgld.benchmarks.models.embedding_network import EmbeddingNetwork, scored_model
from hgld.benchmarks.models.network import GeM
from hgld.benchmarks.models.pooling import POOLINGS, PooledBackbone
from hgld.benchmarks.models.scored_model import ModelOptions, ScoredModel
from hgld.benchmarks.models.sources.preprocessing import data_settings, timm_transform
from hgld.foundation.errors import HgldError, lacks_memory, reason, suggest

PREFIX = "timm:"
_FROM_ELSEWHERE = ("hf-hub:", "hf_hub:", "local-dir:")


def open_timm_name(model: str, options: ModelOptions) -> ScoredModel:
    """A network of timm by name. Raises HgldError for unknown names, and when the weights cannot be fetched."""
    name = model.removeprefix(PREFIX)
    check_name(name)
    check_pooling(options.pooling)
    with hub(model, "give a folder, timm:local-dir:FOLDER, or a file of weights with --backbone NAME"):
        backbone = create(name, options, pretrained=True)
    network = embedder(backbone, options)
    settings = data_settings(options, backbone.pretrained_cfg)
    return scored_model(
        model,
        network,
        timm_transform(settings),
        options,
        {"model": described(backbone, options, settings), "notes": gem_notes(options, stated=False)},
        untrained=lambda: embedder(create(name, options), options),
    )


@contextlib.contextmanager
def hub(model: str, remedy: str) -> Iterator[None]:
    """Inside, weights are read or fetched by a library: quietly, and from the cache alone where there is no network.

    Raises HgldError for whatever goes wrong there.
    """
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    host = urlsplit(constants.ENDPOINT).hostname
    logger = logging.getLogger("huggingface_hub")
    level, root_level = logger.level, logging.root.level
    reachable = offline or bool(getproxies()) or _resolves(host)
    try:
        constants.HF_HUB_OFFLINE = offline or not reachable  # otherwise its client tries again for 50 seconds
        logger.setLevel(logging.CRITICAL)
        logging.root.setLevel(logging.CRITICAL)  # open_clip logs its steps there
        yield
    except HgldError:
        raise
    except Exception as error:  # timm, open_clip, the hub and its client document no exceptions
        if lacks_memory(error):
            raise
        if _not_found(error) and not reachable:
            why = f"{host} cannot be reached, and the weights are not in its cache"
        else:
            why = reason(error)[:300]
        raise HgldError(f"{model}: its weights cannot be read or fetched ({why}); {remedy}") from None
    finally:
        constants.HF_HUB_OFFLINE = offline
        logger.setLevel(level)
        logging.root.setLevel(root_level)


def _resolves(host: str | None) -> bool:
    """Whether the name of a host has an address: without a network it has not."""
    try:
        return bool(socket.getaddrinfo(host, 443))
    except OSError:
        return False


def _not_found(error: BaseException | None) -> bool:
    """Whether the error, or one that it came from, is that of a file that is not in the cache."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    while error is not None:
        if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled) or "local cache" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def check_name(name: str) -> None:
    """Raise HgldError for a name that timm does not have."""
    plain = name.split(".")[0]
    if name.startswith(_FROM_ELSEWHERE):
        return
    if not timm.is_model(plain):
        hint = suggest(plain[:80], timm.list_models())
        raise HgldError(f"unknown backbone {name[:80]!r}{hint}; use a name of timm.list_models()")
    tags = [full.split(".", 1)[1] for full in timm.list_pretrained(f"{plain}.*")]
    if "." in name and (tag := name.split(".", 1)[1]) not in tags:
        known = ", ".join(tags[:8]) or "no published weights"
        raise HgldError(f"unknown weights {tag[:80]!r} of {plain}{suggest(tag[:80], tags)}; timm has {known}")


def check_pooling(pooling: str | None) -> None:
    """Raise HgldError for an unknown pooling."""
    if pooling is not None and pooling not in POOLINGS:
        raise HgldError(
            f"pooling: expected one of {', '.join(POOLINGS)}; found {pooling!r}{suggest(pooling, POOLINGS)}"
        )


def create(name: str, options: ModelOptions, *, pretrained: bool = False, **arguments: Any) -> Any:
    """The network, for inputs of `image_size` and `scales`; what is not pretrained is initialised from seed 0."""
    accepted, patch = _arguments(name)
    size = options.image_size
    if size is not None and size % patch:
        fitting = [n for n in (size // patch * patch, (size // patch + 1) * patch) if n]
        raise HgldError(
            f"image_size: the patches of {name} have {patch} pixels; expected a multiple, such as "
            f"{' or '.join(map(str, fitting))}; found {size}"
        )
    if options.image_size is not None and "img_size" in accepted:
        arguments["img_size"] = options.image_size
    if options.scales and "dynamic_img_size" in accepted:
        arguments["dynamic_img_size"] = True
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # with its classifier, although it is not used: without it timm accepts weights that lack keys
        return timm.create_model(name, pretrained=pretrained, **arguments)


@cache
def _arguments(name: str) -> tuple[frozenset[str], int]:
    """The names of the arguments that a network of timm takes, and the side of its patches."""
    with torch.device("meta"):
        plain = timm.create_model(name, num_classes=0)
    return frozenset(_parameters(plain)), patch_side(plain)


def _parameters(network: Any) -> set[str]:
    """The names of the arguments of a network's class and of those that it extends."""
    own = [vars(kind)["__init__"] for kind in type(network).__mro__ if "__init__" in vars(kind) and kind is not object]
    return {name for function in own for name in inspect.signature(function).parameters}


def embedder(backbone: Any, options: ModelOptions, head: torch.nn.Module | None = None) -> EmbeddingNetwork:
    """The network with the pooling of the options."""
    network = PooledBackbone(backbone, options.pooling, head)
    return EmbeddingNetwork(network, size_multiple=patch_side(backbone)).eval()


def patch_side(backbone: Any) -> int:
    """Pixels per side of a transformer's patch; 1 for other networks, and where patches overlap."""
    embed = getattr(backbone, "patch_embed", None)
    patch, projection = getattr(embed, "patch_size", 1), getattr(embed, "proj", None)
    if isinstance(projection, torch.nn.Conv2d) and projection.stride != projection.kernel_size:
        return 1
    return max(patch) if isinstance(patch, tuple | list) else int(patch)


def described(backbone: Any, options: ModelOptions, settings: dict[str, Any]) -> dict[str, Any]:
    """What the embeddings depend on beside the weights."""
    name = backbone.pretrained_cfg["architecture"]
    pooling = options.pooling or "its own"
    return {"backbone": name, "timm": timm.__version__, "pooling": pooling, "head": options.head, **settings}


def gem_notes(options: ModelOptions, *, stated: bool) -> list[str]:
    """A note about the power of GeM where the weights do not state it."""
    if options.pooling != "gem" or stated:
        return []
    return [f"gem: power {GeM().power.item():g}, as the weights state none"]
