"""The options of `hgld benchmark`, `train`, `data` and `leaderboard` on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

# Whether a path exists and is a file is checked by the code that opens it, for a specific message and exit code 1.
_FILE = click.Path(path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


def comma_list(kind: type, what: str, values: int | None = None) -> Any:
    """A callback that turns comma-separated values into a tuple; values: how many there have to be."""

    def parse(context: click.Context, option: click.Parameter, text: str | None) -> tuple[Any, ...] | None:
        if text is None:
            return None
        try:
            parsed = tuple(kind(part.strip()) for part in text.split(","))
        except ValueError:
            parsed = ()
        if not parsed or "" in parsed or (values and len(parsed) != values):
            raise click.BadParameter(f"expected {what}, found {text!r}")
        return parsed

    return parse


def with_options(options: Iterable[Any]) -> Callable[[Any], Any]:
    """Several options as one decorator."""

    def decorate(command: Any) -> Any:
        for option in reversed(list(options)):
            command = option(command)
        return command

    return decorate


_THREE = comma_list(float, "three numbers separated by commas", 3)
# The options of `benchmark`; each is a field of Choice or ModelOptions.
DATA_OPTIONS = [
    click.option("--data", metavar="DATA", help="A table (CSV, Parquet), a folder, or LAYOUT:FOLDER such as sop:DIR; "
                 "`hgld data DATA` shows what it holds (default: the release of the profile)."),
    click.option("--levels", metavar="A,B,…", callback=comma_list(str, "names separated by commas"),
                 help="The levels, finest first: columns of a table, or names for those of a folder."),
    click.option("--split", metavar="NAME", help="How data without a split are divided: class (default), "
                 "image or none; see docs/data.md."),
]  # fmt: skip
MODEL_OPTIONS = [
    click.option("--backbone", metavar="NAME", help="The network of timm that a state dict belongs to."),
    click.option("--pooling", metavar="NAME", help="cls, avg, max, gem, avg+max or patch-cls (default: its own)."),
    click.option("--head", default="none", show_default=True, metavar="NAME",
                 help="What follows the pooling: none, linear, layernorm-linear."),
    click.option("--image-size", type=int, metavar="PIXELS", help="Side of the input (default: the model's)."),
    click.option("--mean", callback=_THREE, metavar="R,G,B", help="Mean of the pixels, in 0..1."),
    click.option("--std", callback=_THREE, metavar="R,G,B", help="Standard deviation of the pixels, in 0..1."),
    click.option("--interpolation", metavar="NAME", help="bilinear, bicubic, nearest or lanczos."),
    click.option("--crop-pct", type=float, metavar="SHARE", help="Side of the crop by the shorter side of the image."),
    click.option("--prefix", metavar="TEXT", help="What stands before the network's keys in a state dict."),
    click.option("--state-key", metavar="NAME", help="Which of the sets of weights in a file, such as state_dict_ema."),
    click.option("--ignore", multiple=True, metavar="PREFIX", help="Leave out keys that begin so (repeatable)."),
    click.option("--output", metavar="NAME", help="Which output of an ONNX model is the embedding."),
    click.option("--ids", type=_FILE, metavar="FILE", help="The ids of the rows of a .npy, one a line."),
    click.option("--trust", is_flag=True, help="Let code that comes with the model run."),
    click.option("--flip", is_flag=True, help="Average with the embedding of the mirrored image."),
    click.option("--scales", callback=comma_list(float, "numbers separated by commas"), metavar="S,S,…",
                 help="Average over the input scaled by these, such as 0.7,1,1.4."),
]  # fmt: skip
COMPUTE_OPTIONS = [
    click.option("--whiten", type=click.IntRange(min=1), metavar="D",
                 help="Whiten to D numbers by PCA on the train images."),
    click.option("--half", is_flag=True, help="Compute in half precision."),
    click.option("--device", metavar="NAME", help="cpu, cuda, cuda:1, … (default: a GPU if there is one)."),
    click.option("--cache", type=_FOLDER, metavar="DIR", help="Keep embeddings here (default: data/PROFILE/cache for "
                 "the release, else ~/.cache/hgld)."),
    click.option("--metrics", callback=comma_list(str, "names separated by commas"), metavar="M,M,…",
                 help="Such as H-AP,R@1_l0 (default: those of params.yaml, or of every level)."),
    click.option("--batch", type=click.IntRange(1, 65_536), metavar="N", help="Images at a time."),
    click.option("--threads", type=click.IntRange(1, 1_024), metavar="N", help="Threads."),
]  # fmt: skip
FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "latex", "csv", "json", "html"]),
    default="table",
    show_default=True,
    help="Of the leaderboard; csv and json have every number.",
)
