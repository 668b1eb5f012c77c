"""Stage `release`: a decision for every label, and the folder that carries the labels (see hgld.pipeline.release)."""

from collections.abc import Mapping
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from hgld.foundation.display.visible import echo
from hgld.foundation.display.world_map import world_map
from hgld.foundation.display.world_outline import world_path
from hgld.foundation.files import read_json, replacing
from hgld.foundation.settings import Params, profiles
from hgld.hierarchy.curation.settled_verdicts import settled
from hgld.hierarchy.curation.verdict import CLASS, LANDMARK
from hgld.hierarchy.curation.verdict_checks import without_effect
from hgld.hierarchy.curation.verdicts import REVIEW_FOLDER, load_all_verdicts, load_verdicts
from hgld.hierarchy.fusion.evidence_kinds import proposal_sources
from hgld.hierarchy.fusion.release_decision import Thresholds, claims, decide
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy, load_taxonomy
from hgld.pipeline.dataset.card_numbers import card_numbers
from hgld.pipeline.dataset.landmark_classes import read_class_verdicts, read_landmark_classes
from hgld.pipeline.dataset.landmarks import SPLITS, labels_and_proposals
from hgld.pipeline.dataset.places import map_title, with_places
from hgld.pipeline.dataset.schemas import read_stage_table
from hgld.pipeline.dataset.splits import image_labels, landmark_labels, query_labels
from hgld.pipeline.release.errata import errata_page
from hgld.pipeline.release.folder import Content, write_folder
from hgld.pipeline.release.ground_tables import ground_tables
from hgld.pipeline.release.guarantees import check_guarantees
from hgld.pipeline.release.label_quality import label_quality, missing_labels, quality_numbers
from hgld.pipeline.release.taxonomy_tables import class_graph_table, taxonomy_table
from hgld.pipeline.release.texts.about import About
from hgld.pipeline.stages.queue import COLUMNS, candidate_tables, judged_controls, read_suggestions

Tables = dict[str, pd.DataFrame]


def run(params: Params) -> None:
    """Write `data/P/release` atomically.

    Raises HgldError when a verdict file is malformed, a table violates a guarantee of the release, or a text that the
    release repeats (DATA_CARD.md, CITATION.cff) is missing or malformed.
    """
    taxonomy = load_taxonomy(Path(params.build.taxonomy))
    natures = taxonomy.natures
    snapshot = read_json(params.data / "wikidata" / "snapshot.json")
    claimed = read_claims(params, taxonomy)
    evidence = claimed.table
    thresholds = Thresholds(params.refine.accept_score, params.refine.accept_margin)
    decided = decide(evidence, thresholds, natures, claimed.refuted)
    decisions, notes = with_places(params, decided)
    labels = decisions.assign(snapshot=str(snapshot.get("date", "")))
    tables, counts = _tables(params, decisions)
    images = {split: tables[f"{split}.parquet"] for split in (*SPLITS, "test")}
    quality = label_quality(labels, *_controls(params, taxonomy))
    check_guarantees(params.data / "metadata", labels, tables, natures)
    counts["conflicting_verdicts"] = claimed.conflicts
    anchors = taxonomy_table(Path(params.build.taxonomy), natures)
    content = Content(
        About(
            params.release,
            card_numbers(params, labels, tables, counts)
            | {"missing": missing_labels(labels, images), "quality": quality_numbers(quality)},
        ),
        {
            **tables,
            "labels.parquet": labels,
            "evidence.parquet": evidence,
            "taxonomy.parquet": anchors,
            "taxonomy.csv": anchors,
            "quality.parquet": quality,
            "class_graph.parquet": class_graph_table(params),
            **ground_tables(params, REVIEW_FOLDER, natures, labels["category"]),
        },
        _metadata(params, tables, counts, snapshot) | {"overlap": _overlap(images)},
        world_map(zip(labels["latitude"], labels["longitude"], strict=True), map_title(labels), world_path()),
        errata_page(REVIEW_FOLDER),
    )
    with replacing(params.data / "release", directory=True) as folder:
        write_folder(content, folder)
    if notes:
        echo(*notes)
    names = profiles() if Path("params.yaml").is_file() else ()
    if warnings := without_effect(REVIEW_FOLDER, natures, params.profile, labels["category"], names):
        echo(*warnings)
    sources = labels["source"].replace("", "(empty)").value_counts().sort_index()
    echo(f"{len(labels)} categories: " + ", ".join(f"{count} {name}" for name, count in sources.items()))


class Claims(NamedTuple):
    """table: as `claims` gives it; refuted: as `decide` needs it; conflicts: categories that annotators disagree on."""

    table: pd.DataFrame
    refuted: frozenset[tuple[str, str]]
    conflicts: int


def read_claims(params: Params, taxonomy: Taxonomy) -> Claims:
    """All claims about the profile's categories. Raises HgldError when a verdict file is malformed."""
    natures = taxonomy.natures
    labels, proposals = labels_and_proposals(params, natures, proposal_sources())
    verdicts = load_verdicts(REVIEW_FOLDER, natures, params.verdict_profiles)
    agreed, conflicts = settled(verdicts, params.release.adjudicators)
    classes = read_landmark_classes(params, taxonomy, labels)
    by_class = read_class_verdicts(params, taxonomy, classes, REVIEW_FOLDER)
    table = claims(labels, proposals, by_class.claims, _with_classes(agreed, classes.names, params))
    return Claims(table, by_class.refuted, len(set(conflicts["category"]) & set(labels["category"])))


def _with_classes(verdicts: pd.DataFrame, names: Mapping[str, str], params: Params) -> pd.DataFrame:
    """Settled verdicts as claims: the class that the annotator named, with its path where that leads to the label."""
    classes = verdicts["supercategory"]
    path_of = _class_paths(params) if classes.any() else {}
    keys = zip(classes, verdicts["hierarchical_label"], strict=True)
    rejections = [f"not item {qid}" if qid else "" for qid in verdicts["rejected_item"]]
    comments = zip(verdicts["comment"], rejections, strict=True)
    table = verdicts.rename(columns={"rejected_item": "qid"})
    table["class"] = classes
    table["supercategory"] = [names.get(qid, qid) for qid in classes]
    table["path"] = [path_of.get(key, key[0]) for key in keys]
    table["comment"] = ["; ".join(filter(None, parts)) for parts in comments]
    return table


def _class_paths(params: Params) -> dict[tuple[str, str], str]:
    """(Class, its label) → the path to the anchor."""
    table = read_stage_table(params.data / "build" / "classes.parquet")
    rows = table[["class", "hierarchical_label", "path"]].itertuples(index=False, name=None)
    return {(str(qid), str(label)): str(path) for qid, label, path in rows}


def _tables(params: Params, decisions: pd.DataFrame) -> tuple[Tables, dict[str, int]]:
    """The released tables by file name, and how many cases were settled by rule."""
    tables = {f"{split}_label_to_hierarchical.csv": landmark_labels(params, split, decisions) for split in SPLITS}
    for split in SPLITS:
        tables[f"{split}.parquet"] = image_labels(params, split, decisions)
    test, counts = query_labels(params, tables["index.parquet"], tables["train.parquet"], decisions)
    return tables | {"test.parquet": test}, counts


def _controls(params: Params, taxonomy: Taxonomy) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The labels that are accepted without a verdict, and their judged controls; both empty without verdicts."""
    verdicts = load_all_verdicts(REVIEW_FOLDER, taxonomy.natures, params.verdict_profiles)
    table = pd.DataFrame(columns=COLUMNS, dtype="str")
    if not verdicts[LANDMARK].given.empty:  # the table of all candidates takes seconds
        table, _ = candidate_tables(read_suggestions(params, taxonomy), verdicts[CLASS].given)
    return judged_controls(table, verdicts[LANDMARK].given, params.queue)


def _overlap(images: Mapping[str, pd.DataFrame]) -> dict[str, int]:
    """How many categories two splits share, as `hgld verify` counts them."""
    names = {split: set(table["category"]) - {""} for split, table in images.items()}
    return {f"{one}_{other}": len(names[one] & names[other]) for one, other in combinations(names, 2)}


def _metadata(params: Params, tables: Tables, counts: dict[str, int], snapshot: dict[str, object]) -> dict[str, object]:
    """What identifies the release; without a timestamp, so that the same inputs give the same bytes."""
    return {
        "name": params.release.name,
        "version": params.release.version,
        "made_with": f"hgld {version('hgld')}",
        "decision": {
            "method": params.refine.method,
            "accept_score": params.refine.accept_score,
            "accept_margin": params.refine.accept_margin,
        },
        "wikidata": {key: snapshot[key] for key in ("date", "endpoint", "sha256") if key in snapshot},
        "rows": {name: len(table) for name, table in sorted(tables.items())},
        "settled_by_rule": counts,
    }
