"""What is trained for each claim: the methods, their settings, the seeds, and the order in which they are run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from hgld.benchmarks.claims.results import Results
from hgld.benchmarks.claims.training import Setting
from hgld.foundation.train_settings import LossTerm

SETS = ("grocery", "omniglot")
# A result in a table is over these; the learning rates are chosen on splits of other seeds.
SEEDS = tuple(range(8))
LONG_SEEDS = SEEDS[:6]  # where a training takes long; fewer cannot be beyond noise
TUNING_SEEDS = (100, 101)  # only the first where a training takes long
# The middle three are tried for every loss, an outer one where the rate beside it is the best so far.
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
SCRATCH_RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
WHOLE_RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
ALPHAS = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0)
# Of a rank loss; the rest is Cluster's.
WEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9)
# Batch sizes with the images per class, so that a batch has at most 32 classes, of the 41 of grocery.
BATCHES: Mapping[int, int] = MappingProxyType({16: 4, 32: 4, 64: 4, 128: 4, 256: 8, 512: 16})
GAP_BATCHES = (16, 32, 64, 128)
WRONG = (0.015, 0.05, 0.15, 0.3)


Terms = tuple[LossTerm, ...]


def _term(name: str, weight: float = 1.0, **settings: Any) -> LossTerm:
    return LossTerm(name=name, weight=weight, settings=settings)


def memory_name(size: int) -> str:
    """The batch with a memory of so many embeddings as the gallery."""
    return f"batch and memory of {size:,}"


HAP, HAP5 = "SupHAP", "SupHAP α=5"
HAPPIER, HAPPIER_F = "SupHAP + Cluster .9/.1 (HAPPIER)", "SupHAP + Cluster .5/.5 (HAPPIER_F)"
AP, ROADMAP, ROADMAP_PLUS = "SupAP", "SupAP + Calibration 1:1 (ROADMAP)", "SupAP + Cluster .9/.1 (ROADMAP++)"
NDCG, RECALL = "SupNDCG", "SupRecall"
CALIBRATED, THREE = "SupHAP + Calibration .5/.5", "SupHAP + Calibration + Cluster .5/.4/.1"
HAP5_CLUSTER = "SupHAP α=5 + Cluster .9/.1"

METHODS: Mapping[str, Terms] = MappingProxyType(
    {
        "Triplet": (_term("triplet"),),
        "SmoothAP": (_term("smooth_ap"),),
        AP: (_term("sup_ap"),),
        ROADMAP: (_term("sup_ap"), _term("calibration")),
        ROADMAP_PLUS: (_term("sup_ap", 0.9), _term("cluster", 0.1)),
        "Cluster": (_term("cluster"),),
        "ProxyNCA++": (_term("proxy_nca"),),
        "CSL": (_term("csl"),),
        "BlackBoxAP": (_term("blackbox_ap"),),
        "FastAP": (_term("fast_ap"),),
        "Contrastive": (_term("contrastive"),),
        "ArcFace": (_term("arcface"),),
        HAP: (_term("sup_hap"),),
        HAPPIER: (_term("sup_hap", 0.9), _term("cluster", 0.1)),
        HAPPIER_F: (_term("sup_hap", 0.5), _term("cluster", 0.5)),
        NDCG: (_term("sup_ndcg"),),
        RECALL: (_term("sup_recall"),),
        CALIBRATED: (_term("sup_hap", 0.5), _term("calibration", 0.5)),
        THREE: (_term("sup_hap", 0.5), _term("calibration", 0.4), _term("cluster", 0.1)),
        HAP5: (_term("sup_hap", alpha=5.0),),
        HAP5_CLUSTER: (_term("sup_hap", 0.9, alpha=5.0), _term("cluster", 0.1)),
    }
)
SCRATCH_METHODS = (AP, HAPPIER, HAP5_CLUSTER)
# The whole pretrained network, after a head on its frozen features.
WHOLE_METHODS = (AP, HAPPIER, HAP5_CLUSTER)
WHOLE_SETS = ("grocery",)  # photographs; a training takes a minute or more
WHOLE_STEPS, WHOLE_BATCH = 60, 32
LATER_METHODS = (NDCG, RECALL, ROADMAP_PLUS)
LONG_STEPS = 800
LONG_METHODS = (AP, HAP, HAPPIER, HAP5_CLUSTER)
# Hierarchical sampling: the 16 classes of a batch are four of each of four labels of level 1.
FAMILIES = 4
SAMPLER_METHODS = (HAPPIER, HAP5_CLUSTER)
NOISE_METHODS = (AP, HAPPIER, HAP5_CLUSTER)
BATCH_METHODS = ("SmoothAP", AP, ROADMAP)
GAP_METHODS = (HAP, AP)
BATCH, ALL = "batch", "all training images"
MEMORIES = (64, 256, 1024, 2048)
SAME_TIME = "batch, for the time of “all training images”"
GALLERIES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        BATCH: {},
        **{memory_name(size): {"gallery": "memory", "memory": size} for size in MEMORIES},
        ALL: {"gallery": "all"},
        SAME_TIME: {"same_time": True},
    }
)
GalleryRun = tuple[int, str, tuple[str, ...]]
# Batch size, loss and galleries, the first of which is the reference; in the order of their worth.
GALLERY_RUNS: tuple[GalleryRun, ...] = (
    (16, HAP, (BATCH, ALL, SAME_TIME)),
    (16, AP, (BATCH, ALL)),
    (16, HAP, (BATCH, *map(memory_name, MEMORIES))),
    (64, HAP, (BATCH, ALL, SAME_TIME)),
    (64, HAP, (BATCH, *map(memory_name, MEMORIES[1:]))),
)


def alpha_terms(alpha: float) -> Terms:
    """SupHAP alone with this α."""
    return METHODS[HAP] if alpha == 1 else (_term("sup_hap", alpha=alpha),)


def weight_terms(weight: float) -> Terms:
    """SupHAP with this weight, and Cluster with the rest."""
    named = {0.9: METHODS[HAPPIER], 0.5: METHODS[HAPPIER_F], 1.0: METHODS[HAP], 0.0: METHODS["Cluster"]}
    return named.get(weight) or (_term("sup_hap", weight), _term("cluster", round(1 - weight, 6)))


@dataclass(frozen=True)
class Plan:
    """How much of it is trained: all for the page, a few seeds and methods for a quick look.

    rates: the learning rates by method; without any, they are chosen by trials.
    """

    sets: tuple[str, ...] = SETS
    seeds: tuple[int, ...] = SEEDS
    methods: tuple[str, ...] = tuple(name for name in METHODS if name not in LATER_METHODS)
    quick: bool = False
    rates: Mapping[str, float] = field(default_factory=dict)


# The rates are those that the trials of the whole run chose.
QUICK_RATES: Mapping[str, float] = MappingProxyType({AP: 1e-3, HAP: 3e-4, HAP5: 1e-3, HAPPIER: 1e-3})
QUICK = Plan(sets=("omniglot",), seeds=LONG_SEEDS, methods=tuple(QUICK_RATES), quick=True, rates=QUICK_RATES)


def base(data: str, method: str, *, scratch: bool = False) -> Setting:
    """The setting of a method, without its learning rate."""
    return Setting(data=data, loss=METHODS[method], lr=RATES[0], scratch=scratch)


def whole_base(data: str, method: str, results: Results) -> Setting | None:
    """The setting in which the whole network is trained, without its learning rate; None before the head has one."""
    head = tuned(base(data, method), results)
    return replace(head, head_lr=head.lr, lr=WHOLE_RATES[0], steps=WHOLE_STEPS, batch=WHOLE_BATCH) if head else None


def rates_of(setting: Setting) -> tuple[float, ...]:
    """The learning rates that may be tried."""
    return WHOLE_RATES if setting.head_lr else SCRATCH_RATES if setting.scratch else RATES


def trials(setting: Setting, rate: float) -> list[tuple[Setting, int]]:
    """The trainings that tell how good a learning rate is for a setting."""
    seeds = TUNING_SEEDS[:1] if setting.scratch or setting.head_lr else TUNING_SEEDS
    return [(replace(setting, lr=rate), seed) for seed in seeds]


def mean_h_ap(setting: Setting, rate: float, results: Results) -> float | None:
    """The mean H-AP with a learning rate on the splits for it; None where it was not tried, or not on all of them."""
    found = [scores["H-AP"] for pair in trials(setting, rate) if (scores := results.get(*pair)) is not None]
    return sum(found) / len(found) if len(found) == len(trials(setting, rate)) else None


def search(setting: Setting, results: Results) -> tuple[float, list[float]]:
    """The best learning rate so far, and the rates to try before it is final: the first three, then its neighbours."""
    rates = rates_of(setting)
    means = {rate: mean for rate in rates if (mean := mean_h_ap(setting, rate, results)) is not None}
    first = [rate for rate in rates[1:-1] if rate not in means]
    if first:
        return first[0], first
    best = rates.index(max(means, key=lambda rate: means[rate]))
    return rates[best], [rate for rate in rates[max(0, best - 1) : best + 2] if rate not in means]


def tuned(setting: Setting, results: Results) -> Setting | None:
    """The setting with the learning rate that has the best mean H-AP; None before all were tried."""
    best, missing = search(setting, results)
    return None if missing else replace(setting, lr=best)


def method(data: str, name: str, results: Results, *, scratch: bool = False, **changes: Any) -> Setting | None:
    """The setting of a method with its chosen rate, and with changes."""
    found = tuned(base(data, name, scratch=scratch), results)
    return replace(found, **changes) if found else None


def curve_base(data: str, terms: Terms) -> Setting:
    """A point of the curves over α and the weight, without its learning rate."""
    return Setting(data=data, loss=terms, lr=RATES[0])


def curve(data: str, terms: Terms, results: Results) -> Setting | None:
    """A point of the curves over α and the weight, with its own rate; one of METHODS is the setting of its table."""
    found = tuned(curve_base(data, terms), results)
    names = [name for name, own in METHODS.items() if own == terms]
    return replace(found, gaps=gaps_of(names[0]) if names else ()) if found else None


def work(plan: Plan, results: Results) -> Iterator[tuple[Setting, int]]:
    """All trainings of a plan in the order of their worth; the rates are chosen as soon as the first have run."""
    yield from _methods(plan, plan.methods, results)
    if plan.quick:
        return
    yield from _curves(plan, results)
    yield from _galleries(GALLERY_RUNS[:1], plan.sets[:1], results)
    yield from _methods(plan, LATER_METHODS, results)
    yield from _samplers(plan, results)
    yield from _longer(plan, results)
    yield from _batches(plan, results)
    yield from _scratch(plan, results)
    yield from _noise(plan, results)
    yield from _galleries(GALLERY_RUNS, plan.sets, results)
    yield from _whole(plan, results)


def _methods(plan: Plan, names: Sequence[str], results: Results) -> Iterator[tuple[Setting, int]]:
    """The losses of the first table."""
    for data in plan.sets:
        for name in names:
            if name not in plan.rates:
                yield from _tuning(base(data, name), results)
    for seed in plan.seeds:
        for data in plan.sets:
            for name in names:
                yield from _with(_planned(plan, data, name, results), seed)


def _planned(plan: Plan, data: str, name: str, results: Results) -> Setting | None:
    if name in plan.rates:
        return quick_setting(data, name, plan.rates[name])
    return method(data, name, results, gaps=gaps_of(name))


def quick_setting(data: str, name: str, rate: float) -> Setting:
    """A method with a rate that was chosen before."""
    return replace(base(data, name), lr=rate)


def gaps_of(name: str) -> tuple[int, ...]:
    """The batch sizes at which the loss of a method is compared with that on the whole training set."""
    return GAP_BATCHES if name in GAP_METHODS else ()


def _tuning(setting: Setting, results: Results) -> Iterator[tuple[Setting, int]]:
    while missing := search(setting, results)[1]:
        yield from trials(setting, missing[0])


def _with(setting: Setting | None, *seeds: int) -> Iterator[tuple[Setting, int]]:
    assert setting is not None, "its rates were tried before"
    for seed in seeds:
        yield setting, seed


def _curves(plan: Plan, results: Results) -> Iterator[tuple[Setting, int]]:
    """The trade-offs over α and over the weight of SupHAP beside Cluster."""
    for data in plan.sets:
        for terms in [*map(alpha_terms, ALPHAS), *map(weight_terms, WEIGHTS)]:
            yield from _tuning(curve_base(data, terms), results)
            yield from _with(curve(data, terms, results), *SEEDS)


def _galleries(runs: Sequence[GalleryRun], sets: Sequence[str], results: Results) -> Iterator[tuple[Setting, int]]:
    """The batch, a memory, or the whole training set as the gallery."""
    for run in runs:
        for data in sets:
            for setting in gallery_settings(run, data, results).values():
                yield from _with(setting, *SEEDS)


def gallery_settings(run: GalleryRun, data: str, results: Results) -> dict[str, Setting | None]:
    """The settings of a run by gallery."""
    size, name, galleries = run
    return {gallery: at_batch(data, name, size, results, **GALLERIES[gallery]) for gallery in galleries}


def at_batch(data: str, name: str, size: int, results: Results, **changes: Any) -> Setting | None:
    """A method at a batch size, with the rate chosen at 64 and, there, its loss on batches of other sizes."""
    gaps = gaps_of(name) if size == 64 and not changes else ()
    return method(data, name, results, batch=size, per_class=BATCHES[size], gaps=gaps, **changes)


def _samplers(plan: Plan, results: Results) -> Iterator[tuple[Setting, int]]:
    """Batches of a few labels of level 1 with several classes of each."""
    for data in plan.sets:
        for name in SAMPLER_METHODS:
            yield from _with(method(data, name, results, super_classes=FAMILIES), *SEEDS)


def _longer(plan: Plan, results: Results) -> Iterator[tuple[Setting, int]]:
    """Four times as many steps, on Omniglot."""
    if "omniglot" not in plan.sets:
        return
    for seed in LONG_SEEDS:
        for name in LONG_METHODS:
            yield from _with(method("omniglot", name, results, steps=LONG_STEPS), seed)


def _scratch(plan: Plan, results: Results) -> Iterator[tuple[Setting, int]]:
    """A small network from scratch on Omniglot."""
    if "omniglot" not in plan.sets:
        return
    for name in SCRATCH_METHODS:
        yield from _tuning(base("omniglot", name, scratch=True), results)
    for seed in LONG_SEEDS:
        for name in SCRATCH_METHODS:
            yield from _with(method("omniglot", name, results, scratch=True), seed)


def _batches(plan: Plan, results: Results) -> Iterator[tuple[Setting, int]]:
    """The score against the batch size."""
    for data in plan.sets:
        for size in BATCHES:
            for name in BATCH_METHODS:
                yield from _with(at_batch(data, name, size, results), *SEEDS)


def _noise(plan: Plan, results: Results) -> Iterator[tuple[Setting, int]]:
    """Wrong labels at level 1: any other label, and one that looks alike."""
    for data in plan.sets:
        for confused in (False, True):
            for fraction in WRONG:
                for name in NOISE_METHODS:
                    yield from _with(method(data, name, results, wrong=fraction, confused=confused), *SEEDS)


def _whole(plan: Plan, results: Results) -> Iterator[tuple[Setting, int]]:
    """The whole pretrained network at 112 px."""
    for data in (name for name in WHOLE_SETS if name in plan.sets):
        for name in WHOLE_METHODS:
            setting = whole_base(data, name, results)
            assert setting is not None, "the head's rates were tried before"
            yield from _tuning(setting, results)
        for seed in LONG_SEEDS:
            for name in WHOLE_METHODS:
                yield from _with(whole_method(data, name, results), seed)


def whole_method(data: str, name: str, results: Results) -> Setting | None:
    """The setting in which the whole network is trained, with the rate that was chosen for it."""
    setting = whole_base(data, name, results)
    return tuned(setting, results) if setting else None
