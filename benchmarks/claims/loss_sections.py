"""Sections of docs/claims.md that compare losses: all in one table, their trade-offs, and what carries over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hgld.benchmarks.claims import experiments as e
from hgld.benchmarks.claims.experiments import AP, HAP, HAP5_CLUSTER, HAPPIER, ROADMAP
from hgld.benchmarks.claims.page import Section, table
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
from hgld.foundation.display.curves import Panel, Point, curves

BASELINES = (AP, "SmoothAP", "Triplet", "Cluster", "CSL", "ProxyNCA++")
FAMILY = (AP, HAP, e.NDCG, e.RECALL)
CURVE_METRICS = ("H-AP", "AP_l0", "AP_l1")
COLUMNS = ("H-AP", "NDCG", "ASI", "AP_l0", "AP_l1", "R@1_l0", "recall@10_l0")
GALLERY_METRICS = ("H-AP", "AP_l0", "AP_l1")
FULL_BATCH = 64


def _method_samples(scores: Scores, data: str, names: Sequence[str], metric: str) -> dict[str, Sample]:
    return {
        name: scores.sample(e.method(data, name, scores.results, gaps=e.gaps_of(name)), metric, e.SEEDS)
        for name in names
    }


def _measured(results: Results) -> list[str]:
    """The methods that are finished on all sets and seeds."""
    found = {n: [e.method(data, n, results, gaps=e.gaps_of(n)) for data in e.SETS] for n in e.METHODS}
    return [n for n, own in found.items() if all(s and results.get(s, seed) for s in own for seed in e.SEEDS)]


def methods(results: Results) -> Section:
    """All methods in one table; HAPPIER against its baselines, and what each loss is best at."""
    scores, section, names = Scores(results), Section("Every loss, one budget"), _measured(results)
    if not set(names) >= {HAPPIER, HAP, ROADMAP, e.CALIBRATED, *BASELINES}:
        return section
    for data in e.SETS:
        samples = {metric: _method_samples(scores, data, names, metric) for metric in COLUMNS}
        _judge_happier(section, data, samples)
        if set(names) >= set(FAMILY):
            _judge_family(section, data, samples)
        order = sorted(names, key=lambda name: -samples["H-AP"][name].mean)
        tops = {metric: max(own, key=lambda name: own[name].mean) for metric, own in samples.items()}
        rows = []
        for name in order:
            bold = ["**" if tops[metric] == name else "" for metric in COLUMNS]
            cells = [f"{mark}{samples[metric][name]}{mark}" for mark, metric in zip(bold, COLUMNS, strict=True)]
            setting = e.method(data, name, results)
            rows.append([name, *cells, f"{setting.lr:g}" if setting else ""])
        section.text += [f"**{data}**, {len(e.SEEDS)} seeds", table(["loss", *COLUMNS, "rate"], rows)]
    return section


def _judge_happier(section: Section, data: str, samples: Mapping[str, Mapping[str, Sample]]) -> None:
    """Claim 2, where a family of comparisons is one metric; and claim 1 at this batch size."""
    against = {
        metric: compare([Pair(name, samples[metric][HAPPIER], samples[metric][name]) for name in BASELINES])
        for metric in ("H-AP", "NDCG", "ASI", "R@1_l0")
    }
    for metric in ("H-AP", "NDCG", "ASI"):
        claim = f"HAPPIER (SupHAP + Cluster) beats {', '.join(BASELINES)} on {metric}"
        section.judge(claim, data, verdict(against[metric]))
    section.judge("… at equal R@1", data, equal_verdict(against["R@1_l0"]))
    for claim, better, worse in (
        ("without Cluster, SupHAP loses AP at the finest level", HAPPIER, HAP),
        ("SupAP is better than SmoothAP on AP_l0, batches of 64", AP, "SmoothAP"),
        ("Calibration helps SupAP on AP_l0 (ROADMAP), batches of 64", ROADMAP, AP),
    ):
        section.judge(claim, data, verdict(compare([Pair("", samples["AP_l0"][better], samples["AP_l0"][worse])])))
    if HAP5_CLUSTER in samples["ASI"]:
        coarse = compare([Pair("", samples["ASI"][HAPPIER], samples["ASI"][HAP5_CLUSTER])])
        section.judge(f"HAPPIER beats {HAP5_CLUSTER} on ASI", data, verdict(coarse))
    both = [Pair(m, samples[m][e.CALIBRATED], samples[m][HAP]) for m in ("H-AP", "AP_l0")]
    section.judge("Calibration helps SupHAP (half and half) on H-AP and AP_l0", data, verdict(compare(both)))
    rows = [[name, *(str(family[n]) for family in against.values())] for n, name in enumerate(BASELINES)]
    words = f"**{data}**: HAPPIER minus each baseline (\\*: beyond noise, p < .05 with Holm's correction)"
    section.text += [words, table(["baseline", *against], rows)]


def _judge_family(section: Section, data: str, samples: Mapping[str, Mapping[str, Sample]]) -> None:
    """Claim 3."""
    for name, metric in ((e.NDCG, "NDCG"), (e.RECALL, "R@1_l0"), (e.RECALL, "recall@10_l0"), (HAP, "H-AP")):
        others = [other for other in FAMILY if other != name]
        family = compare([Pair(other, samples[metric][name], samples[metric][other]) for other in others])
        section.judge(f"{name} is the best of {', '.join(FAMILY)} on {metric}", data, verdict(family))


def tradeoffs(results: Results) -> Section:
    """The curves over α and over the weight beside Cluster, as differences to the published choice."""
    scores, section = Scores(results), Section("The trade-offs: α, and the weight of SupHAP beside Cluster")
    weights = (0.0, *e.WEIGHTS, 1.0)
    alpha = Curve("alpha", "α", "α", e.alpha_terms, e.ALPHAS, 1.0)
    weight = Curve("weight", "weight", "weight of SupHAP; the rest is Cluster's", e.weight_terms, weights, 0.9)
    words = "in brackets the difference to the published value. Each value has a learning rate of its own."
    section.text.append(f"{len(e.SEEDS)} seeds; {words}")
    for curve in (alpha, weight):
        panels = []
        for data in e.SETS:
            at = [e.curve(data, curve.terms(value), results) for value in curve.values]
            found = {m: [scores.sample(setting, m, e.SEEDS) for setting in at] for m in CURVE_METRICS}
            reference = curve.values.index(curve.published)
            tests = {m: compare(_to_reference(curve, own, reference)) for m, own in found.items()}
            lines = {m: [difference(sample, own[reference]) for sample in own] for m, own in found.items()}
            title = f"{data}: difference to {curve.published:g}"
            panels.append(Panel(title, [f"{value:g}" for value in curve.values], lines))
            rows = [_curve_row(curve.values, n, found, tests) for n in range(len(curve.values))]
            section.text += [f"**{data}**, SupHAP by {curve.words}", table([curve.column, *found], rows)]
            if curve is alpha:
                larger = [test for test in tests["H-AP"] if float(test.name) > 1]
                claim = f"SupHAP with α of {', '.join(test.name for test in larger)} has a higher H-AP than with 1"
                section.judge(claim, data, verdict(larger))
        file = f"claims_{curve.name}.svg"
        section.plots[file] = curves(panels, curve.words, f"Scores by {curve.words}")
        section.text.append(f"![Scores of SupHAP by {curve.words}, as paired differences.]({file})")
    return section if not scores.missing else Section(section.title)


@dataclass(frozen=True)
class Curve:
    """A setting with several values, one of them published: file name, column, words, the loss by value."""

    name: str
    column: str
    words: str
    terms: Callable[[float], e.Terms]
    values: tuple[float, ...]
    published: float


def _to_reference(curve: Curve, samples: Sequence[Sample], reference: int) -> list[Pair]:
    """All other values against the published one."""
    others = [n for n in range(len(samples)) if n != reference]
    return [Pair(f"{curve.values[n]:g}", samples[n], samples[reference]) for n in others]


def _curve_row(
    values: Sequence[float],
    n: int,
    found: Mapping[str, Sequence[Sample]],
    tests: Mapping[str, Sequence[Comparison]],
) -> list[str]:
    """The means at one value, with their differences to the published one."""
    name = f"{values[n]:g}"
    cells = []
    for metric, own in found.items():
        against = [test for test in tests[metric] if test.name == name]
        cells.append(f"{short(own[n].mean)} ({against[0]})" if against else str(own[n]))
    return [name, *cells]


def difference(sample: Sample, reference: Sample) -> Point:
    """The paired difference, to be drawn."""
    paired = Sample(sample.values - reference.values)
    return Point(paired.mean, paired.std)


def mixtures(results: Results) -> Section:
    """Is there one loss that is best, or as good as the best, on both sets and at both ends of the hierarchy?

    The family of comparisons is one loss: its differences to the best of the four columns.
    """
    scores, section, names = Scores(results), Section("One default for both sets?"), _measured(results)
    if not set(names) >= {HAPPIER, AP, HAP5_CLUSTER}:
        return section
    columns = [(data, metric) for data in e.SETS for metric in ("H-AP", "AP_l0")]
    samples = {column: _method_samples(scores, column[0], names, column[1]) for column in columns}
    tops = {column: max(own.values(), key=lambda sample: sample.mean) for column, own in samples.items()}
    behind = {name: compare([Pair("", samples[column][name], tops[column]) for column in columns]) for name in names}
    regret = {name: max(-c.difference.mean for c in found) for name, found in behind.items()}
    order = sorted(names, key=lambda name: regret[name])
    rows = [[name, *map(str, behind[name]), short(regret[name])] for name in order]
    header = ["loss", *(f"{data} {metric}" for data, metric in columns), "furthest behind"]
    section.text += [f"Difference to the best loss of each column, {len(e.SEEDS)} seeds", table(header, rows)]
    equal = [name for name in order if not any(c.outcome for c in behind[name])]
    words = f"**holds**: {', '.join(equal)}" if equal else "**does not hold**"
    words += f"; closest: {order[0]}, at most {short(regret[order[0]])} behind"
    for data in e.SETS:
        section.judge("one loss is best, or within noise of the best, on H-AP and AP_l0 of both sets", data, words)
        for other in (HAPPIER, AP):
            metrics = [(data, metric) for metric in ("H-AP", "AP_l0")]
            found = compare([Pair("", samples[column][HAP5_CLUSTER], samples[column][other]) for column in metrics])
            claim = f"{HAP5_CLUSTER} beats {other} on H-AP and AP_l0"
            section.judge(claim, data, f"{verdict(found)}: {found[0]}, {found[1]}")
    return section


def generalisation(results: Results) -> Section:
    """How far each level carries over from the training classes to new ones, and what the learning rate does to it."""
    scores, section = Scores(results), Section("What carries over to new classes")
    metrics = ("train AP_l0", "AP_l0", "train AP_l1", "AP_l1")
    names = (AP, HAP, HAPPIER, e.HAP5, HAP5_CLUSTER, e.THREE)
    rows = []
    for data in e.SETS:
        found = {metric: _method_samples(scores, data, names, metric) for metric in metrics}
        rows += [[f"{data}, {name}", *(str(own[name]) for own in found.values())] for name in names]
        trained, new = (difference(found[metric][HAP], found[metric][AP]).mean for metric in ("train AP_l1", "AP_l1"))
        words = f"**{short(trained, '+')}** on training classes, **{short(new, '+')}** on new ones"
        section.judge("AP_l1 of SupHAP minus that of SupAP, each with its best rate", data, words)
    header = ["", "AP_l0, training classes", "AP_l0, new", "AP_l1, training classes", "AP_l1, new"]
    section.text += [f"{len(e.SEEDS)} seeds", table(header, rows)]
    rows = [[f"{data}, {name}", *by_rate(e.base(data, name), results)] for data in e.SETS for name in names]
    words = f"H-AP by learning rate, on the {len(e.TUNING_SEEDS)} splits that chose it"
    section.text += [words, table(["", *(f"{rate:g}" for rate in e.RATES)], rows)]
    return section if not scores.missing else Section(section.title)


def by_rate(setting: Setting, results: Results) -> list[str]:
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


def quick_verdicts(results: Results) -> list[str]:
    """What the quick look says, one line per claim: only what is beyond noise with few seeds."""
    (data,), seeds = e.QUICK.sets, e.QUICK.seeds
    scores = Scores(results)

    def of(name: str, metric: str) -> Sample:
        return scores.sample(e.quick_setting(data, name, e.QUICK_RATES[name]), metric, seeds)

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
