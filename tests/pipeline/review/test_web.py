"""The server of the review page: what it answers, whom it answers, and that what it calls saved is on disk."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
import requests
from PIL import Image

from hgld.foundation.tables import write_csv, write_parquet
from hgld.hierarchy.curation.verdict import Verdict, utc_now
from hgld.hierarchy.curation.verdicts import append_verdict, load_verdicts
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.dataset.thumbnail_folder import Thumbnail
from hgld.pipeline.review.web.server import listen
from hgld.pipeline.stages.queue import COLUMNS
from tests.paths import ROOT
from tests.pipeline.conftest import BASIN, TARN
from tests.pipeline.review.conftest import Served

LABELS = load_taxonomy(ROOT / "hierarchy/curated").natures
QUEUE = Path("data/sample/queue/queue.csv")
Serve = Callable[..., Served]


def saved(annotator: str = "ana") -> list[tuple[str, str]]:
    table = load_verdicts(Path("review"), LABELS)
    table = table[table["annotator"] == annotator]
    return list(zip(table["category"], table["hierarchical_label"], strict=True))


def long_queue(count: int) -> None:
    rows = {name: [""] * count for name in COLUMNS}
    rows |= {
        "category": [f"Place {n:06d}" for n in range(count)],
        "images": ["1"] * count,
        "reason": ["doubtful"] * count,
        "kind": ["landmark"] * count,
    }
    rows |= {"suggested_label": ["church"] * count, "suggested_by": ["clip"] * count, "score": ["0.5"] * count}
    pd.DataFrame(rows)[COLUMNS].to_csv(QUEUE, index=False)


def test_a_session_from_the_first_item_to_the_file(serve: Serve) -> None:
    served = serve()
    session = served.get("/api/session").json()
    assert (session["annotator"], session["profile"], session["first"]) == ("ana", "sample", 0)
    items = [served.get(f"/api/items/{n}").json() for n in range(session["progress"]["items"])]
    first = items[0]
    assert first["name"] == 'Nowhere, "Purple"' and first["landmarks"] == ["train 15", "index 13"]
    assert [(c["label"], c["score"]) for c in first["candidates"]] == [("church", "0.5000"), ("lake", "")]
    assert len(first["pictures"]) == 3
    assert next(one["why"] for one in items if one["reason"] == "control").startswith("Drawn at random")
    answer = served.judge(0, "church", "seen on the spot").json()
    assert (answer["next"], answer["progress"]["judged"], answer["progress"]["images"]) == (1, 1, 3)
    assert served.judge(1, "").json()["message"] == "no label: saved"
    category = items[2]["category"]
    assert served.post("/api/items/2/skip", {"category": category}).json()["progress"]["skipped"] == 1
    assert saved() == [('Nowhere, "Purple"', "church"), (items[1]["category"], "")]
    undone = [served.post("/api/undo", {}).json() for _ in range(3)]
    assert [one["position"] for one in undone] == [2, 1, 0] and saved() == []
    assert served.post("/api/undo", {}).status_code == 409
    served.judge(0, "lake")
    assert served.stop().endswith("1 verdict in review/ana.csv; commit it and run: dvc repro\n")


def test_undo_goes_back_before_a_restart(serve: Serve) -> None:
    first = serve()
    first.judge(0, "church")
    first.judge(1, "lake")
    first.stop()
    second = serve()
    assert second.get("/api/session").json()["can_undo"] == 2
    assert second.post("/api/undo", {}).json()["position"] is None
    assert [label for _, label in saved()] == ["church"]
    second.post("/api/undo", {})
    assert saved() == []


def test_pictures_are_those_of_items_that_were_shown(serve: Serve) -> None:
    served = serve()
    unseen = served.get("/pictures/a000000150000000/320")
    assert unseen.status_code == 404
    (one, *_) = served.get("/api/items/0").json()["pictures"]
    for size in (320, 1280):
        picture = served.get(f"/pictures/{one}/{size}")
        assert picture.headers["content-type"] == "image/jpeg"
        with Image.open(BytesIO(picture.content)) as image:
            assert image.size == (24, 20)
    assert served.get(f"/pictures/{one}/99").status_code == 404
    for path in ("/pictures/..%2f..%2fparams.yaml/320", "/static/..%2fapp.py", "/static/app.py", "/pictures/zz/320"):
        assert served.get(path).status_code in (404, 422)


def test_any_landmark_can_be_judged(serve: Serve) -> None:
    Path("mine.csv").write_text("qid,why\nQ103,my doubt\n")
    served = serve("Red_Chapel", "13", "Category:Lago Azul", "Q102", "mine.csv")
    names = [served.get(f"/api/items/{n}").json()["name"] for n in range(6)]
    # 13 is an id of train and of index
    expected = ["Red Chapel", "Unknown Chapel", 'Nowhere, "Purple"', "Lago Azul", "Église Saint-Rouge", "Blue Lake"]
    assert names == expected
    chapel = served.get("/api/items/0").json()
    assert chapel["why"] == "You asked for it." and chapel["place"] == {
        "latitude": 41.69,
        "longitude": 44.8,
        "x": 44.8,
        "y": -41.69,
    }
    assert chapel["items"][0]["classes"] == [
        {"qid": "Q16970", "name": "church building", "label": "church", "outcome": "decides"}
    ]
    assert served.judge(3, "lake").status_code == 200 and saved() == [("Lago Azul", "lake")]


def test_an_annotator_gets_the_overlap_that_another_has_settled(serve: Serve) -> None:
    """queue.overlap is the fraction that everybody judges."""
    text = Path("params.yaml").read_text()
    served = serve()
    total = served.get("/api/session").json()["progress"]["items"]
    for position in range(total):
        served.judge(position, "lake")
    served.stop()
    Path("params.yaml").write_text(text.replace("    control: 5\n", "    control: 5\n    overlap: 1.0\n"))
    assert serve(annotator="bob").get("/api/session").json()["progress"]["items"] == total
    Path("params.yaml").write_text(text.replace("    control: 5\n", "    control: 5\n    overlap: 0.0\n"))
    long_queue(0)
    assert "Nothing to review" in _printed(serve, "bob")


def _printed(serve: Serve, annotator: str) -> str:
    with pytest.raises(AssertionError) as caught:
        serve(annotator=annotator)
    return str(caught.value)


def raw(served: Served, method: str, path: str, **headers: str) -> requests.Response:
    port, key = served.root.rpartition(":")[2], served.address.partition("token=")[2]
    cookie = {"Cookie": f"hgld-{port}={key}"}
    body = b"{}" if method == "POST" else None
    return requests.request(method, served.root + path, headers=cookie | headers, data=body, timeout=60)


def test_only_the_browser_of_this_run_is_answered(serve: Serve) -> None:
    served = serve()
    port = served.root.rpartition(":")[2]
    assert raw(served, "GET", "/api/session").status_code == 200
    assert raw(served, "GET", "/api/session", Host=f"localhost:{port}").status_code == 200
    refused = {
        "no key": {"Cookie": ""},
        "another key": {"Cookie": f"hgld-{port}=abc"},
        "a key that is not ASCII": {"Cookie": f"hgld-{port}=\xe9"},
        "another name of the host": {"Host": "attacker.example"},
        "another port": {"Host": "127.0.0.1:1"},
        "a page of another origin": {"Origin": "https://attacker.example"},
        "a sandboxed page": {"Origin": "null"},
        "a link on another page": {"Sec-Fetch-Site": "cross-site"},
        "another server of this machine": {"Sec-Fetch-Site": "same-site"},
    }
    for why, headers in refused.items():
        assert raw(served, "GET", "/api/session", **headers).status_code in (403, 421), why
    json = {"Content-Type": "application/json"}
    assert raw(served, "POST", "/api/undo").status_code == 415, "a form of another page"
    assert raw(served, "POST", "/api/undo", **json).status_code == 409
    body = served.client.post(served.root + "/api/undo", data=b" " * 70_000, headers=json, timeout=60)
    assert body.status_code == 413
    assert requests.get(served.root + "/?token=guess", timeout=60).status_code == 403


def test_two_servers_in_one_browser_do_not_take_each_others_key(serve: Serve) -> None:
    first, second = serve(), serve(annotator="bob")
    with requests.Session() as browser:
        for served in (first, second):
            assert browser.get(served.address, timeout=60).status_code == 200
        for served, name in ((first, "ana"), (second, "bob")):
            assert browser.get(served.root + "/api/session", timeout=60).json()["annotator"] == name


def test_every_answer_confines_the_page(serve: Serve) -> None:
    served = serve()
    for path in ("/", "/static/review.js", "/api/items/0", "/nowhere", "/api/items/999"):
        headers = served.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    page = served.get("/").text
    assert "<script>" not in page and "onclick" not in page and "style=" not in page
    assert "http://" not in page and "https://" not in page


def test_it_listens_on_the_loopback_address_only(serve: Serve) -> None:
    port = int(serve().root.rpartition(":")[2])
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in others:
        with socket.socket() as client:
            client.settimeout(2)
            assert client.connect_ex((str(address), port)) != 0 or address.startswith("127.")


@pytest.mark.parametrize(("body", "status"), [
    ({"category": "Else", "label": "church"}, 409),
    ({"label": "church"}, 422),
    ({"category": 'Nowhere, "Purple"', "label": "chruch"}, 409),
    ({"category": 'Nowhere, "Purple"', "label": "church", "comment": "a\tb"}, 409),
    ({"category": 'Nowhere, "Purple"', "label": "church", "comment": "\ud800"}, 422),
    ({"category": 'Nowhere, "Purple"', "label": "church", "comment": "x" * 2001}, 422),
    ([], 422),
    ("church", 422),
])  # fmt: skip
def test_an_answer_that_cannot_be_saved_is_refused_with_a_line(serve: Serve, body: object, status: int) -> None:
    served = serve()
    answer = served.post("/api/items/0/verdict", body)
    assert answer.status_code == status, answer.text
    assert 3 < len(answer.json()["error"]) < 600 and "\n" not in answer.json()["error"]
    assert not Path("review").exists()


def test_a_full_disk_is_said_and_nothing_is_called_saved(serve: Serve) -> None:
    served = serve(setup="import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))")
    assert served.judge(0, "church").status_code == 200
    failed = served.judge(1, "lake")
    assert failed.status_code == 503 and "File too large" in failed.json()["error"]
    assert len(saved()) == 1
    assert served.get("/api/session").json()["progress"]["judged"] == 1


def test_a_file_that_disappears_loses_no_later_verdict(serve: Serve) -> None:
    served = serve()
    served.judge(0, "church")
    Path("review/ana.csv").unlink()
    assert served.judge(1, "lake").status_code == 200
    assert [label for _, label in saved()] == ["lake"]
    served.post("/api/undo", {})
    gone = served.post("/api/undo", {})
    assert gone.status_code == 409 and "no longer in the file" in gone.json()["error"]


def test_four_clients_lose_nothing(serve: Serve) -> None:
    """Two annotators with two browsers each; every verdict that was called saved is found exactly once."""
    count = 60
    long_queue(count)
    servers = [serve(annotator=name) for name in ("ana", "ana", "bob", "bob")]

    def work(number: int) -> list[int]:
        positions = [position for position in range(count) if position % 2 == number % 2]
        return [position for position in positions if servers[number].judge(position, "church").status_code == 200]

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(work, range(4)))
    for name, numbers in (("ana", (0, 1)), ("bob", (2, 3))):
        said = sorted(f"Place {position:06d}" for number in numbers for position in done[number])
        assert said == sorted(category for category, _ in saved(name)) and len(said) == count


def test_a_kill_loses_nothing_that_was_called_saved(serve: Serve) -> None:
    long_queue(400)
    rng = random.Random(0)
    acknowledged = 0
    for _ in range(4):
        served = serve()
        served.get("/api/items/0")  # the tables are read now
        end = time.monotonic() + rng.uniform(0.3, 1.0)
        with ThreadPoolExecutor(1) as pool:
            killed = pool.submit(
                lambda served=served, end=end: (time.sleep(max(0, end - time.monotonic())), served.process.kill())
            )
            try:
                for position in range(400):
                    if served.judge(position, "church").status_code == 200:
                        acknowledged += 1
            except requests.RequestException:
                pass
            killed.result()
        rows = saved()
        assert acknowledged <= len(rows) <= acknowledged + 4  # one in flight at each kill
        assert len({category for category, _ in rows}) == len(rows)
    assert acknowledged > 10


def test_a_long_queue_is_served(serve: Serve) -> None:
    long_queue(100_000)
    served = serve()
    assert served.get("/api/session").json()["progress"]["items"] == 100_000
    assert served.get("/api/items/99999").json()["name"] == "Place 099999"


def test_a_picture_that_is_not_in_the_tars_is_a_thumbnail_with_its_credit(serve: Serve) -> None:
    folder = Path("data/sample")
    index = pd.read_parquet(folder / "images/images.parquet")
    gone, lost, kept = "a000000150000000", "a000000150000001", "b000000130000000"
    write_parquet(index[~index["id"].isin([gone, lost])], folder / "images/images.parquet")
    picture = folder / "thumbnails" / gone[:2] / f"{gone}.jpg"
    picture.parent.mkdir(parents=True)
    Image.new("RGBA", (50, 30), "red").save(picture, "PNG")
    author = "<b>Ana</b>\u202e\n"
    row = Thumbnail(gone, "https://u.org/x", 500, 9, "0" * 32, "ok", "2026-01-31", author, "", "CC BY 3.0")
    missing = Thumbnail(lost, "https://upload.wikimedia.org/y", 250, 0, "", "missing", "2026-01-31", "Bob", "", "CC0")
    write_csv(pd.DataFrame([row, missing]), folder / "thumbnails/manifest.csv")
    attribution = {"id": [kept], "url": [""], "author": ["Cleo"], "license": [""], "title": [""]}
    write_parquet(pd.DataFrame(attribution), folder / "metadata/train_attribution.parquet")
    served = serve()
    item = served.get("/api/items/0").json()
    assert item["pictures"] == [gone, kept]
    assert item["credits"] == {gone: "Ana\\u202e, CC BY 3.0", kept: "Cleo"}
    answer = served.get(f"/pictures/{gone}/1280")
    assert answer.headers["content-type"] == "image/jpeg"
    with Image.open(BytesIO(answer.content)) as image:
        assert image.size == (50, 30) and image.format == "JPEG"
    assert served.get(f"/pictures/{lost}/320").status_code == 404
    picture.unlink()
    assert served.get(f"/pictures/{gone}/320").status_code == 404


def test_a_class_is_shown_with_its_landmarks_and_judged_once(classed, serve: Serve) -> None:
    write_parquet(
        pd.DataFrame({"child": [TARN, BASIN], "parent": ["Q23397", TARN]}),
        classed.data / "wikidata/class_edges.parquet",
    )
    served = serve("--kind", "class")
    assert served.get("/api/session").json()["progress"]["items"] == 1
    item = served.get("/api/items/0").json()
    assert (item["kind"], item["category"], item["name"], item["suggestion"]) == (
        "class",
        TARN,
        f"tarn ({TARN})",
        "lake",
    )
    shown = item["class"]
    assert shown["members"] == [{"name": 'Nowhere, "Purple"', "images": 3}, {"name": "Unknown Lake", "images": 2}]
    assert (shown["count"], item["images"]) == (2, 5)
    assert [one["name"] for one in shown["parents"]] == ["lake"]
    assert [one["name"] for one in shown["children"]] == ["basin"]
    assert len(item["pictures"]) == 5
    assert served.judge(0, "lake").status_code == 200
    (row,) = load_verdicts(Path("review"), LABELS, kind="class").to_dict("records")
    assert (row["category"], row["hierarchical_label"], row["version"]) == (TARN, "lake", version("hgld"))
    assert saved() == []
    assert served.post("/api/undo", {}).json()["position"] == 0
    assert load_verdicts(Path("review"), LABELS, kind="class").empty


def test_a_verdict_may_name_a_finer_class_and_reject_the_item(serve: Serve) -> None:
    served = serve("Red Chapel")
    found = served.get("/api/classes", params={"text": "chu"}).json()
    assert [(one["qid"], one["name"]) for one in found] == [("Q16970", "church building")]
    assert served.get("/api/classes", params={"text": "BUILD"}).json() == found
    assert served.get("/api/classes", params={"text": "Q16970"}).json() == found
    assert served.get("/api/classes", params={"text": "zzz"}).json() == []
    body = {"category": "Red Chapel", "label": "church", "supercategory": "Q16970", "rejected_item": "Q101"}
    assert served.post("/api/items/0/verdict", {**body, "supercategory": "Q77"}).status_code == 409
    assert served.post("/api/items/0/verdict", {**body, "rejected_item": "no item"}).status_code == 409
    assert saved() == []
    assert served.post("/api/items/0/verdict", body).status_code == 200
    (row,) = load_verdicts(Path("review"), LABELS).to_dict("records")
    assert (row["supercategory"], row["rejected_item"]) == ("Q16970", "Q101")
    assert served.get("/api/items/0").json()["verdict"]["rejected_item"] == "Q101"


def test_unsure_is_left_to_others_and_is_no_label(serve: Serve) -> None:
    served = serve()
    total = served.get("/api/session").json()["progress"]["items"]
    first = served.get("/api/items/0").json()["category"]
    body = {"category": first, "label": "lake", "comment": "fog", "unsure": True}
    assert served.post("/api/items/0/verdict", body).status_code == 409
    answer = served.post("/api/items/0/verdict", {**body, "label": ""})
    assert (answer.status_code, answer.json()["message"]) == (200, "unsure: saved")
    assert served.get("/api/items/0").json()["verdict"]["answer"] == "unsure"
    assert saved() == []
    served.stop()
    served = serve()
    session = served.get("/api/session").json()
    assert session["progress"]["items"] == total - 1
    assert served.get("/api/items/0").json()["category"] != first
    assert serve(annotator="bob").get("/api/session").json()["progress"]["items"] == total
    shown = served.get("/quality").text
    assert "<dt>unsure</dt><dd>1</dd>" in shown and "<dd>0</dd>" in shown
    assert served.post("/api/undo", {}).json()["message"] == f"taken back: the verdict on {first}"
    served.stop()
    assert serve().get("/api/session").json()["progress"]["items"] == total


def test_unsure_comes_again_when_another_label_is_suggested(serve: Serve) -> None:
    served = serve()
    total = served.get("/api/session").json()["progress"]["items"]
    item = served.get("/api/items/0").json()
    assert (item["suggestion"], item["category"]) == ("church", 'Nowhere, "Purple"')
    served.post("/api/items/0/verdict", {"category": item["category"], "label": "", "unsure": True})
    served.stop()
    table = pd.read_csv(QUEUE, dtype="str", keep_default_na=False)
    table.loc[table["category"] == item["category"], "suggested_label"] = "lake"
    table.to_csv(QUEUE, index=False)
    assert serve().get("/api/session").json()["progress"]["items"] == total


def test_annotators_who_disagree_about_a_class_are_on_the_quality_page(classed, serve: Serve) -> None:
    served = serve("--kind", "class")
    assert served.judge(0, "lake").status_code == 200
    disagrees = Verdict(TARN, "", "lake", "name", "", "bob", utc_now(), "a bird", "sample", kind="class")
    append_verdict(Path("review"), disagrees)
    served.stop()
    served = serve("Red Chapel")  # the class is not among these items
    shown = served.get("/quality").text
    assert f'<a href="/?class={TARN}">class tarn ({TARN})</a>' in shown
    assert "ana: lake, bob: no label" in shown and "<dt>verdicts on classes</dt><dd>2</dd>" in shown
    opened = served.post("/api/items", {"category": TARN, "kind": "class"})
    assert opened.json() == {"position": 1}
    item = served.get("/api/items/1").json()
    assert (item["kind"], item["class"]["count"]) == ("class", 2)
    assert [(one["annotator"], one["hierarchical_label"], one["comment"]) for one in item["opinions"]] == [
        ("ana", "lake", ""), ("bob", "", "a bird"),
    ]  # fmt: skip
    assert served.judge(1, "").status_code == 200
    assert "class tarn" not in served.get("/quality").text
    unknown = served.post("/api/items", {"category": "Q1", "kind": "class"})
    assert (unknown.status_code, unknown.json()["error"]) == (404, "there is no class of landmarks without a label Q1")
    assert served.post("/api/items", {"category": "Q1", "kind": "region"}).status_code == 422


def test_an_answer_does_not_wait_for_an_acknowledgement(serve: Serve) -> None:
    """Nagle's algorithm holds the body back until the client has acknowledged the headers."""
    listener = listen(None)
    try:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        listener.close()
