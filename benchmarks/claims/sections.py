"""The sections of docs/claims.md, one function per subject: tables, plots and verdicts, all from the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hgld.benchmarks.claims import experiments as e
from hgld.benchmarks.claims.experiments import AP, HAP, HAP5_CLUSTER, HAPPIER, ROADMAP
from hgld.benchmarks.claims.plots import Panel, curves
from hgld.benchmarks.claims.results import Results
from hgld.benchmarks.claims.training import Setting
from hgld.benchmarks.claims.verdicts import (
    Comparison,
    Pair,
    Sample,
    Scores,
    compare,
    equal_verdict,
    short,
    verdict,
)

COLUMNS = ("H-AP", "NDCG", "ASI", "AP_l0", "AP_l1", "R@1_l0", "recall@10_l0")
GALLERY_METRICS = ("H-AP", "AP_l0", "AP_l1")
FULL_BATCH = 64


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


def _method_samples(scores: Scores, data: str, names: Sequence[str], metric: str) -> dict[str, Sample]:
    return {
        name: scores.sample(e.method(data, name, scores.results, gaps=e.gaps_of(name)), metric, e.SEEDS)
        for name in names
    }


def methods(results: Results) -> Section:
    """All methods in one table; HAPPIER against its baselines, and what each loss is best at."""
    scores, section = Scores(results), Section("Every loss, one budget")
    for data in e.SETS:
        samples = {metric: _method_samples(scores, data, list(e.METHODS), metric) for metric in COLUMNS}
        _judge_happier(section, data, samples)
        _judge_family(section, data, samples)
        order = sorted(e.METHODS, key=lambda name: -samples["H-AP"][name].mean)
        tops = {metric: max(own, key=lambda name: own[name].mean) for metric, own in samples.items()}
        rows = []
        for name in order:
            cells = [str(samples[metric][name]) for metric in COLUMNS]
            cells = [
                f"**{cell}**" if tops[metric] == name else cell for metric, cell in zip(COLUMNS, cells, strict=True)
            ]
            setting = e.method(data, name, results)
            rows.append([name, *cells, f"{setting.lr:g}" if setting else ""])
        section.text += [f"**{data}**, {len(e.SEEDS)} seeds", table(["loss", *COLUMNS, "rate"], rows)]
    return section if not scores.missing else Section(section.title)


def _judge_happier(section: Section, data: str, samples: Mapping[str, Mapping[str, Sample]]) -> None:
    """Claim 2."""
    baselines = (AP, "SmoothAP", "Triplet", "Cluster", "CSL", "ProxyNCA++")
    claims = {
        f"HAPPIER (SupHAP + Cluster) beats {', '.join(baselines)} on {metric}": [
            Pair(name, samples[metric][HAPPIER], samples[metric][name]) for name in baselines
        ]
        for metric in ("H-AP", "NDCG", "ASI")
    }
    family = compare([pair for pairs in claims.values() for pair in pairs])
    rows = []
    for number, name in enumerate(baselines):
        rows.append([name, *(str(family[number + part * len(baselines)]) for part in range(3))])
    for part, claim in enumerate(claims):
        section.judge(claim, data, verdict(family[part * len(baselines) : (part + 1) * len(baselines)]))
    equal = compare([Pair(name, samples["R@1_l0"][HAPPIER], samples["R@1_l0"][name]) for name in baselines])
    section.judge("… at equal R@1", data, equal_verdict(equal))
    fine = compare([Pair("", samples["AP_l0"][HAPPIER], samples["AP_l0"][HAP])])
    section.judge("without Cluster, SupHAP loses AP at the finest level", data, verdict(fine))
    for row, comparison in zip(rows, equal, strict=True):
        row.append(str(comparison))
    section.text += [
        f"**{data}**: HAPPIER minus each baseline (\\*: beyond noise, p < .05 with Holm's correction)",
        table(["baseline", "H-AP", "NDCG", "ASI", "R@1_l0"], rows),
    ]


def _judge_family(section: Section, data: str, samples: Mapping[str, Mapping[str, Sample]]) -> None:
    """Claim 3."""
    for name, metric in ((e.NDCG, "NDCG"), (e.RECALL, "R@1_l0"), (e.RECALL, "recall@10_l0"), (HAP, "H-AP")):
        others = [other for other in (AP, HAP, e.NDCG, e.RECALL) if other != name]
        family = compare([Pair(other, samples[metric][name], samples[metric][other]) for other in others])
        section.judge(f"{name} is the best of SupAP, SupHAP, SupNDCG and SupRecall on {metric}", data, verdict(family))


def tradeoffs(results: Results) -> Section:
    """The curves over α and over the weight beside Cluster, as differences to the published choice."""
    scores, section = Scores(results), Section("The trade-offs: α, and the weight of SupHAP beside Cluster")
    weights = (0.0, *e.WEIGHTS, 1.0)
    for name, words, terms, values, published in (
        ("alpha", "α", e.alpha_terms, e.ALPHAS, 1.0),
        ("weight", "weight of SupHAP; the rest is Cluster's", e.weight_terms, weights, 0.9),
    ):
        panels = []
        for data in e.SETS:
            at = {value: e.curve(data, terms(value), results) for value in values}
            found = {m: [scores.sample(at[v], m, e.SEEDS) for v in values] for m in ("H-AP", "AP_l0", "AP_l1")}
            reference = values.index(published)
            lines = {m: [Sample(s.values - own[reference].values) for s in own] for m, own in found.items()}
            panels.append(Panel(f"{data}: difference to {published:g}", [f"{v:g}" for v in values], lines))
            family = compare(
                [
                    Pair(f"{v:g}", own[n], own[reference])
                    for own in found.values()
                    for n, v in enumerate(values)
                    if n != reference
                ]
            )
            rows = _curve_rows(values, reference, found, family)
            section.text += [f"**{data}**, SupHAP by {words}", table([words.split(";")[0], *found], rows)]
            if name == "alpha":
                best = max(values, key=lambda v: found["H-AP"][values.index(v)].mean)
                test = compare([Pair("", found["H-AP"][values.index(best)], found["H-AP"][reference])])
                section.judge(
                    f"an α above 1 helps H-AP itself (best mean: α = {best:g})",
                    data,
                    verdict(test) if best > 1 else "**does not hold**",
                )
        file = f"claims_{name}.svg"
        section.plots[file] = curves(panels, words, f"Scores by {words}, as differences to {published:g}")
        section.text.append(f"![Scores of SupHAP by {words}, as paired differences.]({file})")
    return section if not scores.missing else Section(section.title)


def _curve_rows(
    values: Sequence[float], reference: int, found: Mapping[str, Sequence[Sample]], family: Sequence[Comparison]
) -> list[list[str]]:
    """A row per value: its mean, and its difference to the reference."""
    rows = []
    per_metric = len(values) - 1
    for n, value in enumerate(values):
        cells = []
        for part, own in enumerate(found.values()):
            at = part * per_metric + (n if n < reference else n - 1)
            cells.append(str(own[n]) if n == reference else f"{short(own[n].mean)} ({family[at]})")
        rows.append([f"{value:g}", *cells])
    return rows


def mixtures(results: Results) -> Section:
    """Is there one choice that is best, or as good as the best, on both sets and at both ends of the hierarchy?"""
    scores, section = Scores(results), Section("One default for both sets?")
    columns = [(data, metric) for data in e.SETS for metric in ("H-AP", "AP_l0")]
    samples = {column: _method_samples(scores, column[0], list(e.METHODS), column[1]) for column in columns}
    behind: dict[str, list[Comparison]] = {name: [] for name in e.METHODS}
    for own in samples.values():
        top = max(own, key=lambda name: own[name].mean)
        for comparison in compare([Pair(name, own[name], own[top]) for name in own]):
            behind[comparison.name].append(comparison)
    regret = {name: max(-c.difference.mean for c in found) for name, found in behind.items()}
    order = sorted(regret, key=lambda name: regret[name])
    rows = [[name, *map(str, behind[name]), short(regret[name])] for name in order]
    header = ["loss", *(f"{data} {metric}" for data, metric in columns), "worst"]
    section.text += ["Difference to the best loss of each column", table(header, rows)]
    equal = [name for name in order if not any(c.outcome for c in behind[name])]
    words = f"**holds**: {', '.join(equal)}" if equal else f"**does not hold**; least behind: {order[0]}"
    for data in e.SETS:
        section.judge("one loss is best, or within noise of the best, on H-AP and AP_l0 of both sets", data, words)
    return section if not scores.missing else Section(section.title)


def galleries(results: Results) -> Section:
    """Claim 4: batch, memory or whole training set as the gallery; and the gap between batches and the whole."""
    scores, section = Scores(results), Section("The gallery: the batch, a memory, or the whole training set")
    runs = [*e.SMALL_BATCHES, *(e.LARGER_BATCHES if _finished(e.LARGER_BATCHES, results) else ())]
    for data in e.SETS:
        rows = []
        for size, name, names in runs:
            found = {
                gallery: _gallery_samples(scores, e.in_gallery(data, name, size, gallery, results)) for gallery in names
            }
            for gallery, own in found.items():
                rows.append([f"{name}, {size}", gallery, *_gallery_cells(own, found[e.BATCH])])
                if gallery in (e.ALL, e.LONG_MEMORY):
                    claim = f"{name}, batch {size}: {gallery} as the gallery, instead of the batch, gain H-AP and AP_l0"
                    section.judge(f"{claim} in equal steps", data, verdict(_gains(own, found[e.BATCH])[:2]))
            if e.SAME_TIME in found:
                claim = f"{name}, batch {size}: {e.ALL} as the gallery, instead of the batch, gain H-AP and AP_l0"
                section.judge(f"{claim} in equal CPU time", data, verdict(_gains(found[e.ALL], found[e.SAME_TIME])[:2]))
        header = ["loss, batch", "gallery", *GALLERY_METRICS, "steps", "CPU s"]
        words = f"**{data}**, {len(e.FEW_SEEDS)} seeds; in brackets the difference to the batch as gallery"
        section.text += [words, table(header, rows)]
    section.text += _gap_table(scores)
    return section if not scores.missing else Section(section.title)


def _gallery_samples(scores: Scores, setting: Setting | None) -> dict[str, Sample]:
    return {m: scores.sample(setting, m, e.FEW_SEEDS) for m in (*GALLERY_METRICS, "steps", "cpu_seconds")}


def _gains(own: Mapping[str, Sample], other: Mapping[str, Sample]) -> list[Comparison]:
    """A gallery against another, by metric: one family."""
    return compare([Pair(m, own[m], other[m]) for m in GALLERY_METRICS])


def _gallery_cells(own: Mapping[str, Sample], batch: Mapping[str, Sample]) -> list[str]:
    """Scores, with the differences to the batch as gallery, steps and CPU seconds."""
    cells = [str(own[m]) for m in GALLERY_METRICS]
    if own is not batch:
        cells = [f"{short(own[c.name].mean)} ({c})" for c in _gains(own, batch)]
    return [*cells, f"{own['steps'].mean:,.0f}", f"{own['cpu_seconds'].mean:.1f}"]


def _finished(runs: Sequence[e.GalleryRun], results: Results) -> bool:
    settings = [e.in_gallery(d, n, size, g, results) for d in e.SETS for size, n, names in runs for g in names]
    return all(s is not None and results.get(s, seed) for s in settings for seed in e.FEW_SEEDS)


def _gap_table(scores: Scores) -> list[str]:
    """How much smaller the loss is on batches than on the whole training set, after training with batches of 64."""
    rows = []
    for data in e.SETS:
        for name in e.GAP_METHODS:
            setting = e.method(data, name, scores.results, gaps=e.gaps_of(name))
            whole = scores.sample(setting, "whole", e.SEEDS)
            parts = [scores.sample(setting, f"batch {size}", e.SEEDS) for size in e.GAP_BATCHES]
            gaps = [str(Sample(whole.values - part.values)) for part in parts]
            rows.append([f"{data}, {name}", str(whole), *gaps])
    words = "The decomposability gap: the loss on the whole training set, and how much smaller it is on batches of"
    return [words, table(["", "whole", *map(str, e.GAP_BATCHES)], rows)]


def batch_sizes(results: Results) -> Section:
    """Claim 1: SupAP against SmoothAP, and what Calibration adds, by batch size."""
    scores, section = Scores(results), Section("Batch size: SmoothAP, SupAP, and SupAP with Calibration")
    panels = []
    for data in e.SETS:
        at = {
            name: [scores.sample(e.at_batch(data, name, size, results), "AP_l0", e.FEW_SEEDS) for size in e.BATCHES]
            for name in e.BATCH_METHODS
        }
        first = at[AP][e.BATCHES.index(FULL_BATCH)]
        names = dict(zip(at, ("SmoothAP", "SupAP", "ROADMAP"), strict=True))
        lines = {names[n]: [Sample(s.values - first.values) for s in own] for n, own in at.items()}
        panels.append(Panel(f"{data}: AP_l0, difference to SupAP at {FULL_BATCH}", list(map(str, e.BATCHES)), lines))
        smooth = compare([Pair(str(b), at[AP][n], at["SmoothAP"][n]) for n, b in enumerate(e.BATCHES)])
        calibrated = compare([Pair(str(b), at[ROADMAP][n], at[AP][n]) for n, b in enumerate(e.BATCHES)])
        section.judge("SupAP is better than SmoothAP on AP_l0, at every batch size", data, verdict(smooth))
        section.judge("Calibration helps AP_l0 (ROADMAP against SupAP), at every batch size", data, verdict(calibrated))
        gains = [Sample(at[ROADMAP][n].values - at[AP][n].values) for n in (0, -1)]
        most = compare([Pair("", gains[0], gains[1])])
        section.judge(f"… and more at batch {e.BATCHES[0]} than at {e.BATCHES[-1]}", data, verdict(most))
        rows = [
            [str(b), *(str(own[n]) for own in at.values()), str(smooth[n]), str(calibrated[n])]
            for n, b in enumerate(e.BATCHES)
        ]
        header = ["batch", *at, "SupAP − SmoothAP", "ROADMAP − SupAP"]
        section.text += [f"**{data}**, AP_l0, {len(e.FEW_SEEDS)} seeds", table(header, rows)]
    section.plots["claims_batch.svg"] = curves(panels, "images in a batch, 4 per class", "AP_l0 by batch size")
    section.text.append("![AP at the finest level by batch size, as paired differences.](claims_batch.svg)")
    return section if not scores.missing else Section(section.title)


def scratch(results: Results) -> Section:
    """A small network from scratch on Omniglot: where SupAP is better than HAPPIER on H-AP, and why."""
    scores, section = Scores(results), Section("A small network from scratch on Omniglot")
    settings = {name: e.method("omniglot", name, results, scratch=True) for name in e.SCRATCH_METHODS}
    columns = ("H-AP", "AP_l0", "AP_l1", "train AP_l0", "train AP_l1")
    found = {n: {m: scores.sample(s, m, e.LONG_SEEDS) for m in columns} for n, s in settings.items()}
    rows = [
        [name, *(str(own[m]) for m in columns), f"{s.lr:g}" if s else ""]
        for (name, own), s in zip(found.items(), settings.values(), strict=True)
    ]
    section.text += [
        f"**omniglot from scratch**, {len(e.LONG_SEEDS)} seeds",
        table(["loss", *columns, "rate"], rows),
    ]
    for name in e.SCRATCH_METHODS[1:]:
        test = compare([Pair(m, found[name][m], found[AP][m]) for m in ("H-AP",)])
        section.judge(f"{name} beats SupAP on H-AP, from scratch", "omniglot", verdict(test))
    section.text += _rate_table(results)
    return section if not scores.missing else Section(section.title)


def _rate_table(results: Results) -> list[str]:
    """H-AP by the learning rate, from the trainings that chose it."""
    rows = [[name, *_by_rate(e.base("omniglot", name, scratch=True), results)] for name in e.SCRATCH_METHODS]
    words = "H-AP by learning rate, on the split that chose it (one seed)"
    return [words, table(["loss", *(f"{rate:g}" for rate in e.SCRATCH_RATES)], rows)]


def generalisation(results: Results) -> Section:
    """How far each level carries over from the training classes to new ones, and what the learning rate does to it."""
    scores, section = Scores(results), Section("What carries over to new classes")
    metrics = ("train AP_l0", "AP_l0", "train AP_l1", "AP_l1")
    names = (AP, HAP, HAPPIER, e.HAP5, HAP5_CLUSTER, e.THREE)
    rows = []
    for data in e.SETS:
        found = {metric: _method_samples(scores, data, names, metric) for metric in metrics}
        rows += [[f"{data}, {name}", *(str(own[name]) for own in found.values())] for name in names]
        learned, kept = (
            Sample(found[metric][HAP].values - found[metric][AP].values).mean for metric in ("train AP_l1", "AP_l1")
        )
        words = f"**{kept / learned:.0%}** of it ({short(learned, '+')} → {short(kept, '+')})"
        section.judge("of what SupHAP gains over SupAP at level 1, new classes keep", data, words)
    header = ["", "AP_l0, training classes", "AP_l0, new", "AP_l1, training classes", "AP_l1, new"]
    section.text += [f"{len(e.SEEDS)} seeds", table(header, rows)]
    rows = [[f"{data}, {name}", *_by_rate(e.base(data, name), results)] for data in e.SETS for name in names]
    words = f"H-AP by learning rate, on the {len(e.TUNING_SEEDS)} splits that chose it"
    section.text += [words, table(["", *(f"{rate:g}" for rate in e.RATES)], rows)]
    return section if not scores.missing else Section(section.title)


def _by_rate(setting: Setting, results: Results) -> list[str]:
    """H-AP by the learning rates that were tried."""
    means = [e.mean_h_ap(setting, rate, results) for rate in e.rates_of(setting)]
    return ["" if mean is None else short(mean) for mean in means]


def longer(results: Results) -> Section:
    """Four times as many steps on Omniglot: when SupAP overtakes SupHAP on H-AP."""
    scores, section = Scores(results), Section("Longer training on Omniglot")
    metrics = ("H-AP", "AP_l0", "AP_l1", "train H-AP", "train AP_l1")
    rows = []
    for steps in (200, e.LONG_STEPS):
        settings = {
            name: e.method("omniglot", name, results, steps=steps, gaps=e.gaps_of(name) if steps == 200 else ())
            for name in e.LONG_METHODS
        }
        found = {n: {m: scores.sample(s, m, e.LONG_SEEDS) for m in metrics} for n, s in settings.items()}
        rows += [[f"{name}, {steps} steps", *map(str, own.values())] for name, own in found.items()]
        for name in e.LONG_METHODS[1:]:
            test = compare([Pair("", found[name]["H-AP"], found[AP]["H-AP"])])
            section.judge(f"{name} beats SupAP on H-AP after {steps} steps", "omniglot", verdict(test))
    section.text += [f"**omniglot**, {len(e.LONG_SEEDS)} seeds", table(["", *metrics], rows)]
    return section if not scores.missing else Section(section.title)


def wrong_labels(results: Results) -> Section:
    """Claim 6: a part of the training classes under a wrong label of level 1."""
    scores, section = Scores(results), Section("Wrong labels at level 1")
    seeds = e.FEW_SEEDS
    for data in e.SETS:
        found: dict[str, list[Sample]] = {}
        noisy: dict[str, list[Sample]] = {}
        for name in e.NOISE_METHODS:
            clean = scores.sample(e.method(data, name, results, gaps=e.gaps_of(name)), "H-AP", seeds)
            wrong = [e.method(data, name, results, wrong=fraction) for fraction in e.WRONG]
            found[name] = [clean, *(scores.sample(setting, "H-AP", seeds) for setting in wrong)]
            noisy[name] = [clean, *(scores.sample(setting, "noisy H-AP", seeds) for setting in wrong)]
        fractions = (0.0, *e.WRONG)
        rows = []
        for name, own in noisy.items():
            rows.append([name, "right", *(str(sample) for sample in found[name])])
            rows.append([name, "as wrong", *(str(sample) for sample in own)])
        header = ["loss", "test labels", *(f"{fraction:.0%} wrong" for fraction in fractions)]
        section.text += [f"**{data}**, H-AP, {len(seeds)} seeds", table(header, rows)]
        for name in e.NOISE_METHODS[1:]:
            pairs = [Pair(f"{f:.0%}", a, b) for f, a, b in zip(fractions, found[name], found[AP], strict=True)]
            outcomes = {c.name: c.outcome for c in compare(pairs)}
            words = ", ".join(f"{at}: {('within noise', 'better', 'worse')[value]}" for at, value in outcomes.items())
            changed = any(a != b for a, b in pairwise(outcomes.values()))
            prefix = "**the order changes**" if changed else "**the order stays**"
            section.judge(f"{name} against SupAP on H-AP by the fraction of wrong labels", data, f"{prefix} ({words})")
    return section if not scores.missing else Section(section.title)


SECTIONS: tuple[Callable[[Results], Section], ...] = (
    *(methods, tradeoffs, mixtures, generalisation, longer, scratch, galleries, batch_sizes, wrong_labels),
)


def quick_verdicts(results: Results) -> list[str]:
    """What the quick look says, one line per claim: only what is beyond noise with few seeds."""
    (data,), seeds = e.QUICK.sets, e.QUICK.seeds
    scores = Scores(results)

    def of(name: str, metric: str) -> Sample:
        return scores.sample(e.method(data, name, results, gaps=e.gaps_of(name)), metric, seeds)

    claims = {
        "SupAP has a higher AP_l0 than SupHAP": (AP, HAP, "AP_l0"),
        "SupHAP has a higher AP_l1 than SupAP": (HAP, AP, "AP_l1"),
        "SupHAP with α = 5 has a higher AP_l0 than with α = 1": (e.HAP5, HAP, "AP_l0"),
        "HAPPIER has a higher AP_l0 than SupHAP": (HAPPIER, HAP, "AP_l0"),
    }
    lines = []
    for claim, (first, second, metric) in claims.items():
        test = compare([Pair(claim, of(first, metric), of(second, metric))])
        lines.append(f"{claim}: {verdict(test).replace('*', '')} ({str(test[0]).replace(chr(92), '')})")
    return lines
