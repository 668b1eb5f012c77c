"""Sections of docs/claims.md on how one trains: gallery, batch size, a whole network, wrong labels."""

from __future__ import annotations

from collections.abc import Mapping

from hgld.benchmarks.claims import experiments as e
from hgld.benchmarks.claims.experiments import AP, HAP5_CLUSTER, HAPPIER, ROADMAP
from hgld.benchmarks.claims.loss_sections import by_rate, difference
from hgld.benchmarks.claims.page import Section, table
from hgld.benchmarks.claims.results import Results
from hgld.benchmarks.claims.training import Setting
from hgld.benchmarks.claims.verdicts import (
    Comparison,
    Pair,
    Sample,
    Scores,
    compare,
    order_verdict,
    short,
    verdict,
)
from hgld.foundation.display.curves import Panel, curves

COLUMNS = ("H-AP", "NDCG", "ASI", "AP_l0", "AP_l1", "R@1_l0", "recall@10_l0")
GALLERY_METRICS = ("H-AP", "AP_l0", "AP_l1")
FULL_BATCH = 64


def galleries(results: Results) -> Section:
    """Claim 4: batch, memory or whole training set as the gallery; and the gap between batches and the whole."""
    section = Section("The gallery: the batch, a memory, or the whole training set")
    for data in e.SETS:
        rows: list[list[str]] = []
        for run in e.GALLERY_RUNS:
            scores = Scores(results)
            settings = e.gallery_settings(run, data, results)
            found = {gallery: _gallery_samples(scores, setting) for gallery, setting in settings.items()}
            if not scores.missing:
                rows += [row for row in _gallery_rows(run, found) if row not in rows]
                _judge_galleries(section, data, run, found)
        if rows:
            header = ["loss, batch", "gallery", *GALLERY_METRICS, "steps", "CPU s"]
            words = f"**{data}**, {len(e.SEEDS)} seeds; in brackets the difference to the batch as gallery"
            section.text += [words, table(header, rows)]
    return _with_gaps(section, Scores(results))


def _gallery_rows(run: e.GalleryRun, found: Mapping[str, Mapping[str, Sample]]) -> list[list[str]]:
    size, name, _ = run
    return [[f"{name}, {size}", gallery, *_gallery_cells(own, found[e.BATCH])] for gallery, own in found.items()]


def _judge_galleries(section: Section, data: str, run: e.GalleryRun, found: Mapping[str, Mapping[str, Sample]]) -> None:
    size, name, names = run
    memories = [gallery for gallery in names if gallery in map(e.memory_name, e.MEMORIES)]
    if memories:
        family = compare([Pair(m, found[m]["H-AP"], found[e.BATCH]["H-AP"]) for m in memories])
        sizes = ", ".join(f"{e.GALLERIES[m]['memory']:,}" for m in memories)
        claim = f"{name}, batches of {size}: H-AP gains from a memory of {sizes} embeddings, in equal steps"
        section.judge(claim, data, verdict(family))
    for gallery in (other for other in names[1:] if other not in memories):
        if gallery == e.SAME_TIME:
            family, words = _gains(found[e.ALL], found[gallery]), f"{e.ALL}, instead of the batch, in equal CPU time"
        else:
            family, words = _gains(found[gallery], found[e.BATCH]), f"{gallery}, instead of the batch, in equal steps"
        claim = f"{name}, batches of {size}: H-AP and AP_l0 gain from the gallery of {words}"
        section.judge(claim, data, verdict(family[:2]))


def _gallery_samples(scores: Scores, setting: Setting | None) -> dict[str, Sample]:
    """What the tables state of a setting."""
    return {m: scores.sample(setting, m, e.SEEDS) for m in (*GALLERY_METRICS, "steps", "cpu_seconds")}


def _gains(own: Mapping[str, Sample], other: Mapping[str, Sample]) -> list[Comparison]:
    """A gallery against another, by metric: one family."""
    return compare([Pair(m, own[m], other[m]) for m in GALLERY_METRICS])


def _gallery_cells(own: Mapping[str, Sample], batch: Mapping[str, Sample]) -> list[str]:
    """Scores, with the differences to the batch as gallery, steps and CPU seconds."""
    cells = [str(own[m]) for m in GALLERY_METRICS]
    if own is not batch:
        cells = [f"{short(own[c.name].mean)} ({c})" for c in _gains(own, batch)]
    return [*cells, f"{own['steps'].mean:,.0f}", f"{own['cpu_seconds'].mean:.1f}"]


def samplers(results: Results) -> Section:
    """Batches of a few labels of level 1, against batches of any classes."""
    scores, section = Scores(results), Section("The sampler: batches of any classes, or of a few families")
    rows = []
    for data in e.SETS:
        for name in e.SAMPLER_METHODS:
            plain = _gallery_samples(scores, e.method(data, name, results, gaps=e.gaps_of(name)))
            families = _gallery_samples(scores, e.method(data, name, results, super_classes=e.FAMILIES))
            gains = _gains(families, plain)
            cells = [f"{short(families[c.name].mean)} ({c})" for c in gains]
            rows.append([f"{data}, {name}", *(str(plain[metric]) for metric in GALLERY_METRICS), *cells])
            claim = f"{name}: H-AP and AP_l0 gain from batches of {e.FAMILIES} labels of level 1"
            section.judge(claim, data, verdict(gains[:2]))
    header = ["", *(f"{m}, any" for m in GALLERY_METRICS), *(f"{m}, {e.FAMILIES} families" for m in GALLERY_METRICS)]
    section.text += [f"{len(e.SEEDS)} seeds; in brackets the difference", table(header, rows)]
    return section if not scores.missing else Section(section.title)


def _with_gaps(section: Section, scores: Scores) -> Section:
    """How much smaller the loss is on batches than on the whole training set, after training with batches of 64."""
    rows = []
    for data in e.SETS:
        for name in e.GAP_METHODS:
            setting = e.method(data, name, scores.results, gaps=e.gaps_of(name))
            whole = scores.sample(setting, "whole", e.SEEDS)
            parts = [scores.sample(setting, f"batch {size}", e.SEEDS) for size in e.GAP_BATCHES]
            gaps = [str(Sample(whole.values - part.values)) for part in parts]
            rows.append([f"{data}, {name}", str(whole), *gaps])
    if not scores.missing:
        words = "The decomposability gap: the loss on the whole training set, and how much smaller it is on batches of"
        section.text += [words, table(["", "whole", *map(str, e.GAP_BATCHES)], rows)]
    return section


def batch_sizes(results: Results) -> Section:
    """Claim 1: SupAP against SmoothAP, and what Calibration adds, by batch size."""
    scores, section = Scores(results), Section("Batch size: SmoothAP, SupAP, and SupAP with Calibration")
    more = ", ".join(f"{per_class} in batches of {size}" for size, per_class in e.BATCHES.items() if per_class > 4)
    section.text.append(f"4 images of each class; {more}, as there are no more than 41 classes (grocery) to train on.")
    panels = []
    for data in e.SETS:
        at = {
            name: [scores.sample(e.at_batch(data, name, size, results), "AP_l0", e.SEEDS) for size in e.BATCHES]
            for name in e.BATCH_METHODS
        }
        first = at[AP][list(e.BATCHES).index(FULL_BATCH)]
        names = dict(zip(at, ("SmoothAP", "SupAP", "ROADMAP"), strict=True))
        lines = {names[n]: [difference(s, first) for s in own] for n, own in at.items()}
        panels.append(Panel(f"{data}: AP_l0, difference to SupAP at {FULL_BATCH}", list(map(str, e.BATCHES)), lines))
        smooth = compare([Pair(str(b), at[AP][n], at["SmoothAP"][n]) for n, b in enumerate(e.BATCHES)])
        calibrated = compare([Pair(str(b), at[ROADMAP][n], at[AP][n]) for n, b in enumerate(e.BATCHES)])
        section.judge("SupAP is better than SmoothAP on AP_l0, at every batch size", data, verdict(smooth))
        section.judge("Calibration helps AP_l0 (ROADMAP against SupAP), at every batch size", data, verdict(calibrated))
        gains = [Sample(at[ROADMAP][n].values - at[AP][n].values) for n in (0, -1)]
        most = compare([Pair("", gains[0], gains[1])])
        section.judge(f"… and more at batch {min(e.BATCHES)} than at {max(e.BATCHES)}", data, verdict(most))
        rows = [
            [str(b), *(str(own[n]) for own in at.values()), str(smooth[n]), str(calibrated[n])]
            for n, b in enumerate(e.BATCHES)
        ]
        header = ["batch", *at, "SupAP − SmoothAP", "ROADMAP − SupAP"]
        section.text += [f"**{data}**, AP_l0, {len(e.SEEDS)} seeds", table(header, rows)]
    section.plots["claims_batch.svg"] = curves(panels, "images in a batch", "AP_l0 by batch size")
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


def whole(results: Results) -> Section:
    """The whole pretrained network at 112 px: does the order of the heads stay?"""
    scores, section = Scores(results), Section("The whole network, at 112 px")
    for data in e.WHOLE_SETS:
        rows = []
        settings = {name: e.whole_method(data, name, results) for name in e.WHOLE_METHODS}
        heads = {name: e.method(data, name, results, gaps=e.gaps_of(name)) for name in e.WHOLE_METHODS}
        found = {n: {m: scores.sample(s, m, e.LONG_SEEDS) for m in COLUMNS} for n, s in settings.items()}
        before = {n: scores.sample(s, "H-AP", e.LONG_SEEDS) for n, s in heads.items()}
        for name, own in found.items():
            (gain,) = compare([Pair("", own["H-AP"], before[name])])
            setting = settings[name]
            cells = [*map(str, own.values()), str(gain), f"{setting.lr:g}" if setting else ""]
            rows.append([name, *cells])
        for first, second in ((HAPPIER, AP), (HAP5_CLUSTER, AP), (HAPPIER, HAP5_CLUSTER)):
            for metric in ("H-AP", "AP_l0"):
                test = compare([Pair("", found[first][metric], found[second][metric])])
                claim = f"{first} beats {second} on {metric}, the whole network trained"
                section.judge(claim, data, f"{verdict(test)}: {test[0]}")
        words = f"**{data}**, {len(e.LONG_SEEDS)} seeds; the gain is that in H-AP over the head alone"
        section.text += [words, table(["loss", *COLUMNS, "gain", "rate"], rows)]
    return section if not scores.missing else Section(section.title)


def _rate_table(results: Results) -> list[str]:
    """H-AP by the learning rate, from the trainings that chose it."""
    rows = [[name, *by_rate(e.base("omniglot", name, scratch=True), results)] for name in e.SCRATCH_METHODS]
    words = "H-AP by learning rate, on the split that chose it (one seed)"
    return [words, table(["loss", *(f"{rate:g}" for rate in e.SCRATCH_RATES)], rows)]


def wrong_labels(results: Results) -> Section:
    """Claim 6: a part of the training classes under a wrong label of level 1."""
    scores, section = Scores(results), Section("Wrong labels at level 1")
    for data in e.SETS:
        for confused, kind in ((False, "any other label"), (True, "mostly a label that looks alike")):
            _add_wrong_labels(section, data, confused, kind, scores)
    return section if not scores.missing else Section(section.title)


def _add_wrong_labels(section: Section, data: str, confused: bool, kind: str, scores: Scores) -> None:
    """The table of one set and one kind of wrong labels, and its verdicts."""
    fractions = (0.0, *e.WRONG)
    found: dict[str, list[Sample]] = {}
    rows = []
    for name in e.NOISE_METHODS:
        clean = scores.sample(e.method(data, name, scores.results, gaps=e.gaps_of(name)), "H-AP", e.SEEDS)
        wrong = [e.method(data, name, scores.results, wrong=part, confused=confused) for part in e.WRONG]
        found[name] = [clean, *(scores.sample(setting, "H-AP", e.SEEDS) for setting in wrong)]
        noisy = [clean, *(scores.sample(setting, "noisy H-AP", e.SEEDS) for setting in wrong)]
        rows += [[name, "right", *map(str, found[name])], [name, "as wrong", *map(str, noisy)]]
    header = ["loss", "test labels", *(f"{100 * fraction:g}% wrong" for fraction in fractions)]
    words = f"**{data}**, H-AP, {len(e.SEEDS)} seeds; the wrong label is {kind}"
    section.text += [words, table(header, rows)]
    for name in e.NOISE_METHODS[1:]:
        pairs = [Pair(f"{100 * f:g}%", a, b) for f, a, b in zip(fractions, found[name], found[AP], strict=True)]
        claim = f"{name} against SupAP on H-AP by the fraction of wrong labels, {kind}"
        section.judge(claim, data, order_verdict(compare(pairs)))
