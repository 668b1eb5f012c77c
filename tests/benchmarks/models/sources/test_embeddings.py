"""Embeddings in files are the same whatever the file; faults are refused; ids are matched with the data's."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hgld.benchmarks.models.scored_model import Precomputed
from hgld.benchmarks.models.sources.registry import match_ids
from hgld.foundation.errors import HgldError
from tests.benchmarks.models.sources.plain_code import precomputed

IDS = ["00a1", "b", "ü c", "None", "5", "6"]
VECTORS = np.random.default_rng(0).normal(size=(6, 4))
UNIT = torch.from_numpy(VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).float()


def npz(path: Path) -> dict[str, Any]:
    np.savez(path, ids=np.array(IDS), vectors=VECTORS)
    return {}


def npz_compressed(path: Path) -> dict[str, Any]:
    np.savez_compressed(path, ids=np.array([one.encode() for one in IDS]), vectors=VECTORS, other=np.ones(2))
    return {}


def npz_of_roles(path: Path) -> dict[str, Any]:
    ids = np.array(IDS)
    np.savez(path, query_ids=ids[:2], query=VECTORS[:2], gallery_ids=ids[2:], gallery=VECTORS[2:])
    return {}


def npy(path: Path) -> dict[str, Any]:
    np.save(path, np.asfortranarray(VECTORS))
    path.with_name("ids.txt").write_text("\ufeff" + "\r\n".join(IDS) + "\r\n", encoding="utf-8")
    return {"ids": path.with_name("ids.txt")}


def big_endian(path: Path) -> dict[str, Any]:
    np.savez(path, ids=np.array(IDS), vectors=VECTORS.astype(">f8"))
    return {}


def parquet_of_lists(path: Path) -> dict[str, Any]:
    pd.DataFrame({"id": IDS, "vector": list(VECTORS), "label": "x"}).to_parquet(path)
    return {}


def parquet_of_fixed_lists(path: Path) -> dict[str, Any]:
    column = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 4)
    pq.write_table(pa.table({"image_id": IDS, "embedding": column}), path, row_group_size=2)
    return {}


def parquet_of_columns(path: Path) -> dict[str, Any]:
    pd.DataFrame(VECTORS).rename(columns=str).assign(id=IDS, label=3).to_parquet(path)
    return {}


FILES: dict[str, tuple[str, Callable[[Path], dict[str, Any]]]] = {
    "npz": ("e.npz", npz),
    "compressed": ("e.npz", npz_compressed),
    "query and gallery": ("e.npz", npz_of_roles),
    "big-endian": ("e.npz", big_endian),
    "npy": ("e.npy", npy),
    "lists": ("e.parquet", parquet_of_lists),
    "fixed lists": ("e.parquet", parquet_of_fixed_lists),
    "columns": ("e.parquet", parquet_of_columns),
    "another suffix": ("e.bin", npz),
}


@pytest.mark.parametrize("name", FILES)
def test_every_file_gives_the_same_embeddings(tmp_path: Path, name: str) -> None:
    file, write = FILES[name]
    with (tmp_path / file).open("wb") as handle:
        handle.close()
    options = write(tmp_path / file)
    path = tmp_path / file
    if not path.stat().st_size:  # numpy adds its suffix
        path = tmp_path / f"{file}.npz"
    embeddings = precomputed(path, **options)
    assert embeddings.ids == tuple(IDS)
    assert embeddings.vectors.dtype == torch.float32
    torch.testing.assert_close(embeddings.vectors, UNIT, rtol=0, atol=1e-7)
    np.savez(tmp_path / "again.npz", ids=np.array(IDS), vectors=VECTORS)
    assert embeddings.identity == precomputed(tmp_path / "again.npz").identity
    assert embeddings.name == path.name


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8"])
def test_any_type_of_number_is_converted(tmp_path: Path, dtype: str) -> None:
    values = (np.abs(VECTORS) * 20 + 1).astype(dtype)
    np.savez(tmp_path / "e.npz", ids=np.array(IDS), vectors=values)
    expected = torch.nn.functional.normalize(torch.from_numpy(values.astype(np.float64)), dim=1).float()
    embeddings = precomputed(tmp_path / "e.npz")
    torch.testing.assert_close(embeddings.vectors, expected, rtol=0, atol=1e-7)
    assert embeddings.config["model"]["stored as"] == dtype


def test_lengths_that_float32_cannot_square_are_normalised(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", ids=np.array(["a", "b"]), vectors=np.array([[3e25, 4e25], [3e-30, 4e-30]]))
    expected = torch.tensor([[0.6, 0.8], [0.6, 0.8]])
    torch.testing.assert_close(precomputed(tmp_path / "e.npz").vectors, expected)


def test_identity_changes_with_ids_and_values(tmp_path: Path) -> None:
    def identity(ids: list[str], vectors: Any) -> str:
        np.savez(tmp_path / "e.npz", ids=np.array(ids), vectors=vectors)
        return precomputed(tmp_path / "e.npz").identity

    changed = VECTORS.copy()
    changed[3, 2] += 1e-3
    assert len({identity(IDS, VECTORS), identity(IDS[::-1], VECTORS), identity(IDS, changed)}) == 3
    assert identity(IDS, VECTORS * 2) == identity(IDS, VECTORS), "the length of a vector does not matter"


def with_value(row: int, column: int | slice, value: float) -> Any:
    changed = VECTORS.copy()
    changed[row, column] = value
    return changed


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "NaN": ({"vectors": with_value(1, 2, np.nan)}, r"the embedding of 'b' \(row 2\) has values that are not finite"),
    "infinite": ({"vectors": with_value(5, 0, np.inf)}, r"the embedding of '6' \(row 6\) has values that are not"),
    "too large for float32": ({"vectors": with_value(5, 0, 1e39)}, r"the embedding of '6' \(row 6\) has values that"),
    "zero row": ({"vectors": with_value(2, slice(None), 0)}, r"of 'ü c' \(row 3\) is zero, which has no direction"),
    "an id twice": ({"ids": np.array(["a", "b", "a", "c", "b", "d"])}, "2 ids occur more than once \\('a', 'b'\\)"),
    "fewer ids": ({"ids": np.array(IDS[:5])}, "5 ids for 6 embeddings"),
    "one dimension": ({"vectors": VECTORS[0]}, r"vectors is float64 \(4,\); expected numbers \(images, dimensions\)"),
    "three dimensions": ({"vectors": VECTORS[None]}, r"vectors is float64 \(1, 6, 4\)"),
    "no rows": ({"vectors": VECTORS[:0], "ids": np.array([], dtype="U1")}, r"vectors is float64 \(0, 4\)"),
    "no columns": ({"vectors": VECTORS[:, :0]}, r"vectors is float64 \(6, 0\)"),
    "complex": ({"vectors": VECTORS + 1j}, "vectors is complex128"),
    "text": ({"vectors": VECTORS.astype(str)}, "vectors is <U"),
    "ids that are fractions": (
        {"ids": np.arange(6) / 2},
        "ids is float64 .*expected one text or whole number an image",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_embeddings_with_a_fault_are_refused_in_one_line(tmp_path: Path, fault: str) -> None:
    changes, message = FAULTS[fault]
    np.savez(tmp_path / "e.npz", **{"ids": np.array(IDS), "vectors": VECTORS, **changes})
    with pytest.raises(HgldError, match=message) as caught:
        precomputed(tmp_path / "e.npz")
    assert "\n" not in str(caught.value)


def test_archive_that_unpacks_to_much_more_is_refused_unread(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "e.npz", ids=np.array(IDS), vectors=np.zeros((6, 10**6)))
    with pytest.raises(HgldError, match=r"is refused: [\d,]+ bytes unpack to 48,000,[\d,]+; no embeddings"):
        precomputed(tmp_path / "e.npz")


def test_arrays_by_other_names_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", names=np.array(IDS), features=VECTORS)
    with pytest.raises(HgldError, match=r"expected arrays ids, vectors or query_ids, query.*found features, names"):
        precomputed(tmp_path / "e.npz")
    np.savez(tmp_path / "e.npz", query_ids=IDS[:3], query=VECTORS[:3], gallery_ids=IDS[3:], gallery=VECTORS[3:, :2])
    with pytest.raises(HgldError, match="query has 4 numbers a row, gallery 2"):
        precomputed(tmp_path / "e.npz")


def test_ids_of_a_npy_come_from_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", VECTORS)
    with pytest.raises(HgldError, match=r"has no ids; give a text file with one id a line.*--ids"):
        precomputed(tmp_path / "e.npy")
    ids = tmp_path / "ids.txt"
    for text, message in (
        ("a\nb\n", r"2 ids for the 6 rows"),
        ("a\n\nb\nc\nd\ne\n", r"ids.txt:2: an empty line"),
        ("a\nb\nc\nd\ne\na\n", r"1 ids occur more than once \('a'\)"),
    ):
        ids.write_text(text)
        with pytest.raises(HgldError, match=message):
            precomputed(tmp_path / "e.npy", ids=ids)
    with pytest.raises(HgldError, match=r"no.txt: cannot be read"):
        precomputed(tmp_path / "e.npy", ids=tmp_path / "no.txt")


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.marker,)


def test_pickled_objects_in_arrays_are_not_loaded(tmp_path: Path) -> None:
    evil = np.array([Payload(tmp_path / "ran")] * 6, dtype=object)
    np.savez(tmp_path / "e.npz", ids=evil, vectors=VECTORS)
    np.save(tmp_path / "e.npy", evil)
    (tmp_path / "ids.txt").write_text("a\n")
    (tmp_path / "pickled.npy").write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    for name in ("e.npz", "e.npy", "pickled.npy"):
        with pytest.raises(HgldError):
            precomputed(tmp_path / name, **({"ids": tmp_path / "ids.txt"} if name == "e.npy" else {}))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["npz", "npy", "lists"])
def test_files_cut_short_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    file, write = FILES[name]
    options = write(tmp_path / file)
    whole = (tmp_path / file).read_bytes()
    for length in (0, 4, len(whole) // 2, len(whole) - 3):
        (tmp_path / file).write_bytes(whole[:length])
        with pytest.raises(HgldError) as caught:
            precomputed(tmp_path / file, **(options if length else {}))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"name": IDS}, "no column id or image_id; it has name"),
        ({"id": IDS}, "expected one column of lists, or one column a dimension; found no numbers"),
        ({"id": IDS, "a": list(VECTORS), "b": list(VECTORS)}, r"found 2 columns of lists \(a, b\)"),
        ({"id": [None, *IDS[1:]], "a": list(VECTORS)}, "id is empty in row 1"),
        ({"id": IDS, "a": [[1.0], *VECTORS[1:]]}, "the lists of a differ in length"),
        ({"id": IDS, "a": [None, *VECTORS[1:]]}, "a is empty in 1 rows"),
        ({"id": IDS, "a": [[1.0, None], *[[1.0, 2.0]] * 5]}, "the lists of a contain empty values"),
        ({"id": IDS, "a": [None, 1.0, 2.0, 3.0, 4.0, 5.0]}, "contain empty values"),
    ],
)
def test_tables_that_hold_no_embeddings_are_explained(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "e.parquet")
    with pytest.raises(HgldError, match=message) as caught:
        precomputed(tmp_path / "e.parquet")
    assert "\n" not in str(caught.value)


def made(ids: list[str]) -> Precomputed:
    vectors = torch.arange(float(len(ids)))[:, None] + 1
    return Precomputed(name="e.npz", identity="0" * 64, ids=tuple(ids), vectors=vectors, config={})


@given(st.lists(st.text(max_size=4), min_size=1, max_size=12, unique=True), st.randoms(use_true_random=False))
def test_rows_follow_the_ids_of_the_data(ids: list[str], random: Any) -> None:
    embeddings = made(ids)
    wanted = random.sample(ids, len(ids))
    half = len(ids) // 2
    rows = match_ids(embeddings, {"query": wanted[:half], "gallery": wanted[half:]})
    found = [int(value) - 1 for role in ("query", "gallery") for value in rows[role][:, 0]]
    assert [ids[row] for row in found] == wanted


def test_an_image_may_be_query_and_gallery() -> None:
    rows = match_ids(made(["a", "b"]), {"query": ["b"], "gallery": ["a", "b"]})
    assert rows["query"].tolist() == [[2.0]] and rows["gallery"].tolist() == [[1.0], [2.0]]


def test_ids_that_are_missing_or_surplus_are_counted_with_examples() -> None:
    embeddings = made([f"image{n}" for n in range(5)])
    needed = {"query": ["image0", "photo1"], "gallery": [f"photo{n}" for n in range(9)]}
    with pytest.raises(HgldError) as caught:
        match_ids(embeddings, needed)
    text = str(caught.value)
    assert "e.npz: 1 of the 2 query images are missing ('photo1')" in text
    assert "9 of the 9 gallery images are missing ('photo0', 'photo1', 'photo2', …)" in text
    assert "4 of its 5 ids are not in the data ('image1', 'image2', 'image3', …)" in text
    assert "\n" not in text
    with pytest.raises(HgldError, match="1 of its 5 ids are not in the data"):
        match_ids(embeddings, {"query": ["image0"]}, known=["image1", "image2", "image3"])
    match_ids(embeddings, {"query": ["image0"]}, known=[f"image{n}" for n in range(9)])
