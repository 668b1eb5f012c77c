"""Checks of what a checkpoint holds, before anything is built from it: its settings and its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from hgld.foundation.errors import HgldError

# The settings in `config` are shown in the report: as much as a person can read.
MAX_DEPTH = 20
MAX_VALUES = 10_000
MAX_CHARACTERS = 1_000_000
# What wraps a network puts its own name into the keys, at the start or between two parts.
_WRAPPERS = {"module": "DistributedDataParallel", "_orig_mod": "torch.compile", "_fsdp_wrapped_module": "FSDP"}


def check_config(config: Mapping[Any, Any]) -> None:
    """Raise HgldError for settings that are nested too deeply, too many, too long, or not plain values."""
    waiting: list[tuple[str, Any, int]] = [("config", config, 0)]
    count = characters = 0
    while waiting:
        name, value, depth = waiting.pop()
        count += 1
        if depth > MAX_DEPTH:
            raise HgldError(f"config is nested deeper than {MAX_DEPTH} levels; keep the settings only")
        if count > MAX_VALUES:
            raise HgldError(f"config has more than {MAX_VALUES:,} values; keep the settings only")
        if isinstance(value, Mapping):
            for key in value:
                characters += _characters(key, f"a key of {name}")
            waiting += ((f"{name}.{key}"[:200], item, depth + 1) for key, item in value.items())
        elif isinstance(value, list | tuple | set):
            waiting += ((name, item, depth + 1) for item in value)
        else:
            characters += _characters(value, name)
        if characters > MAX_CHARACTERS:
            raise HgldError(f"config has more than {MAX_CHARACTERS:,} characters; keep the settings only")


def _characters(value: object, name: str) -> int:
    """The length of a plain value as text. Raises HgldError for anything else."""
    if isinstance(value, str | bytes):
        return len(value)
    if value is None or isinstance(value, int | float | complex | torch.dtype | torch.device):
        return 20
    if isinstance(value, Tensor) and value.numel() <= MAX_VALUES and value.layout == torch.strided:
        return 20 * value.numel()
    raise HgldError(f"{name!r} is a {type(value).__name__}; expected numbers, text, lists and dictionaries")


def check_weights(own: Mapping[str, Tensor], state: Mapping[Any, Any], contract: str) -> None:
    """Raise HgldError with the first key of `state` that is missing, unknown or of the wrong shape."""
    if missing := [key for key in own if key not in state]:
        hint = renamed(own, state)
        raise HgldError(f"state_dict lacks {missing[0]!r} ({len(missing)} of {len(own)} keys); {hint or contract}")
    if extra := [str(key) for key in state if key not in own]:
        raise HgldError(f"state_dict has unknown {extra[0][:80]!r} ({len(extra)} keys); {contract}")
    for key, value in state.items():
        if isinstance(value, Tensor) and not _is_plain(value, own[key]):
            kind = f"{value.dtype}, {value.layout} on {value.device}"
            raise HgldError(f"{key} is {kind}; the network needs a plain {own[key].dtype} tensor")
        if not isinstance(value, Tensor) or value.shape != own[key].shape:
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise HgldError(f"{key} is {shape}, the network needs {tuple(own[key].shape)}")
        if not bool(value.float().isfinite().all()):  # values of 8 bits have no isfinite
            raise HgldError(f"{key} contains values that are not finite numbers: a training that diverged")


def _is_plain(value: Tensor, own: Tensor) -> bool:
    """Whether `value` is a dense CPU tensor of the same kind of number (floating or integer) as `own`."""
    same_kind = value.is_floating_point() == own.is_floating_point() and not value.is_complex()
    return same_kind and value.layout == torch.strided and value.device.type == "cpu" and not value.is_nested


def renamed(own: Iterable[str], state: Iterable[Any]) -> str:
    """What was added to the keys of the state_dict, and how to remove it; "" where that is not the difference."""
    wanted, keys = set(own), [str(key) for key in state]
    used = sorted({part for key in keys for part in key.split(".") if part in _WRAPPERS})
    plain = {".".join(part for part in key.split(".") if part not in _WRAPPERS) for key in keys}
    if used and len(plain & wanted) > len(wanted) / 2:
        makers = " and ".join(f"{part + '.'!r} ({_WRAPPERS[part]})" for part in used)
        inner = "".join(f".{part}" for part in keys[0].split(".") if part in used) or f".{used[0]}"
        return f"its keys contain {makers}: save network{inner}.state_dict(), or remove that part from each key"
    first = min(wanted, default="")
    for key in keys:
        prefix = key.removesuffix(first)
        if first and prefix not in ("", key) and sum(prefix + name in keys for name in wanted) > len(wanted) / 2:
            return f"its keys begin with {prefix[:80]!r}: remove that from each key"
    return ""


def weight_bytes(state: Mapping[str, Tensor]) -> int:
    """Bytes of the tensors in a network's own state_dict."""
    return sum(value.numel() * value.element_size() for value in state.values())
