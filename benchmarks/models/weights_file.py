"""The weights in a file of torch.save or safetensors, taken out of what a trainer saves around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hgld.benchmarks.models.file_kind import is_safetensors
from hgld.benchmarks.models.torch_file import read_torch_file
from hgld.foundation.errors import HgldError, lacks_memory, reason, suggest

MAX_HEADER_BYTES = 32 << 20
MAX_DEPTH = 4
MAX_SHARED = 8
# Where trainers keep the weights, in the order of choice: averaged weights come first, as in timm's own loader.
ENVELOPES = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema", "teacher"),
    *("state_dict", "model_state_dict", "model", "network", "net", "module", "weights", "student"),
)


class Weights(NamedTuple):
    """Tensors by key, float32 where they are floating-point, and notes about what was done to the file's contents."""

    state: dict[str, Tensor]
    notes: list[str]


def read_weights(path: Path, state_key: str | None = None) -> Weights:
    """The weights in a file; runs no code. state_key: the part to take where a file has several sets of weights.

    Raises HgldError; its message begins with a verb and is to be preceded by the path.
    """
    document = read_safetensors(path) if is_safetensors(path) else read_torch_file(path)
    if isinstance(document, Mapping) and isinstance(document.get("format"), str) and "model" in document:
        raise HgldError("is a checkpoint of hgld, which names its own network; leave out --backbone")
    state, notes = _unwrapped(document, state_key)
    claimed, size = sum(value.numel() * value.element_size() for value in state.values()), path.stat().st_size
    if claimed > MAX_SHARED * size:  # a stored number may stand for many: a few tensors share theirs, hostile files all
        raise HgldError(f"is refused: its tensors have {claimed:,} bytes, the file {size:,}")
    plain = {key: _plain(key, value) for key, value in state.items()}
    kinds = sorted({str(v.dtype).removeprefix("torch.") for k, v in state.items() if plain[k].dtype != v.dtype})
    if kinds:
        notes.append(f"converted from {', '.join(kinds)} to float32")
    return Weights(plain, notes)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises HgldError for a damaged one."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with path.open("rb") as handle:
        header = int.from_bytes(handle.read(8), "little")
    if header > MAX_HEADER_BYTES:
        raise HgldError(f"is refused: a safetensors header of {header:,} bytes; at most {MAX_HEADER_BYTES:,}")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, AttributeError, KeyError) as error:
        if lacks_memory(error):
            raise
        raise HgldError(
            f"is damaged, or not a safetensors file ({reason(error)[:200]}); download or copy it again"
        ) from None


def _unwrapped(document: object, state_key: str | None) -> tuple[dict[str, Tensor], list[str]]:
    """The state dict inside of what a trainer saved."""
    notes: list[str] = []
    path: list[str] = []
    level = _mapping(document)
    for _ in range(MAX_DEPTH):
        inner = [key for key, value in level.items() if isinstance(value, Mapping) and value]
        if state_key is not None and not path:
            if state_key not in inner:
                hint = suggest(state_key, inner) or f"; it has {_listed(sorted(inner)) or 'none'}"
                raise HgldError(f"has no weights under --state-key {state_key[:80]!r}{hint}")
            chosen = [state_key]
        else:
            chosen = [key for key in ENVELOPES if key in inner]
        if not chosen:
            break
        if len(chosen) > 1:
            notes.append(f"it also has weights under {', '.join(chosen[1:])}: choose by --state-key")
        if rest := sorted(set(level) - set(chosen)):
            notes.append(f"left out beside the weights: {_listed(rest)}")
        path.append(chosen[0])
        level = _mapping(level[chosen[0]])
    tensors = {key: value for key, value in level.items() if isinstance(value, Tensor)}
    where = f" under {'.'.join(path)}" if path else ""
    if not tensors:
        raise HgldError(f"has no tensors{where}; it has {_listed(sorted(level))}")
    if rest := sorted(set(level) - set(tensors)):
        notes.append(f"left out beside the weights: {_listed(rest)}")
    return tensors, [f"weights taken from {'.'.join(path)!r}", *notes] if path else notes


def _mapping(document: object) -> dict[str, Any]:
    """A dictionary with its keys as text. Raises HgldError for anything else."""
    if not isinstance(document, Mapping) or not document:
        what = "nothing" if isinstance(document, Mapping) else f"a {type(document).__name__}"
        raise HgldError(f"holds {what}; expected a state_dict: names and tensors")
    return {str(key): value for key, value in document.items()}


def _plain(key: str, value: Tensor) -> Tensor:
    """A dense tensor on the CPU, float32 where it is floating-point."""
    if value.layout != torch.strided or value.is_complex() or value.is_quantized or value.device.type != "cpu":
        raise HgldError(f"{key[:80]!r} is {value.dtype}, {value.layout} on {value.device}; expected a plain tensor")
    return value.to(torch.float32) if value.is_floating_point() else value


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:60] for name in names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown
