"""zenodo against a Zenodo on this machine: it receives the archive of the release, as a draft, and never more."""

import io
import json
import re
import signal
import socket
import threading
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hgld.foundation.text_input import read_yaml
from hgld.pipeline.release.archive import archive
from tests.hostile_server import Answer, HostileServer, Request
from tests.pipeline.release.conftest import rewrite
from tests.pipeline.release.publishing.conftest import Publish, check_files, contents, started
from tests.pipeline.release.publishing.zenodo_server import TOKEN, Zenodo

TO = ("--to", "zenodo")
ZIP = "H-GLDv2-sample-0.1.zip"
LIST = "/api/deposit/depositions?size=100&page=1&sort=mostrecent"
RESET = Answer(200, b"cut", reset=True, stop_after=0)


def _draft(zenodo: Zenodo) -> dict:
    (draft,) = zenodo.drafts
    return draft


def _is_complete(draft: dict, folder: Path) -> bool:
    """Whether a draft has exactly the archive that `hgld archive` writes."""
    return draft["files"] == {ZIP: archive(folder, Path("archives")).path.read_bytes()}


def test_without_yes_it_shows_the_archive_and_what_is_in_it_and_sends_nothing(
    zenodo: Zenodo, publish: Publish, folder: Path
) -> None:
    done = publish(*TO)
    assert done.exit_code == 0, done.output
    written = archive(folder, Path("archives"))
    lines = done.output.splitlines()
    assert lines[0] == f"target    zenodo ({zenodo.server.base}, a new deposition)"
    assert re.search(rf"^send +{ZIP} +{written.path.stat().st_size:,} bytes  {written.sha256}$", done.output, re.M)
    for name, data in contents(folder).items():
        assert re.search(rf"^contains +{re.escape(name)} +{len(data):,} bytes  [0-9a-f]{{64}}$", done.output, re.M)
    assert f"total     1 file to send, {written.path.stat().st_size:,} bytes" in lines
    assert zenodo.writes == [] and lines[-1] == "nothing was sent; add --yes to send this"


def test_yes_leaves_a_draft_with_the_archive_and_prints_its_address(
    zenodo: Zenodo, publish: Publish, folder: Path
) -> None:
    done = publish(*TO, "--yes")
    assert done.exit_code == 0, done.output
    draft = _draft(zenodo)
    assert _is_complete(draft, folder)
    with zipfile.ZipFile(io.BytesIO(draft["files"][ZIP])) as sent:
        assert {Path(name).name: sent.read(name) for name in sent.namelist()} == contents(folder)
    address = f"{zenodo.server.base}/deposit/{draft['id']}"
    assert done.output.splitlines()[-1] == f"the draft is complete; check it and press Publish: {address}"
    assert not [write for write in zenodo.writes if "publish" in write]


def test_the_metadata_are_those_of_the_citation(zenodo: Zenodo, publish: Publish, folder: Path) -> None:
    assert publish(*TO, "--yes").exit_code == 0
    sent, cited = _draft(zenodo)["metadata"], read_yaml(folder / "CITATION.cff")
    assert (sent["title"], sent["version"], sent["upload_type"]) == (cited["title"], "0.1", "dataset")
    assert sent["creators"] == [{"name": "The hgld maintainers"}]
    shown = publish(*TO).output
    for name, value in sent.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        assert f"\nmetadata  {name}: {text}\n" in shown
    assert (sent["license"], sent["keywords"]) == ("cc-by-4.0", cited["keywords"])
    assert {"identifier": "https://arxiv.org/abs/2110.01445", "relation": "references"} in sent["related_identifiers"]


def test_people_are_named_family_name_first_with_their_orcid(zenodo: Zenodo, publish: Publish, proposed) -> None:
    citation = Path("CITATION.cff")
    person = "{family-names: Ibáñez, given-names: Ana, orcid: 'https://orcid.org/0000-0001-2345-6789', affiliation: U}"
    text = citation.read_text(encoding="utf-8").replace('{name: "The', "{name: The").replace(
        '  - name: "The hgld maintainers"', f"  - {person}", 1)  # fmt: skip
    citation.write_text(text, encoding="utf-8")
    rewrite(proposed)
    assert publish(*TO, "--yes").exit_code == 0
    assert _draft(zenodo)["metadata"]["creators"] == [
        {"name": "Ibáñez, Ana", "affiliation": "U", "orcid": "0000-0001-2345-6789"}
    ]


def test_a_second_run_sends_no_archive_again(zenodo: Zenodo, publish: Publish, folder: Path) -> None:
    assert publish(*TO, "--yes").exit_code == 0
    shown = publish(*TO)
    assert re.search(rf"^same +{ZIP} ", shown.output, re.M) and "total     0 files to send, 0 bytes" in shown.output
    assert publish(*TO, "--yes").exit_code == 0
    assert zenodo.uploads == [ZIP] and _is_complete(_draft(zenodo), folder)


def test_a_new_version_keeps_no_file_of_the_old_one(zenodo: Zenodo, publish: Publish, folder: Path) -> None:
    old = zenodo.add({"title": "H-GLDv2-sample", "version": "0.0.9"}, {"H-GLDv2-sample-0.0.9.zip": b"old"})
    zenodo.publish(old)
    concept = str(old["concept"])
    done = publish(*TO, "--concept", concept, "--yes")
    assert done.exit_code == 0, done.output
    draft = _draft(zenodo)
    assert draft["concept"] == old["concept"] and _is_complete(draft, folder)
    assert draft["metadata"]["version"] == "0.1"
    assert old["files"] == {"H-GLDv2-sample-0.0.9.zip": b"old"}
    zenodo.publish(draft)
    before = zenodo.writes
    for arguments in ((*TO, "--concept", concept), (*TO, "--concept", concept, "--yes")):
        done = publish(*arguments)
        assert done.exit_code == 0
        assert done.output.splitlines()[-1] == "nothing to send: zenodo has version 0.1 with the same content"
    assert zenodo.writes == before


def test_a_draft_that_is_there_is_used_and_what_is_in_it_is_shown_before(
    zenodo: Zenodo, publish: Publish, folder: Path
) -> None:
    old = zenodo.add({"title": "H-GLDv2-sample", "version": "0.0.9"}, {"old.zip": b"old"})
    zenodo.publish(old)
    draft = zenodo.add({"title": "H-GLDv2-sample"}, {"old.zip": b"old", ZIP: b"damaged"}, old["concept"])
    to = (*TO, "--concept", str(old["concept"]))
    shown = publish(*to).output
    assert re.search(rf"^replace +{ZIP} ", shown, re.M) and re.search(r"^delete +old\.zip +3 bytes$", shown, re.M)
    assert f"({zenodo.server.base}/deposit/{draft['id']})" in shown
    assert publish(*to, "--yes").exit_code == 0
    assert _draft(zenodo) is draft and _is_complete(draft, folder)


def test_a_published_version_with_other_content_is_refused(zenodo: Zenodo, publish: Publish, monkeypatch) -> None:
    old = zenodo.add({"title": "H-GLDv2-sample", "version": "0.1"}, {ZIP: b"other"})
    zenodo.publish(old)
    to = (*TO, "--concept", str(old["concept"]))
    for token in (TOKEN, ""):  # what is published can be read without a token
        monkeypatch.setenv("ZENODO_TOKEN", token)
        done = publish(*to)
        assert done.exit_code == 1
        assert f"{zenodo.server.base}/records/{old['id']} is version 0.1 with other files" in done.output
        assert "raise release.version in params.yaml" in done.output
    assert zenodo.writes == []


def test_a_second_first_version_is_refused(zenodo: Zenodo, publish: Publish) -> None:
    old = zenodo.add({"title": "H-GLDv2-sample", "version": "0.0.9"}, {})
    zenodo.publish(old)
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    assert f"add --concept {old['concept']} to make a new version of it" in done.output
    assert zenodo.writes == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--concept", "999"), "/records/999 does not exist; check --concept"),
        (("--concept", "101"), "101 is one version at"),
        (("--concept", "10.5281/zenodo.1"), "expected the number after 'zenodo.' in the DOI of all versions"),
    ],
)
def test_a_wrong_concept_is_one_line(zenodo: Zenodo, publish: Publish, arguments: tuple[str, ...], text: str) -> None:
    zenodo.publish(zenodo.add({"title": "H-GLDv2-sample", "version": "0.0.9"}, {}))
    done = publish(*TO, *arguments)
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1 and text in done.output


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        (LIST, Answer(429, headers={"Retry-After": "0"})),
        (LIST, RESET),
        ("/api/deposit/depositions", Answer(500)),
        ("/api/deposit/depositions/101", Answer(503)),
        (f"/api/files/bucket-101/{ZIP}", Answer(500)),
        (f"/api/files/bucket-101/{ZIP}", RESET),
    ],
)
def test_what_passes_is_tried_again(zenodo: Zenodo, publish: Publish, folder: Path, path: str, fault: Answer) -> None:
    zenodo.server.script(path, fault)
    done = publish(*TO, "--yes")
    assert done.exit_code == 0, done.output
    assert _is_complete(_draft(zenodo), folder)


@pytest.mark.parametrize("concept", [False, True])
def test_an_answer_that_is_lost_after_zenodo_made_the_draft_makes_no_second_one(
    zenodo: Zenodo, publish: Publish, folder: Path, concept: bool
) -> None:
    lost: list[str] = []
    answer_now = zenodo._answer

    def lose_once(request: Request, server: HostileServer) -> Answer:
        answer = answer_now(request, server)
        if request.method == "POST" and not lost:
            lost.append(request.path)
            return RESET
        return answer

    zenodo.server.otherwise = lose_once
    to = [*TO, "--yes"]
    if concept:
        old = zenodo.add({"title": "H-GLDv2-sample", "version": "0.0.9"}, {"old.zip": b"old"})
        zenodo.publish(old)
        to += ["--concept", str(old["concept"])]
    done = publish(*to)
    assert done.exit_code == 0, done.output
    assert len(lost) == 1 and _is_complete(_draft(zenodo), folder)


def test_the_wait_that_zenodo_asks_for_is_kept(zenodo: Zenodo, publish: Publish) -> None:
    path = f"/api/files/bucket-101/{ZIP}"
    zenodo.server.script(path, Answer(429, headers={"Retry-After": "1"}))
    assert publish(*TO, "--yes").exit_code == 0
    first, second = zenodo.server.asked(path, "PUT")
    assert second.at - first.at >= 1 and first.body == second.body


def test_without_a_token_the_plan_is_shown_and_nothing_can_be_sent(
    zenodo: Zenodo, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZENODO_TOKEN")
    done = publish(*TO)
    assert done.exit_code == 0 and "without ZENODO_TOKEN, drafts cannot be seen" in done.output
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert "no token for" in line and "set ZENODO_TOKEN" in line and "deposit:write" in line


def test_a_token_that_is_not_known_is_one_line_without_it(
    zenodo: Zenodo, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZENODO_TOKEN", "wrongTokenOfSomebody")
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert "HTTP 403 (the token Bearer (token) is not known): ZENODO_TOKEN is not valid here" in line
    assert "wrongTokenOfSomebody" not in done.output


def test_without_a_network_the_plan_is_shown_and_nothing_can_be_sent(
    zenodo: Zenodo, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ZENODO_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    done = publish(*TO)
    assert done.exit_code == 0
    assert "note      not compared: GET http://127.0.0.1" in done.output and re.search(
        rf"^send +{ZIP} ", done.output, re.M
    )
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert "no connection (" in line and line.endswith("(tried 5 times); try again later")


def test_a_token_is_sent_to_no_other_server_and_not_in_the_clear(
    zenodo: Zenodo, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostileServer() as other:
        answer = f'{{"id": 101, "links": {{"bucket": "{other.base}/bucket"}}}}'.encode()
        zenodo.server.script("/api/deposit/depositions", Answer(201, answer))
        done = publish(*TO, "--yes")
        assert done.exit_code == 1 and "a link to another server" in done.output
        zenodo.server.script(LIST, Answer(302, headers={"Location": f"{other.base}/login"}))
        done = publish(*TO, "--yes")
        assert done.exit_code == 1 and "a link to another server" in done.output
        assert other.requests == []
    monkeypatch.setenv("ZENODO_ENDPOINT", "http://zenodo.example.org")
    done = publish(*TO)
    assert done.exit_code == 1 and "expected an address with https" in done.output


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"[]", b"{}", b'{"id": 1}', b"null", b'"x"'])
def test_an_answer_that_is_not_of_zenodo_is_one_line(zenodo: Zenodo, publish: Publish, body: bytes) -> None:
    zenodo.server.script("/api/deposit/depositions", Answer(201, body))
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith("Error: "), done.output
    assert "check the address" in done.output.splitlines()[-1]


@pytest.mark.parametrize("step", ["POST /api/deposit/depositions", "PUT /api/files", "PUT /api/deposit/depositions"])
@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
def test_a_killed_run_is_completed_by_the_next(
    zenodo: Zenodo, folder: Path, tmp_path: Path, step: str, answered: bool
) -> None:
    reached, armed = threading.Event(), [True]
    answer_now = zenodo._answer

    def hold(request: Request, server: HostileServer) -> Answer:
        if not f"{request.method} {urlsplit(request.path).path}".startswith(step) or not armed:
            return answer_now(request, server)
        armed.clear()
        answer = answer_now(request, server) if answered else Answer(500)
        reached.set()
        server.pause(30)
        return answer

    zenodo.server.otherwise = hold
    process = started(folder, *TO, "--yes")
    assert reached.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    again = started(folder, *TO, "--yes")
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    assert _is_complete(_draft(zenodo), folder)
    assert zenodo.uploads == [ZIP]
    assert TOKEN not in output
    check_files(tmp_path)
