"""Open whatever `hgld benchmark MODEL` names: one row per form.

The form follows from the text and the first bytes of the file, never from trying one after another. No form runs code
that comes with the model, unless `trust` is given. docs/models.md says what to type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from hgld.benchmarks.models.embedding_network import check_scales
from hgld.benchmarks.models.file_kind import model_format
from hgld.benchmarks.models.scored_model import ModelOptions, Precomputed, ScoredModel
from hgld.benchmarks.models.sources.checkpoint import open_checkpoint
from hgld.benchmarks.models.sources.embeddings import match_ids, open_npy, open_npz, open_parquet
from hgld.benchmarks.models.sources.onnx_graph import open_onnx
from hgld.benchmarks.models.sources.open_clip_name import open_open_clip_name
from hgld.benchmarks.models.sources.preprocessing import check_preprocessing
from hgld.benchmarks.models.sources.python_callable import PATTERN, open_python_callable
from hgld.benchmarks.models.sources.state_dict import open_state_dict
from hgld.benchmarks.models.sources.timm_name import open_timm_name
from hgld.benchmarks.models.sources.torch_program import open_exported, open_torchscript
from hgld.foundation.errors import HgldError

__all__ = ["FORMS", "Form", "ModelOptions", "check_half", "form_of", "match_ids", "open_model"]

_VIEWS = "flip scales "
_PIXELS = "image_size mean std interpolation "
_NETWORK = _VIEWS + _PIXELS + "crop_pct "


@dataclass(frozen=True)
class Form:
    """A form of a model: what it is called, what opens it, and the options that it takes.

    precision: why half precision would change nothing, "" where it does.
    """

    title: str
    open: Callable[[str, ModelOptions], ScoredModel | Precomputed]
    takes: str
    runs_code: bool = False
    precision: str = ""


_COMPUTED = "they are computed already"
_EXPORTED = "it is computed in the precision in which it was exported"
FORMS: dict[str, Form] = {
    "checkpoint": Form("a checkpoint of hgld", open_checkpoint, _VIEWS + "image_size"),
    "state_dict": Form("a state dict", open_state_dict, _NETWORK + "backbone pooling head prefix state_key ignore"),
    "timm": Form("a network of timm", open_timm_name, _NETWORK + "pooling"),
    "open_clip": Form("a model of open_clip", open_open_clip_name, _VIEWS + _PIXELS),
    "npz": Form("embeddings (.npz)", open_npz, "", precision=_COMPUTED),
    "npy": Form("embeddings (.npy)", open_npy, "ids", precision=_COMPUTED),
    "parquet": Form("embeddings (.parquet)", open_parquet, "", precision=_COMPUTED),
    "onnx": Form("an ONNX model", open_onnx, _NETWORK + "output", precision=_EXPORTED),
    "torchscript": Form("a TorchScript archive", open_torchscript, _NETWORK, runs_code=True),
    "exported": Form("a program of torch.export", open_exported, _NETWORK, runs_code=True),
    "callable": Form("a Python function", open_python_callable, _VIEWS, runs_code=True),
}


def open_model(model: str, options: ModelOptions) -> ScoredModel | Precomputed:
    """Open `model`, a file or a name.

    Raises HgldError, one line: an unknown form or name, a file that is damaged or of another kind, an option that the
    form does not take, weights that do not match the network, or code that would run without `trust`.
    """
    name = form_of(model, options)
    form = FORMS[name]
    _check_options(model, form, options)
    if form.runs_code and not options.trust:
        raise HgldError(
            f"{model} is {form.title}, which runs code that comes with it; add --trust if you trust its author, or "
            "save the state_dict of the network and give --backbone NAME"
        )
    check_preprocessing(options)
    check_scales(options)
    return form.open(model, options)


def check_half(model: str, options: ModelOptions) -> None:
    """Raise HgldError for a model that cannot be computed in half precision, and as `form_of` does."""
    form = FORMS[form_of(model, options)]
    if form.precision:
        raise HgldError(f"{model} is {form.title}, which does not take --half: {form.precision}; leave it out")


def form_of(model: str, options: ModelOptions) -> str:
    """The form of a model, a key of FORMS. Raises HgldError where it has none."""
    for prefix in ("timm", "open_clip"):
        if model.startswith(f"{prefix}:"):
            return prefix
    path = Path(model)
    try:
        exists = path.exists()
    except (OSError, ValueError):  # a name that is too long, or with a null character
        exists = False
    if not exists:
        if PATTERN.fullmatch(model):
            return "callable"
        raise HgldError(
            f"{model}: no such file; expected a file of a model or of embeddings, timm:NAME, "
            "open_clip:NAME/PRETRAINED, or package.module:function (docs/models.md)"
        )
    try:
        found = model_format(path)
    except HgldError as error:
        raise error.within(model) from None
    if found == "safetensors":
        if options.backbone is None:
            raise HgldError(f"{model} is a safetensors file of weights; say of which network of timm: --backbone NAME")
        return "state_dict"
    if found not in ("", "torch"):
        return found
    if not found and path.suffix == ".onnx":
        return "onnx"  # whose error says what is wrong with it
    return "checkpoint" if options.backbone is None else "state_dict"


def _check_options(model: str, form: Form, options: ModelOptions) -> None:
    """Raise HgldError for an option that would change nothing."""
    for field in fields(ModelOptions):
        given = getattr(options, field.name) != field.default
        if given and field.name != "trust" and field.name not in form.takes.split():
            flag = "--" + field.name.replace("_", "-")
            raise HgldError(f"{model} is {form.title}, which does not take {flag}; leave it out")
