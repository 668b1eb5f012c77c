"""Names from outside in the terminal: whatever a file holds, nothing in it acts, hides, reorders, or forges a line."""

import io
import json
import pickle
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation.files import md5
from hgld.foundation.tables import write_parquet
from hgld.hierarchy.curation.verdict import COLUMNS
from hgld.pipeline.review.desk import Desk
from hgld.pipeline.review.queue_items import Item
from hgld.pipeline.review.terminal.session import ReviewSession
from tests.paths import ROOT

# a window title, colours, C1 controls, text from right to left, an invisible character, and a line of one's own
NAME = "Lake\x1b]0;title\x07\x1b[31m\x9b2J\u202edlrow\u200b\u2028x\nFORGED: all is well\r\n"
ACTING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def _quoted(*values: str) -> str:
    return ",".join('"' + value.replace('"', '""') + '"' for value in values) + "\n"


def _csv_header(_: Path) -> list[str]:
    Path("a.csv").write_text(_quoted("landmark_id", NAME), newline="")
    return ["assign", "a.csv", "--endpoint", "http://127.0.0.1:9/q", "-o", "out.csv"]


def _csv_row(_: Path) -> list[str]:
    Path("a.csv").write_text("landmark_id,category\n" + _quoted("1", NAME, "too many"), newline="")
    return ["assign", "a.csv", "--endpoint", "http://127.0.0.1:9/q", "-o", "out.csv"]


def _csv_column(_: Path) -> list[str]:
    Path("a.csv").write_text(_quoted("name", NAME) + "x,y\n", newline="")
    return ["classify", "a.csv", "--column", "nam", "-o", "out.csv"]


def _labels(_: Path) -> list[str]:
    header = ("landmark_id", "hierarchical_label", "score", "evidence")
    for name, label in (("a.csv", NAME), ("b.csv", f"other {NAME}")):
        Path(name).write_text(_quoted(*header) + _quoted("1", label, "0.5", NAME) + _quoted("2", NAME, "0.5", NAME))
    return ["compare", "a.csv", "b.csv"]


def _profile(_: Path) -> list[str]:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text + f"\n{json.dumps(NAME)}: {{}}\n", encoding="utf-8")
    return ["build", "--profile", "absent"]


def _setting(_: Path) -> list[str]:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("  build:\n", f"  build:\n    {json.dumps(NAME)}: 1\n", 1))
    return ["build"]


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, (NAME,)


def _pickle(_: Path) -> list[str]:
    data = pickle.dumps(_Evil(), protocol=2).replace(b"c__builtin__\nprint\n", f"cevil\n{NAME[:30]}\n".encode())
    Path("gnd.pkl").write_bytes(data)
    Path("ranks.npy").write_bytes(b"")
    return ["evaluate", "revisited", "gnd.pkl", "ranks.npy"]


def _submission(_: Path) -> list[str]:
    Path("sub.csv").write_text(_quoted("id", "images") + _quoted(NAME, NAME), newline="")
    Path("sol.csv").write_text(_quoted("id", "images", "Usage") + _quoted("0" * 16, NAME, NAME), newline="")
    return ["evaluate", "retrieval", "sub.csv", "sol.csv"]


def _file_name(_: Path) -> list[str]:
    return ["compare", f"no {NAME}.csv".replace("/", ""), "b.csv"]


def _curated(_: Path) -> list[str]:
    """The taxonomy, the lexicons and a verdict with the name in every column of their second row."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("taxonomy: hierarchy/curated", "taxonomy: curated"), encoding="utf-8")
    Path("curated").mkdir()
    for path in (ROOT / "hierarchy" / "curated").glob("*.csv"):
        header, row, rest = path.read_text(encoding="utf-8").split("\n", 2)
        columns = header.count(",") + 1
        content = f"{header}\n{row}\n{_quoted(*[NAME] * columns)}{rest}"
        Path("curated", path.name).write_text(content, encoding="utf-8", newline="")
    return ["check"]


def _verdict(_: Path) -> list[str]:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("taxonomy: hierarchy", f"taxonomy: {ROOT}/hierarchy"), encoding="utf-8")
    Path("review").mkdir()
    Path("review/ana.csv").write_text(_quoted(*COLUMNS) + _quoted(*[NAME] * len(COLUMNS)), encoding="utf-8", newline="")
    return ["check"]


def _card(_: Path) -> list[str]:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text, encoding="utf-8")
    Path("DATA_CARD.md").write_text(f"<!-- numbers:wikidata {NAME.replace('>', '')} -->\nx\n<!-- /numbers -->\n")
    Path("data/sample/release").mkdir(parents=True)
    Path("data/sample/build").mkdir()
    for name in ("release/card.json", "build/metrics.json"):
        Path("data/sample", name).write_text("{}")
    return ["card", "--check"]


def _command(_: Path) -> list[str]:
    return [NAME]


def _option(_: Path) -> list[str]:
    return [f"--{NAME}"]


def _option_of_command(_: Path) -> list[str]:
    return ["build", f"--{NAME}"]


def _extra_argument(_: Path) -> list[str]:
    return ["show", "1", NAME]


def _subcommand(_: Path) -> list[str]:
    return ["evaluate", NAME]


def _value(_: Path) -> list[str]:
    return ["review", "--limit", NAME]


def _output_file(_: Path) -> list[str]:
    Path("a.csv").write_text("name\nparish church\n")
    return ["classify", "a.csv", "--column", "name", "-o", NAME.replace("/", "")]


def _input_file(_: Path) -> list[str]:
    name = NAME.replace("/", "")
    Path(name).write_text("id,images\n" + "0" * 16 + "," + "1" * 16 + "\n")
    Path("sol.csv").write_text("id,images,Usage\n" + "0" * 16 + "," + "1" * 16 + ",Public\n")
    return ["evaluate", "retrieval", name, "sol.csv"]


CASES: list[Callable[[Path], list[str]]] = [
    _csv_header, _csv_row, _csv_column, _labels, _profile, _setting, _pickle, _submission, _file_name,
    _curated, _verdict, _card, _command, _option, _option_of_command, _extra_argument, _subcommand, _value,
    _output_file, _input_file,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_no_name_acts_on_the_terminal_or_forges_a_line(
    case: Callable[[Path], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_table
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, case(tmp_path))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    _is_plain(done.output)
    fault_table.add("hostile names", case.__name__.strip("_"), "shown, not obeyed")


def _is_plain(text: str) -> None:
    assert not ACTING.search(text), repr(text)
    assert "\nFORGED" not in text and not text.startswith("FORGED"), text
    assert "Lake" in text or "x1b" in text


def test_an_annotator_sees_the_characters_of_a_hostile_queue(tmp_path: Path) -> None:
    labels = ("lake", f"lake {NAME}")
    item = Item(NAME, labels[1], NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME)
    session = ReviewSession(Desk([item], labels, "ana", tmp_path, "sample"))
    _is_plain(item.text("[1/1]").replace("\n  ", " "))
    _is_plain(session.answer("s"))


def test_members_of_a_tar_are_shown_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        (ROOT / "params.yaml").read_text(encoding="utf-8").replace("index: 1", "index: 0").replace("test: 1", "test: 0")
    )
    Path("params.yaml").write_text(text, encoding="utf-8")
    folder = tmp_path / "sources/sample/metadata/train"
    folder.mkdir(parents=True)
    jpeg = b"\xff\xd8" + b"\0" * 40 + b"\xff\xd9"
    with tarfile.open(folder / "images_000.tar", "w") as archive:
        for name in ("0000000000000000.jpg", NAME):
            member = tarfile.TarInfo(name)
            member.size = len(jpeg)
            archive.addfile(member, io.BytesIO(jpeg))
    digest = md5(folder / "images_000.tar")
    done = CliRunner().invoke(main, ["images", "--accept-md5", f"train/images_000.tar={digest}"])
    assert done.exit_code == 0, done.output
    _is_plain(done.output)


def test_evidence_is_shown_and_not_obeyed(proposed, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("taxonomy: hierarchy", f"taxonomy: {ROOT}/hierarchy"))
    Path("review").mkdir()
    labels = proposed.params.data / "wikidata" / "class_labels.parquet"
    write_parquet(pd.DataFrame({"qid": ["Q16970"], "label": [NAME]}), labels)
    done = CliRunner().invoke(main, ["show", "Red Chapel"])
    assert done.exit_code == 0, done.output
    _is_plain(done.output)
