"""`hgld verify` and `hgld export` at GLDv2's size: wall time, CPU time and peak memory of each.

    python -m tests.scale.release [--fraction 1.0] [--folder DIR]

Makes a release with as many rows as GLDv2 has images and landmarks, in a temporary folder or in DIR, where one that
exists is used again.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hgld.foundation.files import sha256
from hgld.foundation.tables import write_csv, write_parquet
from hgld.hierarchy.taxonomy.commons_category import category_url
from tests.paths import ROOT
from tests.scale.metadata import Size, image_ids, image_landmarks

LABEL = {"supercategory": "cathedral", "hierarchical_label": "church", "natural_or_human_made": "human-made"}
TEXTS = ("qid", "method", "class", "path", "annotator", "decided_on", "note")


def main() -> None:
    """Make the release, and measure the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fraction", type=float, default=1.0, help="fraction of GLDv2's size (default: 1)")
    parser.add_argument("--folder", type=Path, help="work in this folder and keep it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hgld-scale-") as scratch:
        folder = (arguments.folder or Path(scratch)).resolve()
        release = folder / "release"
        if not (release / "SHA256SUMS").exists():
            make_release(release, Size().scaled(arguments.fraction))
        print(f"{'command':<42}{'wall s':>9}{'cpu s':>9}{'peak RSS MB':>13}{'MB written':>12}")
        _measure(["verify", str(release)])
        for form, table in (("csv", "train"), ("jsonl", "train"), ("sqlite", None)):
            out = folder / f"out.{form}"
            words = ["export", str(release), "--format", form, "--out", str(out), "--force"]
            _measure(words + (["--table", table] if table else []), out)


def make_release(folder: Path, size: Size) -> None:
    """Write the tables of a release: five of nine categories have a label, and index shares half of them with train."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    shift = {"train": 0, "index": size.train_landmarks - size.index_landmarks // 2}
    landmarks = {"train": size.train_landmarks, "index": size.index_landmarks}
    rows = {}
    for number, (split, images) in enumerate((("train", size.train), ("index", size.index))):
        ids, shown = image_ids(number, images), image_landmarks(rng, images, landmarks[split])
        table = {"image_id": ids, "landmark_id": _text(shown), **_labelled(shown + shift[split])}
        if split == "train":
            table["clean"] = pa.array(rng.random(images) < 0.4)
        rows |= _write(folder, f"{split}.parquet", pa.table(table))
        numbers = np.arange(landmarks[split]) + shift[split]
        frame = pa.table({"landmark_id": _text(np.arange(landmarks[split])), **_labelled(numbers)}).to_pandas()
        write_csv(
            frame.assign(category=frame["category"].map(category_url)), folder / f"{split}_label_to_hierarchical.csv"
        )
        rows[f"{split}_label_to_hierarchical.csv"] = len(frame)
    shown = rng.integers(0, landmarks["index"], size.test)
    relevant = pa.array([""] * size.test)
    test = {"image_id": image_ids(2, size.test), "usage": pa.array(["Private"] * size.test), "relevant": relevant}
    rows |= _write(folder, "test.parquet", pa.table({**test, **_labelled(shown + shift["index"])}))
    _write_labels(folder, shift["index"] + landmarks["index"])
    (folder / "metadata.json").write_text(json.dumps({"name": "made up", "version": "0", "rows": rows}))
    names = sorted(path.name for path in folder.iterdir())
    (folder / "SHA256SUMS").write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names))


def _text(numbers: np.ndarray) -> pa.Array:
    return pc.cast(pa.array(numbers.astype(np.int64)), pa.string())


def _labelled(numbers: np.ndarray) -> dict[str, pa.Array]:
    """The category and the labels of each number."""
    given = pa.array(numbers % 9 < 5)
    names = pc.binary_join_element_wise("Landmark", pc.utf8_lpad(_text(numbers), 9, "0"), " ")
    return {"category": names, **{name: pc.if_else(given, value, "") for name, value in LABEL.items()}}


def _write(folder: Path, name: str, table: pa.Table) -> dict[str, int]:
    pq.write_table(table, folder / name, compression="zstd")
    return {name: len(table)}


def _write_labels(folder: Path, count: int) -> None:
    """labels.parquet and evidence.parquet, one row each per category."""
    frame = pa.table(_labelled(np.arange(count))).to_pandas()
    labelled = frame["hierarchical_label"] != ""
    frame = frame.assign(source=np.where(labelled, "wikidata", ""), score=np.nan, margin=np.nan, snapshot="")
    frame = frame.assign(**dict.fromkeys(TEXTS, ""))
    frame["class"] = np.where(labelled, "Q2977", "")
    frame["path"] = np.where(labelled, "Q2977>Q16970", "")
    frame = frame.astype(dict.fromkeys(("source", "class", "path"), "str"))
    write_parquet(frame, folder / "labels.parquet")
    evidence = frame.drop(columns=["natural_or_human_made", "snapshot"]).assign(
        source=pd.Series("wikidata", frame.index)
    )
    write_parquet(evidence, folder / "evidence.parquet")


def _measure(words: list[str], out: Path | None = None) -> None:
    """Run a command and print its measurements; exits if it fails."""
    started, pid = time.monotonic(), os.fork()
    if not pid:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        environment = {**os.environ, "PYTHONPATH": str(ROOT / ".typing")}
        os.execve(sys.executable, [sys.executable, "-m", "hgld.cli", *words], environment)
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"{words[0]} ended with {os.waitstatus_to_exitcode(status)}")
    shown = " ".join(word for word in words if not word.startswith(("/", "--out", "--force")))
    size = f"{out.stat().st_size / 1e6:>12,.0f}" if out else ""
    cpu = usage.ru_utime + usage.ru_stime
    print(f"{shown:<42}{time.monotonic() - started:>9.1f}{cpu:>9.1f}{usage.ru_maxrss / 1024:>13,.0f}{size}", flush=True)


if __name__ == "__main__":
    main()
