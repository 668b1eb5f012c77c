"""`hgld thumbnails`: the URLs, the rules of Wikimedia that it keeps, and what it stores, against a real server."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from hgld.cli import main
from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv, write_csv, write_parquet
from hgld.pipeline.acquisition import thumbnails as client
from hgld.pipeline.acquisition.thumbnails import WIDTHS, Budget, BudgetSpentError, thumbnail_url, widths_to_try
from hgld.pipeline.commands import thumbnails as command
from hgld.pipeline.dataset.thumbnail_folder import COLUMNS
from hgld.pipeline.stages import queue
from tests.fault_table import FaultTable
from tests.hostile_server import Answer, HostileServer, Request, short_after
from tests.paths import ROOT
from tests.pipeline.conftest import World

AGENT = "hgld-tests/0.1 (ana@museum.be)"
KILLS = int(os.environ.get("HGLD_KILLS", "8"))
HOST = "https://upload.wikimedia.org/wikipedia/commons"
LAKE, TORN, PURPLE = "14", "16", "15"  # landmarks of the world; only the first two are in the queue


def picture(form: str = "JPEG", colour: str = "blue", size: tuple[int, int] = (60, 40)) -> bytes:
    data = BytesIO()
    Image.new("RGB", size, colour).save(data, form)
    return data.getvalue()


JPEG = picture()


@pytest.mark.parametrize(("original", "expected"), [
    ("a/ab/Church.jpg", "a/ab/Church.jpg/500px-Church.jpg"),
    ("0/0f/DSC_0001.JPG", "0/0f/DSC_0001.JPG/500px-DSC_0001.JPG"),
    ("a/ab/Two.dots.jpeg", "a/ab/Two.dots.jpeg/500px-Two.dots.jpeg"),
    ("a/ab/Plan.png", "a/ab/Plan.png/500px-Plan.png"),
    ("a/ab/Arms.svg", "a/ab/Arms.svg/500px-Arms.svg.png"),
    ("a/ab/Scan.tif", "a/ab/Scan.tif/lossy-page1-500px-Scan.tif.jpg"),
    ("a/ab/Scan.TIFF", "a/ab/Scan.TIFF/lossy-page1-500px-Scan.TIFF.jpg"),
    ("a/ab/Guide.pdf", "a/ab/Guide.pdf/page1-500px-Guide.pdf.jpg"),
    ("a/ab/Paris%2C_France.jpg", "a/ab/Paris%2C_France.jpg/500px-Paris%2C_France.jpg"),
    ("a/ab/Paris,_France.jpg", "a/ab/Paris,_France.jpg/500px-Paris,_France.jpg"),
    ("a/ab/Gate_(old).jpg", "a/ab/Gate_(old).jpg/500px-Gate_(old).jpg"),
    ("a/ab/Gate_%28old%29.jpg", "a/ab/Gate_%28old%29.jpg/500px-Gate_%28old%29.jpg"),
    ("a/ab/Musée_d'Orsay.jpg", "a/ab/Mus%C3%A9e_d'Orsay.jpg/500px-Mus%C3%A9e_d'Orsay.jpg"),
    ("a/ab/Mus%C3%A9e_d%27Orsay.jpg", "a/ab/Mus%C3%A9e_d%27Orsay.jpg/500px-Mus%C3%A9e_d%27Orsay.jpg"),
    ("a/ab/%E6%9D%B1%E4%BA%AC.jpg", "a/ab/%E6%9D%B1%E4%BA%AC.jpg/500px-%E6%9D%B1%E4%BA%AC.jpg"),
    ("a/ab/Why%3F.jpg", "a/ab/Why%3F.jpg/500px-Why%3F.jpg"),
    ("a/ab/100%.jpg", "a/ab/100%25.jpg/500px-100%25.jpg"),
    ("a/ab/A b!&=@+$;~.jpg", "a/ab/A%20b!&=@+$;~.jpg/500px-A%20b!&=@+$;~.jpg"),
    (f"a/ab/{'x' * 156}.jpg", f"a/ab/{'x' * 156}.jpg/500px-{'x' * 156}.jpg"),
    (f"a/ab/{'x' * 157}.jpg", f"a/ab/{'x' * 157}.jpg/500px-thumbnail.jpg"),
    (f"a/ab/{'%C3%A9' * 79}.TIF", f"a/ab/{'%C3%A9' * 79}.TIF/lossy-page1-500px-thumbnail.tif.jpg"),
])  # fmt: skip
def test_the_url_of_a_thumbnail(original: str, expected: str) -> None:
    for scheme in ("https", "http"):
        url = f"{scheme}://upload.wikimedia.org/wikipedia/commons/{original}"
        assert thumbnail_url(url, 500) == f"{HOST}/thumb/{expected}"


@pytest.mark.parametrize("url", [
    "drawing:003720a4e8b1494e",
    "https://example.org/wikipedia/commons/a/ab/Church.jpg",
    "https://upload.wikimedia.org.example.org/wikipedia/commons/a/ab/Church.jpg",
    "https://upload.wikimedia.org@example.org/wikipedia/commons/a/ab/Church.jpg",
    "https://upload.wikimedia.org/wikipedia/en/a/ab/Church.jpg",
    "https://upload.wikimedia.org/wikipedia/commons/a/bb/Church.jpg",
    "https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/Church.jpg/500px-Church.jpg",
    "https://upload.wikimedia.org/wikipedia/commons/a/ab/../../Church.jpg",
    "https://upload.wikimedia.org/wikipedia/commons/a/ab/Church.jpg?download",
    "https://upload.wikimedia.org/wikipedia/commons/a/ab/Song.ogg",
    "https://upload.wikimedia.org/wikipedia/commons/a/ab/Moving.gif",
    "ftp://upload.wikimedia.org/wikipedia/commons/a/ab/Church.jpg",
    "",
])  # fmt: skip
def test_other_urls_have_no_thumbnail(url: str) -> None:
    assert thumbnail_url(url, 500) is None


def test_widths_are_standard_and_go_down_at_most_twice() -> None:
    assert [widths_to_try(width) for width in (1280, 60, 20)] == [[1280, 960, 500], [60, 40, 20], [20]]
    assert all(set(widths_to_try(width)) <= set(WIDTHS) for width in WIDTHS)


def test_a_budget_is_one_of_a_utc_day() -> None:
    days = ["2026-01-31"]
    budget = Budget(3, {"2026-01-31": 2, "2026-01-30": 9}, lambda: days[-1])
    budget.take()
    with pytest.raises(BudgetSpentError):
        budget.take()
    days.append("2026-02-01")
    budget.take()
    assert not budget.spent


class Commons:
    """A world with a queue, and a server that has thumbnails of its images."""

    def __init__(self, world: World, server: HostileServer) -> None:
        self.world, self.server = world, server
        rows = {name: ["", ""] for name in queue.COLUMNS} | {"category": ["Unknown Lake", "Torn Place"]}
        folder = world.params.data / "queue"
        folder.mkdir(parents=True)
        write_csv(pd.DataFrame(rows)[queue.COLUMNS], folder / "queue.csv")
        self.images: dict[str, str] = {}
        self.set_images({LAKE: 3, TORN: 2, PURPLE: 2})

    def set_images(self, counts: dict[str, int], name: str = "Photo_{}.jpg") -> None:
        rows = [
            (f"{int(landmark):02d}{number:014x}", f"{HOST}/a/ab/{name.format(f'{landmark}_{number}')}", landmark)
            for landmark, count in counts.items()
            for number in range(count)
        ]
        self.images = {image_id: url for image_id, url, landmark in rows if landmark != PURPLE}
        table = pd.DataFrame(rows, columns=["id", "url", "landmark_id"]).sort_values("id")
        write_parquet(table, self.world.params.data / "metadata" / "train.parquet")
        for image_id in self.images:
            self.server.files[self.path(image_id)] = JPEG

    def path(self, image_id: str, width: int = 500) -> str:
        return (thumbnail_url(self.images[image_id], width) or "").removeprefix("https://upload.wikimedia.org")

    def run(self, **settings: Any) -> None:
        given = {"base_url": self.server.base, "pause_s": 0.0, "timeout_s": 2.0, "retries": 2} | settings
        command.thumbnails(self.world.params, command.Request(**({"user_agent": AGENT} | given)))

    @property
    def folder(self) -> Path:
        return self.world.params.data / "thumbnails"

    def rows(self) -> pd.DataFrame:
        return read_csv(self.folder / "manifest.csv", COLUMNS).set_index("id")

    def status(self) -> dict[str, str]:
        return dict(self.rows()["status"])

    def stored(self) -> set[str]:
        return {path.stem for path in self.folder.glob("??/*.jpg")}


@pytest.fixture
def commons(world: World, server: HostileServer) -> Commons:
    return Commons(world, server)


def test_the_queue_only_with_attribution_and_never_twice(commons: Commons, capsys: pytest.CaptureFixture[str]) -> None:
    first, *_ = commons.images
    credits = {"id": [first], "url": ["u"], "author": ["Ana,\nLopes"], "license": ["CC0"], "title": ["File:A"]}
    write_parquet(pd.DataFrame(credits), commons.world.params.data / "metadata" / "train_attribution.parquet")
    commons.run()
    assert capsys.readouterr().out == (
        "5 fetched, 0 missing, 0 broken, 0 skipped (not on Wikimedia Commons), 0 left for the next run\n"
    )
    assert commons.stored() == set(commons.images) and {r.path for r in commons.server.requests} == {
        commons.path(image_id) for image_id in commons.images
    }
    assert {request.headers["User-Agent"] for request in commons.server.requests} == {AGENT}
    assert (commons.folder / first[:2] / f"{first}.jpg").read_bytes() == JPEG
    row = commons.rows().loc[first]
    assert list(commons.rows().index) == sorted(commons.images)
    assert dict(row) == {
        "url": thumbnail_url(commons.images[first], 500), "width": "500", "bytes": str(len(JPEG)),
        "md5": hashlib.md5(JPEG).hexdigest(), "status": "ok", "fetched_on": client.utc_day(),
        "author": "Ana,\nLopes", "title": "File:A", "license": "CC0", "requests": "1",
    }  # fmt: skip
    before = (commons.folder / "manifest.csv").read_bytes()
    commons.run()
    assert len(commons.server.requests) == 5 and (commons.folder / "manifest.csv").read_bytes() == before


def test_what_is_in_the_tars_counts_and_is_not_fetched(commons: Commons) -> None:
    lake = [image_id for image_id in commons.images if image_id.startswith(LAKE)]
    folder = commons.world.params.data / "images"
    index = pd.DataFrame({"id": lake[:1], "split": ["train"], "tar": ["train/images_000.tar"], "offset": [0],
                          "size": [1]})  # fmt: skip
    folder.mkdir()
    write_parquet(index, folder / "images.parquet")
    (folder / "train").mkdir()
    (folder / "train/images_000.tar").write_bytes(b"")
    commons.run(per_landmark=2)
    assert sorted(commons.status()) == sorted([lake[1], *(one for one in commons.images if one.startswith(TORN))])
    (folder / "train/images_000.tar").unlink()  # indexed, but no longer on disk
    commons.run(per_landmark=2)
    assert commons.status()[lake[0]] == "ok"


def test_other_hosts_are_skipped_and_another_image_takes_the_place(
    commons: Commons, capsys: pytest.CaptureFixture[str]
) -> None:
    path = commons.world.params.data / "metadata" / "train.parquet"
    table = pd.read_parquet(path)
    first, second, third = (image_id for image_id in commons.images if image_id.startswith(LAKE))
    table.loc[table["id"] == first, "url"] = f"drawing:{first}"
    write_parquet(table, path)
    commons.run(per_landmark=1)
    assert commons.status()[first] == "skipped" and commons.status()[second] == "ok" and third not in commons.status()
    assert "2 fetched, 0 missing, 0 broken, 1 skipped" in capsys.readouterr().out


def test_a_small_original_has_a_smaller_thumbnail_or_none(commons: Commons) -> None:
    one, two, three, four, _ = commons.images
    for image_id in (one, two, three):
        del commons.server.files[commons.path(image_id)]
    commons.server.files[commons.path(one, 330)] = JPEG
    commons.server.script(commons.path(two), Answer(400))
    commons.server.files[commons.path(two, 250)] = JPEG
    commons.server.files[commons.path(three, 120)] = JPEG  # the third step
    commons.run(per_landmark=3)
    rows = commons.rows()
    found = {i: tuple(rows.loc[i, ["status", "width", "requests"]]) for i in (one, two, three, four)}
    assert found == {
        one: ("ok", "330", "2"), two: ("ok", "250", "3"), three: ("missing", "250", "3"), four: ("ok", "500", "1"),
    }  # fmt: skip
    sent = len(commons.server.requests)
    commons.run(per_landmark=3)
    assert len(commons.server.requests) == sent
    commons.run(per_landmark=3, again=True, width=120)
    assert commons.status()[three] == "ok"


def test_the_budget_is_counted_over_the_runs_of_a_day(commons: Commons, capsys: pytest.CaptureFixture[str]) -> None:
    first, *_ = commons.images
    del commons.server.files[commons.path(first)]
    commons.server.files[commons.path(first, 330)] = JPEG
    commons.run(budget=3)
    assert len(commons.server.requests) == 3
    assert capsys.readouterr().out.endswith("3 left for tomorrow\n")
    commons.run(budget=4)
    commons.run(budget=4)
    assert len(commons.server.requests) == 4 and capsys.readouterr().out.endswith("2 left for tomorrow\n")
    commons.run(budget=4, today=lambda: "2099-01-01")
    assert len(commons.server.requests) == 6 and set(commons.status().values()) == {"ok"}
    assert Counter(commons.rows()["fetched_on"])["2099-01-01"] == 2


def test_a_budget_that_ends_between_two_widths_is_counted(commons: Commons) -> None:
    first, *_ = commons.images
    del commons.server.files[commons.path(first)]
    commons.set_images({LAKE: 1})
    del commons.server.files[commons.path(first)]
    commons.server.files[commons.path(first, 330)] = JPEG
    commons.run(budget=1)
    assert tuple(commons.rows().loc[first, ["status", "requests"]]) == ("unfinished", "1")
    commons.run(budget=2)
    assert tuple(commons.rows().loc[first, ["status", "requests"]]) == ("unfinished", "2")
    commons.run(budget=4)
    assert tuple(commons.rows().loc[first, ["status", "requests"]]) == ("ok", "4")
    assert len(commons.server.requests) == 4


def test_retry_after_holds_back_every_request(commons: Commons) -> None:
    first, *_ = commons.images
    commons.server.script(commons.path(first), Answer(429, headers={"Retry-After": "0.6"}))
    commons.run(pause_s=0.3)
    refused, again = (request.at for request in commons.server.asked(commons.path(first)))
    held = [request for request in commons.server.requests if refused < request.at < refused + 0.55]
    assert again - refused >= 0.6 and len(held) <= 1  # the other thread may have begun one
    assert set(commons.status().values()) == {"ok"} and commons.rows().loc[first, "requests"] == "2"


def test_requests_are_a_pause_apart(commons: Commons) -> None:
    commons.run(pause_s=0.2)
    times = [request.at for request in commons.server.requests]
    assert times[-1] - times[0] >= 0.2 * (len(times) - 1) - 0.3  # the first may arrive late


@pytest.mark.parametrize(("answer", "message"), [
    (Answer(429), r"HTTP 429 Too Many Requests \(tried 3 times\); try again later"),
    (Answer(429, headers={"Retry-After": "86400"}), "asks to wait 86,400 s"),
    (Answer(503, headers={"Retry-After": "86400"}), "asks to wait 86,400 s"),
    (Answer(403), r"refused \(HTTP 403 Forbidden\)"),
])  # fmt: skip
def test_a_server_that_throttles_or_refuses_stops_the_run(
    answer: Answer, message: str, commons: Commons, capsys: pytest.CaptureFixture[str], fault_table: FaultTable
) -> None:
    commons.set_images({LAKE: 40})
    commons.server.always = lambda request, server: answer
    with pytest.raises(HgldError, match=message) as caught:
        commons.run(per_landmark=40)
    assert "\n" not in str(caught.value)
    assert len(commons.server.requests) <= 2 * 3 and commons.stored() == set()
    assert capsys.readouterr().out.endswith("40 left for the next run\n")
    assert set(commons.status().values()) == {"unfinished"}
    assert sum(map(int, commons.rows()["requests"])) == len(commons.server.requests)
    fault_table.add("thumbnails", f"HTTP {answer.status} {dict(answer.headers)} for ever", str(caught.value))
    commons.server.always = None
    commons.run(per_landmark=40)
    assert set(commons.status().values()) == {"ok"}


OVERSIZED = b"\xff\xd8\xff" + bytes(client.MAX_BYTES)


@pytest.mark.parametrize(("name", "answer"), [
    ("a web page", Answer(200, b"<html>log in</html>")),
    ("nothing", Answer(200, b"")),
    ("a GIF", Answer(200, picture("GIF"))),
    ("a TIFF", Answer(200, picture("TIFF"))),
    ("a JPEG cut off at the source", Answer(200, JPEG[:300])),
    ("a JPEG of too many pixels", Answer(200, JPEG.replace(bytes([0, 40, 0, 60]), b"\xff\xff\xff\xff"))),
    ("announced as too large", Answer(200, JPEG, length=client.MAX_BYTES + 1)),
    ("larger than 5 MB, in chunks", Answer(200, OVERSIZED, chunked=True)),
    ("a redirect elsewhere", Answer(302, headers={"Location": "http://127.0.0.1:9/x.jpg"})),
    ("a redirect to another scheme", Answer(302, headers={"Location": "ftp://127.0.0.1/x.jpg"})),
    ("a redirect to no URL", Answer(302, headers={"Location": "http://[/x.jpg"})),
    ("an unknown status", Answer(418)),
    ("gzip that nobody asked for", Answer(200, b"\x1f\x8b\x08\x00", {"Content-Encoding": "gzip"})),
])  # fmt: skip
def test_what_is_no_picture_is_broken_and_never_stored(
    name: str, answer: Answer, commons: Commons, fault_table: FaultTable, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = commons.images
    commons.server.script(commons.path(first), answer)
    commons.run()
    assert commons.status() == {first: "broken"} | dict.fromkeys(others, "ok")
    assert commons.stored() == set(others) and not list(commons.folder.rglob("*.part"))
    assert commons.rows().loc[first, "bytes"] == "0" and "4 fetched, 0 missing, 1 broken" in capsys.readouterr().out
    fault_table.add("thumbnails", name, "broken, not stored; the others are fetched")
    commons.run()
    assert len(commons.server.asked(commons.path(first))) == 1
    commons.run(again=True)
    assert commons.status()[first] == "ok"


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_other_formats_are_stored_as_sent(form: str, commons: Commons) -> None:
    first, *_ = commons.images
    commons.server.files[commons.path(first)] = picture(form)
    commons.run()
    assert (commons.folder / first[:2] / f"{first}.jpg").read_bytes() == picture(form)


def test_redirects_on_the_same_host_are_requests_of_the_budget(commons: Commons) -> None:
    first, second, *_ = commons.images
    commons.server.script(commons.path(first), Answer(301, headers={"Location": "/renamed.jpg"}))
    commons.server.files["/renamed.jpg"] = JPEG
    commons.server.script(commons.path(second), Answer(301, headers={"Location": "/loop.jpg"}))
    commons.server.script("/loop.jpg", *[Answer(301, headers={"Location": "/loop.jpg"})] * 9)
    commons.run()
    rows = commons.rows()
    assert tuple(rows.loc[first, ["status", "requests"]]) == ("ok", "2")
    assert tuple(rows.loc[second, ["status", "requests"]]) == ("broken", "4")


def test_a_body_that_is_cut_off_is_tried_again(commons: Commons) -> None:
    first, second, *_ = commons.images
    commons.server.script(commons.path(first), short_after(100))
    commons.server.script(commons.path(second), *[Answer(500)] * 3)
    commons.run()
    assert commons.rows().loc[first, "requests"] == "2" and commons.status()[first] == "ok"
    assert commons.status()[second] == "unfinished"  # one image that the server cannot make stops no run
    assert Counter(commons.status().values()) == {"ok": 4, "unfinished": 1}


def test_a_login_page_for_every_image_stops_the_run(commons: Commons) -> None:
    commons.set_images({LAKE: 40})
    commons.server.always = lambda request, server: Answer(200, b"<html>log in</html>")
    with pytest.raises(HgldError, match="10 failures in a row; a proxy or a login page"):
        commons.run(per_landmark=40)
    assert len(commons.server.requests) <= 12


class Busy:
    """Answers slowly; the most requests that were in progress at once."""

    def __init__(self, answer: Callable[[Request, HostileServer], Answer], seconds: float) -> None:
        self._answer, self._seconds, self._lock = answer, seconds, threading.Lock()
        self.now = self.most = 0

    def __call__(self, request: Request, server: HostileServer) -> Answer:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self._seconds)
        with self._lock:
            self.now -= 1
        return self._answer(request, server)


def test_at_most_two_requests_at_a_time(commons: Commons) -> None:
    commons.set_images({LAKE: 12})
    busy = Busy(lambda request, server: Answer(200, JPEG), 0.05)
    commons.server.always = busy
    commons.run(per_landmark=12)
    assert busy.most == 2 and len(commons.server.requests) == 12


_KILLED = """
import sys
from pathlib import Path
from hgld.foundation.settings import load_params
from hgld.pipeline.commands.thumbnails import Request, thumbnails
print("ready", flush=True)
thumbnails(load_params(Path({params!r}), "sample"), Request(user_agent={agent!r}, base_url={base!r}, per_landmark=60,
           pause_s=0.0))
"""


def test_a_killed_run_loses_at_most_what_was_in_flight(commons: Commons, fault_table: FaultTable) -> None:
    commons.set_images({LAKE: 60})
    gone = sorted(commons.images)[::7]
    for image_id in gone:
        del commons.server.files[commons.path(image_id)]
    commons.server.always = Busy(_found, 0.01)
    code = _KILLED.format(params=str(ROOT / "params.yaml"), agent=AGENT, base=commons.server.base)
    draw, kills = random.Random(7), 0
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        end = len(commons.server.requests) + draw.randrange(1, 14)
        while process.poll() is None and len(commons.server.requests) < end:
            time.sleep(0.001)
        kills += process.poll() is None
        process.kill()
        process.communicate()
        for path in commons.folder.glob("??/*.jpg"):
            assert path.read_bytes() == JPEG
        if (commons.folder / "manifest.csv").is_file():
            commons.rows()
    commons.run(per_landmark=60)
    expected = {image_id: "missing" if image_id in gone else "ok" for image_id in commons.images}
    assert commons.status() == expected and commons.stored() == set(commons.images) - set(gone)
    asked = Counter(request.path for request in commons.server.requests)
    repeated = Counter({path: count - 1 for path, count in asked.items()})
    there = sum(repeated[commons.path(image_id)] for image_id in set(commons.images) - set(gone))
    assert there <= 2 * kills
    assert repeated.total() <= 2 * kills * 3  # up to three widths of an image in flight
    assert not list(commons.folder.rglob("*.part"))
    fault_table.add("thumbnails", f"SIGKILL at {kills} random moments", "only requests in flight are repeated")


def _found(request: Request, server: HostileServer) -> Answer:
    return Answer(200, JPEG) if request.path in server.files else Answer(404)


def _invoke(*words: str) -> str:
    done = CliRunner().invoke(main, ["thumbnails", *words])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    return done.output


def test_the_command_line_needs_a_contact_and_a_standard_width(world: World) -> None:
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    assert "requires a contact address in the user agent, and 'hgld-sample' has none" in _invoke()
    assert "requires a contact address" in _invoke("--user-agent", "hgld (you@example.org)")
    assert "--width 501: Wikimedia has thumbnails of 20, 40, 60, 120" in _invoke(
        "--width", "501", "--user-agent", AGENT
    )
    assert "no queue data/sample/queue/queue.csv; run the stage" in _invoke("--user-agent", AGENT)


def test_the_command_line_fetches(commons: Commons) -> None:
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    words = ["--user-agent", AGENT, "--base-url", commons.server.base, "--pause", "0", "--per-landmark", "1"]
    done = CliRunner().invoke(main, ["thumbnails", *words, "--width", "250"])
    assert done.exit_code == 0, done.output
    assert "0 fetched, 2 missing" in done.output  # the server has 500 pixels only
    assert {request.path.split("/")[-1].split("px")[0] for request in commons.server.requests} == {"250", "120", "60"}


@pytest.mark.parametrize("text", ["id\n", "ID", "garbage", "negative", "double"])
def test_a_damaged_manifest_is_named(text: str, commons: Commons) -> None:
    commons.run()
    path = commons.folder / "manifest.csv"
    lines = path.read_text().splitlines()
    damaged = {
        "id\n": "id\n", "ID": "\n".join([lines[0], lines[1].replace(lines[1][:16], "../../../etc/pass")]),
        "garbage": "\x00\xff", "negative": "\n".join([lines[0], lines[1].replace(",500,", ",-1,")]),
        "double": "\n".join([lines[0], lines[1], lines[1]]),
    }  # fmt: skip
    path.write_text(damaged[text])
    with pytest.raises(HgldError, match=r"manifest\.csv"):
        commons.run()


def test_only_one_run_at_a_time(commons: Commons) -> None:
    held = threading.Event()

    def answer(request: Request, server: HostileServer) -> Answer:
        held.set()
        time.sleep(0.5)
        return Answer(200, JPEG)

    commons.server.always = answer
    thread = threading.Thread(target=commons.run)
    thread.start()
    assert held.wait(10)
    with pytest.raises(HgldError, match="another run is writing there"):
        commons.run()
    thread.join()
