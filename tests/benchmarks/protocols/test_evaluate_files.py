"""`hgld evaluate`: perfect and hand-computed predictions through the command, and the errors for other files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from hgld.benchmarks.protocols.revisited import read_ground_truth, revisited, summary
from hgld.cli import main
from tests.paths import SHARED

OFFICIAL = SHARED / "revisited" / "gnd_roxford5k.pkl"
needs_official = pytest.mark.skipif(not OFFICIAL.exists(), reason=f"no official ground truth {OFFICIAL}")


def hgld(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["evaluate", *map(str, words)])
    return result.exit_code, result.output


def measures(*words: str | Path) -> dict[str, Any]:
    code, output = hgld(*words, "--json")
    assert code == 0, output
    values: dict[str, Any] = json.loads(output)
    return values


def save(path: Path, array: np.ndarray[Any, Any]) -> Path:
    np.save(path, array)
    return path


def test_revisited_by_hand(truth: Path, tmp_path: Path) -> None:
    """q: 0 is junk, then 3 1 2: AP medium = ((0 + 1/2)/2 + (1/2 + 2/3)/2)/2 = 5/12, hard, without 1: 3 2: (0 + 1/2)/2.

    r: 3 first, AP 1; it has no hard positive.
    """
    ranks = save(tmp_path / "ranks.npy", np.array([[0, 3, 1, 2], [3, 0, 1, 2]], dtype="<u2"))
    values = measures("revisited", truth, ranks)
    assert list(values) == ["easy", "medium", "hard"]
    assert values["medium"]["mAP"] == pytest.approx((5 / 12 + 1) / 2)
    assert values["hard"]["mAP"] == pytest.approx(1 / 4)
    assert (values["hard"]["queries"], values["hard"]["undefined"], values["hard"]["tied"]) == (1, 1, None)
    code, output = hgld("revisited", truth, ranks, "--per-query", tmp_path / "each.csv")
    assert code == 0
    assert f"{truth}: 2 queries, 4 images; {ranks}: ranks" in output
    assert output.splitlines()[3].split() == ["easy", "0.6250", "0.5000", "0.7500", "0.7500", "2", "0", "–"]
    table = pd.read_csv(tmp_path / "each.csv")
    assert table["difficulty"].tolist() == ["easy", "easy", "medium", "medium", "hard", "hard"]
    assert table.loc[2, "AP"] == pytest.approx(5 / 12)


def test_scores_and_embeddings_equal_their_ranks(truth: Path, tmp_path: Path) -> None:
    query = np.array([[1, 0], [0, 2]], dtype=">f4")
    index = np.array([[5, 0], [2, 1], [-1, 1], [0.1, 9]], dtype=np.float16)
    np.savez(tmp_path / "both.npz", query=query, index=index)
    cosine = (query / [[1], [2]]) @ (index / np.linalg.norm(index.astype(float), axis=1, keepdims=True)).T
    ranks = np.argsort(-cosine, axis=1, kind="stable")
    assert ranks.tolist() == [[0, 1, 3, 2], [3, 2, 1, 0]]
    expected = measures("revisited", truth, save(tmp_path / "ranks.npy", ranks))
    for path in (tmp_path / "both.npz", save(tmp_path / "scores.npy", cosine)):
        values = measures("revisited", truth, path)
        for difficulty in expected:
            assert values[difficulty]["mAP"] == pytest.approx(expected[difficulty]["mAP"])
            assert values[difficulty]["tied"] == 0


@needs_official
def test_a_perfect_ranking_of_the_official_ground_truth_is_one(tmp_path: Path) -> None:
    """Easy before hard before junk before all others."""
    truth = read_ground_truth(OFFICIAL)
    rows = []
    for query in truth.queries:
        listed = query.of(("easy", "hard", "junk"))
        rows.append(listed + sorted(set(range(len(truth.images))) - set(listed)))
    ranks = save(tmp_path / "ranks.npy", np.array(rows))
    for difficulty, undefined in (("easy", 2), ("medium", 0), ("hard", 0)):
        row = measures("revisited", OFFICIAL, ranks)[difficulty]
        assert [row[name] for name in ("mAP", "mP@1", "mP@5", "mP@10")] == [1.0] * 4
        assert (row["queries"], row["undefined"]) == (70 - undefined, undefined)
    # reversed, no positive is before a negative
    worst = measures("revisited", OFFICIAL, save(tmp_path / "worst.npy", np.array(rows)[:, ::-1]))
    assert worst["medium"]["mAP"] < 0.02
    assert worst["medium"]["mP@10"] == 0


@needs_official
def test_embeddings_of_the_official_size_equal_their_scores(tmp_path: Path) -> None:
    truth = read_ground_truth(OFFICIAL)
    generator = np.random.default_rng(0)
    query, index = generator.normal(size=(70, 16)), generator.normal(size=(5000, 16))
    np.savez(tmp_path / "e.npz", query=query, index=index)
    values = measures("revisited", OFFICIAL, tmp_path / "e.npz", "--distractors", "7")
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (query, index)]
    scores = torch.as_tensor(unit[0] @ unit[1].T)
    for difficulty, row in values.items():
        expected = summary(revisited(scores, truth, difficulty, distractors=7))
        assert row["mAP"] == pytest.approx(expected["mAP"], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "arrays", "message"),
    [
        ("a.npy", np.zeros((4, 2)), "got (4, 2); transpose it"),
        ("a.npy", np.zeros((2, 3)), "scores (2, 4) or ranks (2, up to 4)"),
        ("a.npy", np.array([[0, 4], [0, 1]]), "ranks must be image indices from 0 to 3"),
        ("a.npy", np.full((2, 4), np.nan), "query q: a score is NaN"),
        ("a.npy", np.zeros((2, 4), dtype=bool), "the array has dtype bool"),
        ("a.npy", np.array([["a", "b"]]), "the array has dtype <U1"),
        ("a.npy", np.array([None, {}], dtype=object), "the array has objects; expected integers (ranks)"),
        ("a.npz", {"query": np.ones((2, 3))}, "no array 'index'; expected query and index, found query"),
        (
            "a.npz",
            {"query": np.ones((2, 3)), "index": np.ones((3, 3))},
            "query (2, D) and index (4, D); found",
        ),
        (
            "a.npz",
            {"query": np.ones((2, 3)), "index": np.ones((4, 2))},
            "found query (2, 3) and index (4, 2)",
        ),
        (
            "a.npz",
            {"query": np.ones((2, 3)), "index": np.zeros((4, 3))},
            "index: the embedding of row 0 is zero (4 such rows)",
        ),
    ],
)
def test_a_bad_ranking_is_an_error_in_one_line(
    truth: Path, tmp_path: Path, name: str, arrays: Any, message: str
) -> None:
    path = tmp_path / name
    if isinstance(arrays, dict):
        np.savez(path, **arrays)
    else:
        np.save(path, arrays)
    code, output = hgld("revisited", truth, path)
    assert code == 1
    assert output.startswith(f"Error: {path}: ")
    assert message in output


def test_the_output_says_that_ranks_are_truncated(truth: Path, tmp_path: Path) -> None:
    ranks = save(tmp_path / "ranks.npy", np.array([[0, 3, 1], [0, 1, 2]]))
    code, output = hgld("revisited", truth, ranks)
    assert code == 0
    assert f"{ranks}: ranks, the first 3 only: 2 of 3 positives (medium) are not listed and count as missed" in output
    assert {name: row["unlisted"] for name, row in measures("revisited", truth, ranks).items()} == {
        "easy": 1, "medium": 2, "hard": 1
    }  # fmt: skip
    ranks = save(tmp_path / "filled.npy", np.array([[0, 3, 1, -1], [0, 1, -1, -1]]))
    assert f"{ranks}: ranks, up to 4 a query: 2 of 3 positives" in hgld("revisited", truth, ranks)[1]
    ranks = save(tmp_path / "none.npy", np.zeros((2, 0), int))
    assert f"{ranks}: ranks, the first 0 only: 3 of 3 positives" in hgld("revisited", truth, ranks)[1]


def test_the_kind_of_a_ranking_is_an_option(truth: Path, tmp_path: Path) -> None:
    """Ranks that were saved as float64 gave an mAP, another one."""
    ranks = np.array([[0, 3, 1, 2], [3, 0, 1, 2]])
    expected = measures("revisited", truth, save(tmp_path / "ranks.npy", ranks))
    floats = save(tmp_path / "floats.npy", ranks.astype(float))
    code, output = hgld("revisited", truth, floats)
    assert (code, output.count("\n")) == (
        1,
        1,
    ) and f"Error: {floats}: these floating-point numbers may be ranks" in output
    assert measures("revisited", truth, floats, "--kind", "ranks") == expected
    assert measures("revisited", truth, floats, "--kind", "scores")["medium"]["tied"] == 0
    np.savez(tmp_path / "e.npz", query=np.ones((2, 3)), index=np.ones((4, 3)))
    code, output = hgld("revisited", truth, tmp_path / "e.npz", "--kind", "ranks")
    assert code == 1 and "these are embeddings, not ranks" in output


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 and no more", b"\x93NUMPY\x01\x00v\x00{'descr'", b"1 2 3\n", None]
)
def test_another_file_is_an_error_in_one_line(truth: Path, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ranks.npy"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    code, output = hgld("revisited", truth, path)
    assert (code, output.count("\n")) == (1, 1)
    assert output.startswith(f"Error: {path}")
    code, output = hgld("revisited", path, path)
    assert code == 1 and output.startswith(f"Error: {path}")
    code, output = hgld("revisited", truth, tmp_path / "none.npy")
    assert (code, output) == (1, f"Error: no file {tmp_path / 'none.npy'}\n")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_retrieval_by_hand(tmp_path: Path) -> None:
    """q1: hits at 1 and 3: (1 + 2/3)/2; q2: nothing; q4: hit at 2 of three: (1/2)/3; q3 is ignored."""
    solution = write(
        tmp_path / "solution.csv",
        "id,images,Usage\nq1,a b,Public\nq2,c,Private\nq3,None,Ignored\nq4,d e f,Public\n",
    )
    answers = write(tmp_path / "answers.csv", "id,images\nq1,a x b\nq2,\nq4,x d y\n")
    values = measures("retrieval", answers, solution)
    assert values["Public"] == {"mAP@100": pytest.approx((5 / 6 + 1 / 6) / 2), "queries": 2, "undefined": 0}
    assert values["Private"]["mAP@100"] == 0
    assert measures("retrieval", answers, solution, "--k", "1")["Public"]["mAP@1"] == 0.5
    code, output = hgld("retrieval", answers, solution, "--per-query", tmp_path / "each.csv")
    assert output.splitlines()[3].split() == ["Public", "0.5000", "2", "0"]
    assert pd.read_csv(tmp_path / "each.csv")["id"].tolist() == ["q1", "q2", "q4"]
    index = write(tmp_path / "index.csv", "id\na\nb\nx\n")
    code, output = hgld("retrieval", answers, solution, "--index", index)
    assert code == 1
    assert f"{answers}:4: query q4 lists d, which is not an index image" in output


def test_recognition_by_hand(tmp_path: Path) -> None:
    """Public by confidence: q3 (shows nothing) miss, q2 hit P = 1/2, q1 hit P = 2/3; M = 3 with q4."""
    solution = write(
        tmp_path / "solution.csv",
        "id,landmarks,Usage\nq1,7,Public\nq2,8 9,Public\nq3,,Public\nq4,7,Public\nq5,5,Private\nq6,6,Ignored\n",
    )
    answers = write(tmp_path / "answers.csv", "id,landmarks\nq1,7 0.2\nq2,9 0.5\nq3,7 9e-1\nq4,\nq5,5 -3\n")
    values = measures("recognition", answers, solution)
    assert values["Public"]["GAP"] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert values["Private"] == {"GAP": 1.0, "queries": 1, "guesses": 1, "tied": 0}
    landmarks = write(tmp_path / "names.csv", "landmark_id,category\n7,x\n9,y\n")
    code, output = hgld("recognition", answers, solution, "--landmarks", landmarks)
    assert code == 1
    assert f"{answers}:6: 5 is not a landmark of the train set" in output


@pytest.mark.parametrize("protocol", ["retrieval", "recognition"])
def test_a_bad_submission_is_an_error(tmp_path: Path, protocol: str) -> None:
    column = {"retrieval": "images", "recognition": "landmarks"}[protocol]
    solution = write(tmp_path / "solution.csv", f"id,{column},Usage\nq1,1,Public\nq2,1,Private\n")
    answers = write(tmp_path / "answers.csv", f"id,{column}\nq1,\n")
    code, output = hgld(protocol, answers, solution)
    assert (code, f"{answers}: 1 of 2 queries are missing, such as q2" in output) == (1, True)
    code, output = hgld(protocol, solution, answers)
    assert (code, f"{answers}:1: expected the header id,{column},Usage" in output) == (1, True)
    code, output = hgld(protocol, tmp_path, solution)
    assert (code, f"{tmp_path} is a folder; a CSV file was expected" in output) == (1, True)


HEX = [f"{n:016x}" for n in range(9)]


@pytest.mark.parametrize(
    ("protocol", "correct", "answer", "message"),
    [
        ("retrieval", f"{HEX[1]} {HEX[2]}", f"{HEX[1]} {HEX[2]}.jpg", f"'{HEX[2]}.jpg' can be no correct answer"),
        ("retrieval", HEX[1], f"0/0/0/{HEX[1]}", "those of the solution are 16 hex digits"),
        ("retrieval", "00000000000000AB".lower(), "00000000000000AB", "can be no correct answer"),
        ("retrieval", HEX[1], "1", "'1' can be no correct answer"),
        (
            "recognition",
            "138982",
            "138982.0 0.93",
            "'138982.0' can be no correct answer: those of the solution are whole",
        ),
        ("recognition", "138982", "0138982 0.93", "'0138982' can be no correct answer"),
        ("recognition", "138982", "1.38982e5 0.93", "can be no correct answer"),
        ("recognition", "138982", "-1 0.93", "can be no correct answer"),
    ],
)
def test_an_id_that_can_never_be_right_is_an_error_with_its_line(
    tmp_path: Path, protocol: str, correct: str, answer: str, message: str
) -> None:
    """They were scored as misses: 0.0000, exit 0."""
    column = {"retrieval": "images", "recognition": "landmarks"}[protocol]
    solution = write(tmp_path / "solution.csv", f"id,{column},Usage\n{HEX[7]},{correct},Public\n{HEX[8]},,Private\n")
    answers = write(tmp_path / "answers.csv", f"id,{column}\n{HEX[8]},\n{HEX[7]},{answer}\n")
    code, output = hgld(protocol, answers, solution)
    assert code == 1 and f"{answers}:3: query {HEX[7]}: " in output and message in output


def test_a_solution_with_an_id_of_another_form_is_an_error_with_its_line(tmp_path: Path) -> None:
    rows = f"{HEX[7]},{HEX[1]} {HEX[2]} {HEX[3]},Public\n{HEX[8]},{HEX[4]}.jpg,Private\n"
    solution = write(tmp_path / "solution.csv", f"id,images,Usage\n{rows}")
    code, output = hgld("retrieval", solution, solution)
    assert code == 1 and f"{solution}:3: '{HEX[4]}.jpg' can be no correct answer" in output


@pytest.mark.parametrize("protocol", ["retrieval", "recognition"])
def test_a_submission_without_any_correct_answer_is_doubted(tmp_path: Path, protocol: str) -> None:
    """Ids of another list look right, and all are misses."""
    column, right, wrong, option = {
        "retrieval": ("images", HEX[1], HEX[2], "--index"),
        "recognition": ("landmarks", "1", "2 0.5", "--landmarks"),
    }[protocol]
    solution = write(tmp_path / "solution.csv", f"id,{column},Usage\n{HEX[7]},{right},Public\n")
    answers = write(tmp_path / "answers.csv", f"id,{column}\n{HEX[7]},{wrong}\n")
    doubt = f"none of the 1 different ids is a correct answer of the solution; {option} checks that they exist"
    code, output = hgld(protocol, answers, solution)
    assert code == 0 and doubt in output.splitlines()[0]
    done = CliRunner().invoke(main, ["evaluate", protocol, str(answers), str(solution), "--json"])
    assert doubt in done.stderr and json.loads(done.stdout)["Public"]["queries"] == 1
    known = write(tmp_path / "known.csv", f"{'id' if protocol == 'retrieval' else 'landmark_id'}\n{wrong.split()[0]}\n")
    code, output = hgld(protocol, answers, solution, option, known)
    assert code == 0 and "none of" not in output


@pytest.mark.parametrize("protocol", ["revisited", "retrieval"])
def test_the_scores_of_each_query_never_replace_an_input(truth: Path, tmp_path: Path, protocol: str) -> None:
    first, second = truth, save(tmp_path / "ranks.npy", np.array([[0, 3, 1, 2], [3, 0, 1, 2]]))
    if protocol == "retrieval":
        first = write(tmp_path / "answers.csv", "id,images\nq1,a\n")
        second = write(tmp_path / "solution.csv", "id,images,Usage\nq1,a,Public\n")
    link = tmp_path / "link.csv"
    link.symlink_to(second)
    before = [path.read_bytes() for path in (first, second)]
    for out in (first, second, link):
        code, output = hgld(protocol, first, second, "--per-query", out)
        assert code == 1 and "is the input" in output
    assert [path.read_bytes() for path in (first, second)] == before and link.is_symlink()
