"""`weights.pt` or `weights.safetensors` with `--backbone NAME`: a plain state dict for a network of timm.

Prefixes of keys (`module.`, `_orig_mod.`, `backbone.`, `model.`, `encoder.`, …) are found by comparing the keys with
the network's, and removed; every weight of the network must be in the file.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hgld.benchmarks.models.checkpoint_contents import weight_bytes
from hgld.benchmarks.models.embedding_network import scored_model
from hgld.benchmarks.models.network import SMALL_BACKBONE
from hgld.benchmarks.models.pooling import PooledBackbone, set_gem_power
from hgld.benchmarks.models.scored_model import ModelOptions, ScoredModel
from hgld.benchmarks.models.sources import timm_name
from hgld.benchmarks.models.sources.preprocessing import data_settings, timm_transform
from hgld.benchmarks.models.weights_file import read_weights
from hgld.foundation.errors import HgldError, lacks_memory, reason

HEADS = ("none", "linear", "layernorm-linear")
# Parts of keys that wrappers add, at the start or between two parts: DataParallel, torch.compile, FSDP.
_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module")
# First parts of keys inside a backbone that belong to training, not to the embedding.
_NOT_USED = {
    *(
        "fc",
        "classifier",
        "head",
        "heads",
        "head_dist",
        "last_linear",
        "pool",
        "pooling",
        "gem",
        "embedding",
        "embedder",
    ),
    *("projection", "projector", "proj_head", "projection_head", "predictor", "mask_token", "decoder"),
    *("dino_head", "ibot_head", "prototypes", "proxies", "criterion", "loss"),
}
_GEM_POWER = re.compile(r"(^|\.)(pool|pooling|gem|global_pool)\.(p|power)$")


class Matched(NamedTuple):
    """The weights of a network, found in a file; `rest` is what the file holds beside them, by its own keys."""

    weights: dict[str, Tensor]
    rest: dict[str, Tensor]
    prefix: str
    notes: list[str]


def open_state_dict(model: str, options: ModelOptions) -> ScoredModel:
    """The network `options.backbone` with the weights of a file. Raises HgldError."""
    path, name = Path(model), options.backbone
    assert name is not None
    timm_name.check_name(name)
    timm_name.check_pooling(options.pooling)
    if options.head not in HEADS:
        raise HgldError(f"head: expected one of {', '.join(HEADS)}; found {options.head!r}")
    try:
        state, notes = read_weights(path, options.state_key)
        arguments, found = matched(name, state, options)
        if not all(bool(value.isfinite().all()) for value in found.weights.values()):
            raise HgldError("has weights that are not finite numbers: a training that diverged")
        network, used = _built(name, arguments, found, options)
    except HgldError as error:
        raise HgldError(f"{path}: {error}") from None
    notes = [*notes, *found.notes, *_unused(set(found.rest) - used, options.head)]
    backbone = network.network.backbone
    settings = data_settings(options, backbone.pretrained_cfg)
    notes += timm_name.gem_notes(options, stated=any(_GEM_POWER.search(key) for key in used))
    return scored_model(
        path.name,
        network,
        timm_transform(settings),
        options,
        {
            "model": timm_name.described(backbone, options, settings),
            "notes": [f"{path.name}: {note}" for note in notes],
        },
        untrained=lambda: _built(name, arguments, found, options, initial=True)[0],
    )


def matched(name: str, state: Mapping[str, Tensor], options: ModelOptions) -> tuple[dict[str, Any], Matched]:
    """The arguments of timm.create_model that suit the keys of `state`, and the weights of that network.

    A pooling of ours replaces the network's own, whose weights (of an attention pooling) a file may then lack.
    """
    choices: list[dict[str, Any]] = [{"num_classes": 0}]
    if options.pooling is not None:
        choices.insert(0, {"num_classes": 0, "global_pool": ""})
    errors: list[HgldError] = []
    for arguments in choices:
        try:
            skeleton = _skeleton(name, arguments, options)
            return arguments, match(name, skeleton, state, options)
        except HgldError as error:
            errors.append(error)
    raise errors[-1]


def _skeleton(name: str, arguments: dict[str, Any], options: ModelOptions) -> Any:
    """The network without memory for its weights. Raises HgldError where timm cannot build it."""
    try:
        with torch.device("meta"):
            return timm_name.create(name, options, **arguments)
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        if lacks_memory(error):
            raise
        size = f" for images of {options.image_size} px" if options.image_size else ""
        raise HgldError(f"backbone {name!r} cannot be built{size}: {reason(error)[:200]}") from None


def match(name: str, skeleton: Any, state: Mapping[str, Tensor], options: ModelOptions) -> Matched:
    """The weights of `skeleton` among `state`. Raises HgldError where some are missing, or others are left over."""
    own: dict[str, Tensor] = skeleton.state_dict()
    if weight_bytes(own) > max(4 * weight_bytes(state), SMALL_BACKBONE):
        raise HgldError(f"has {weight_bytes(state) / 1e6:,.1f} MB of weights, {name} {weight_bytes(own) / 1e6:,.0f} MB")
    keys = {_unwrapped(key, own): key for key in state}
    if len(keys) < len(state):
        keys = {key: key for key in state}
    prefix = options.prefix if options.prefix is not None else find_prefix(own, keys)
    if options.prefix is not None and not any(key.startswith(prefix) for key in keys):
        raise HgldError(f"no key begins with --prefix {prefix[:80]!r}; the file begins with {_first(keys)}")
    inside = {key.removeprefix(prefix): state[full] for key, full in keys.items() if key.startswith(prefix)}
    inside = {key: value for key, value in inside.items() if not key.startswith(options.ignore or ("\0",))}
    converted, notes = _converted(skeleton, own, inside)
    if missing := [key for key in own if key not in converted]:
        raise HgldError(
            f"lacks {len(missing)} of the {len(own)} weights of {name}, such as {missing[0]!r}; the network has "
            f"{_first(own)}; the file has {_first(state)}; does --backbone name the network that was trained?"
        )
    strange = [key for key in converted if key not in own and key.split(".")[0] not in _NOT_USED]
    if strange:
        raise HgldError(
            f"has {len(strange)} weights that {name} has not, such as {strange[0][:80]!r}; the network has "
            f"{_first(own)}; another backbone, or leave them out: --ignore {strange[0].split('.')[0][:40]}"
        )
    for key, value in own.items():
        if converted[key].shape != value.shape:
            size = f" for images of {options.image_size} px: another --image-size, or" if options.image_size else ";"
            found = tuple(converted[key].shape)
            raise HgldError(f"{key} is {found}, {name} needs {tuple(value.shape)}{size} another backbone?")
        if value.is_floating_point() and not converted[key].is_floating_point():
            raise HgldError(f"{key} is {converted[key].dtype}: quantised weights cannot be scored; save them as float")
    wrapped = any(key != full for key, full in keys.items())
    removed = [f"{part + '.'!r}" for part in _WRAPPERS if wrapped and any(part in key.split(".") for key in state)]
    removed += [repr(prefix)] if prefix else []
    notes.insert(0, f"{len(own)} of {len(own)} weights of {name} found" + _removed(removed))
    rest = {
        key: state[full] for key, full in keys.items() if not key.startswith(prefix) or key[len(prefix) :] not in own
    }
    weights = {key: value.to(own[key].dtype) for key, value in converted.items() if key in own}
    return Matched(weights, rest, prefix, notes)


def find_prefix(own: Iterable[str], keys: Iterable[str]) -> str:
    """What stands before the network's keys among `keys`: the text before which most of them are found.

    Raises HgldError where two prefixes fit equally well, such as those of a student and its teacher.

    >>> find_prefix(["conv.weight", "bn.bias"], ["model.conv.weight", "model.bn.bias", "head.bias"])
    'model.'
    """
    wanted, present = list(own), set(keys)
    ends = {*wanted[:20], *wanted[-20:]}
    candidates = {""}
    for key in present:
        parts = key.split(".")
        candidates |= {".".join(parts[:n]) + "." for n in range(1, len(parts)) if ".".join(parts[n:]) in ends}
    counts = Counter({prefix: sum(prefix + name in present for name in wanted) for prefix in candidates})
    best = max(counts.values())
    fitting = sorted(prefix for prefix, count in counts.items() if count == best)
    if best and len(fitting) > 1:
        shown = " and ".join(f"{prefix!r}" for prefix in fitting[:4])
        raise HgldError(f"has weights of the network under {shown}; choose one by --prefix")
    return fitting[0] if best else ""


def _unwrapped(key: str, own: Mapping[str, Tensor]) -> str:
    """The key without the parts that wrappers add."""
    return key if key in own else ".".join(part for part in key.split(".") if part not in _WRAPPERS)


def _converted(
    skeleton: Any, own: Mapping[str, Tensor], state: dict[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """`state` as it is, or through the conversion that timm has for the network: other names, another input size."""
    fits = all(key in state and state[key].shape == value.shape for key, value in own.items())
    convert: Callable[..., Any] | None = getattr(sys.modules[type(skeleton).__module__], "checkpoint_filter_fn", None)
    if fits or convert is None or not state:
        return state, []
    try:
        converted: dict[str, Tensor] = convert(dict(state), skeleton)
    except Exception as error:  # timm's conversions expect the files that they were written for
        if lacks_memory(error):
            raise
        return state, []
    notes = ["converted by timm to its own names"] if set(converted) != set(state) else []
    before, after = state.get("pos_embed"), converted.get("pos_embed")
    if before is not None and after is not None and before.shape != after.shape:
        notes.append(f"position embeddings resampled from {before.shape[1]} to {after.shape[1]} tokens by timm")
    return converted, notes


def _built(
    name: str, arguments: dict[str, Any], found: Matched, options: ModelOptions, *, initial: bool = False
) -> tuple[Any, set[str]]:
    """The network with its weights (or as initialised), and the keys of `found.rest` that it uses beside them."""
    backbone = timm_name.create(name, options, **arguments)
    used: set[str] = set()
    head = None
    if options.head != "none":
        own = options.pooling is None and getattr(backbone, "head_hidden_size", None)
        head, used = _head(found, own or backbone.num_features, options.head)
    if not initial:
        backbone.load_state_dict(found.weights)
    elif head is not None:
        head = _initial(head)
    network = timm_name.embedder(backbone, options, head)
    powers = [key for key, value in found.rest.items() if _GEM_POWER.search(key) and value.numel() == 1]
    if options.pooling == "gem" and len(powers) == 1:
        inner = network.network
        assert isinstance(inner, PooledBackbone)
        if not initial:
            set_gem_power(inner, found.rest[powers[0]])
        used |= {powers[0]}
    return network, used


def _head(found: Matched, channels: int, kind: str) -> tuple[nn.Sequential, set[str]]:
    """The linear layer after the pooling: the only one in the file that takes `channels` numbers."""
    weights = {k: v for k, v in found.rest.items() if k.endswith("weight") and v.dim() == 2 and v.shape[1] == channels}
    if len(weights) != 1:
        what = (
            f"{len(weights)}: {_first(weights)}"
            if weights
            else f"none; beside the backbone it has {_first(found.rest)}"
        )
        raise HgldError(f"--head {kind}: expected one linear layer from {channels} numbers in the file, found {what}")
    ((key, weight),) = weights.items()
    bias = found.rest.get(key.removesuffix("weight") + "bias")
    linear = nn.Linear(channels, len(weight), bias=bias is not None)
    linear.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    layers = [nn.LayerNorm(channels, elementwise_affine=False)] if kind == "layernorm-linear" else []
    return nn.Sequential(*layers, linear), {key, *({key.removesuffix("weight") + "bias"} if bias is not None else ())}


def _initial(head: nn.Sequential) -> nn.Sequential:
    """The head with initial weights from seed 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for layer in head:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
    return head


def _first(keys: Iterable[str]) -> str:
    return ", ".join(repr(key[:60]) for key in list(keys)[:3]) or "no keys"


def _removed(prefixes: list[str]) -> str:
    return f"; removed from their names: {', '.join(prefixes)}" if prefixes else ""


def _unused(keys: Iterable[str], head: str) -> list[str]:
    """A note about the weights that the score does not depend on."""
    names = sorted(keys)
    hint = " (--head linear would add a linear layer to the embedding)" if head == "none" else ""
    if not names:
        return []
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return [f"not used: {', '.join(name[:60] for name in names[:6])}{more}{hint}"]
