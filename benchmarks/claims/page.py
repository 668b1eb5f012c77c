"""docs/claims.md: what a section consists of, the text around the sections, and the files that are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hgld.benchmarks.claims import experiments as e
from hgld.benchmarks.claims.results import Results
from hgld.foundation.files import write_text

COMMAND = "python -m hgld.benchmarks.claims"

INTRODUCTION = """\
# The claims, tested on real images

What the papers claim about their losses, and what we claim about ours, measured on two small sets of real images that
anybody can use. [choosing.md](choosing.md) turns the tables into advice. This page is written by

    {command} --data ../shared/data

from the results in [{file}]({file}), one line per training; nothing in it is typed by hand.

**Data.** *grocery*: GroceryStore, 5,125 photographs (112 px), 81 fine, 43 coarse and 3 top classes. *omniglot*: 2,720
drawings of 136 characters of 5 alphabets. In both, a random half of the fine classes is trained on, and the other half
is tested on (zero-shot), each test image against all others; every seed has its own split, initial weights and batches.
H-AP as a metric has α = 1; level 0 is the finest. The images are not in this repository: `--data` names the folder that
holds grocery/grocery_store_112px.zip (github.com/marcusklasson/GroceryStoreDataset, scaled to 112 px) and
omniglot/images_background_small1.zip (github.com/brendenlake/omniglot), both under the MIT licence.

**Training.** A linear head to 128 dimensions on frozen features of EfficientNet-Lite0 (ImageNet), trained with Adam for
200 steps of 64 images, 4 per class; the rate falls by a cosine, proxies have 1e-2. Each loss has the best of the
learning rates {rates} by H-AP on two other splits of the same images: the middle three
are tried, an outer one where its neighbour is the best of them. "The whole network" is this head, trained as above, and
then {whole_steps} steps of {whole_batch} images in which all weights are trained (rates {whole});
the statistics of batch normalisation stay. "From scratch" is timm's `test_resnet` on images of 32 px (rates
{scratch}). Both have one split for their rates.

**Reading the tables.** Numbers are means ± standard deviations over the seeds. Most of that deviation is the split,
which the compared losses share: differences are therefore paired by seed, and much more certain than the means. \\*:
beyond noise, p < .05 in an exact two-sided randomisation test over the seeds, with Holm's correction within a family:
the comparisons of one metric on one set; in the tables of galleries and samplers, the metrics of one row; in "One
default", the columns of one loss. Nothing is corrected across claims. A verdict is computed from these: a claim
*holds* if all its comparisons are beyond noise in its direction, *does not hold* if they are in the other, and is
*within noise* if none is. In "One default", the best of a column is chosen by the scores that are compared, which
favours it.

The orderings that HAPPIER draws in its figures (equal AP and another H-AP; Lada, Prius, Bus) are tests:
tests/benchmarks/claims/test_constructed_rankings.py.

**Wrong labels** are those of whole classes: the given fraction of them, at least one, stands under another label of
level 1. It is any other label with equal chances; or mostly one that looks alike: the label whose mean feature is the
k-th nearest has the share of the k-th most frequent mistake of our name model (`python -m tests.held_out`).

**Run again** on the same machine, the command gives the same numbers, except for the CPU seconds and for what is
trained for a time. On another processor they may differ slightly: the tests repeat the trainings of the quick look
(`--quick`) and require that each H-AP is within .01 of the committed one.

**Limits.** Small sets, mostly a head on frozen features, short trainings: what holds here need not hold on GLDv2. The
losses have our defaults, not the settings of a published experiment: those of SupRank have no `offset` (published: 1.44
or 1), proxies a rate of 1e-2 (HAPPIER: up to 10). "Does not hold" is about these losses here. The learning rates were
chosen on other splits, but of the same images. A loss could gain by settings of its own that were not tried (margins,
temperatures, proxy rates). With batches of other sizes, other galleries and wrong labels, the learning rate is the one
chosen at 64 images with right labels.
"""


@dataclass
class Section:
    """A title, verdicts by claim and set of images, the text, and plots by file name; empty if a result is missing."""

    title: str
    verdicts: list[tuple[str, str, str]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    plots: dict[str, str] = field(default_factory=dict)

    def judge(self, claim: str, data: str, words: str) -> None:
        """Add a verdict."""
        self.verdicts.append((claim, data, words))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are right-aligned."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def page(sections: Sequence[Section], results: Results) -> tuple[str, dict[str, str]]:
    """The Markdown text, and the plots by file name; a section that is not measured completely is named as such."""
    rates, scratch, whole = (" / ".join(f"{r:g}" for r in own) for own in (e.RATES, e.SCRATCH_RATES, e.WHOLE_RATES))
    names = {"rates": rates, "scratch": scratch, "whole": whole, "file": results.path.name, "command": COMMAND}
    text = [INTRODUCTION.format(**names, whole_steps=e.WHOLE_STEPS, whole_batch=e.WHOLE_BATCH)]
    seconds, count = results.total("cpu_seconds"), len(results)
    text.append(f"{count:,} trainings took {seconds / 60:.0f} minutes of CPU time on one core, without their scores.\n")
    text.append("## Verdicts\n")
    text.append(_verdicts([row for section in sections for row in section.verdicts]) + "\n")
    if missing := [section.title for section in sections if not section.text]:
        text.append(f"Not measured for this page: {'; '.join(missing)}. The command above measures it.\n")
    for section in sections:
        if section.text:
            text += _section(section, results.version)
    plots = {name: svg for section in sections for name, svg in section.plots.items()}
    return "\n".join(text).rstrip("\n") + "\n", plots


def _verdicts(rows: list[tuple[str, str, str]]) -> str:
    """A row per claim, a column per set; a set for which a claim does not speak has an empty cell."""
    found = {(claim, data): words for claim, data, words in rows}
    claims = dict.fromkeys(claim for claim, *_ in rows)
    cells = [[claim, *(found.get((claim, data), "") for data in e.SETS)] for claim in claims]
    return table(["claim", *e.SETS], cells).replace("---:", "---")


def _section(section: Section, version: str) -> list[str]:
    text = [f"## {section.title}\n"]
    for part in section.text:
        text.append(part + "\n")
        if part.startswith("|"):
            text.append(f"<sub>`{COMMAND}`, code {version}</sub>\n")
    return text


def write_page(sections: Sequence[Section], results: Results, out: Path) -> None:
    """Write the page, and its plots beside it."""
    text, plots = page(sections, results)
    for name, svg in plots.items():
        write_text(svg, out.parent / name)
    write_text(text, out)
