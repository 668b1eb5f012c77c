"""hf:OWNER/NAME against a hub on this machine: what it receives is the release, once, and whatever happens between."""

import re
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard

from tests.hostile_server import Answer, HostileServer, Request
from tests.pipeline.release.conftest import rewrite
from tests.pipeline.release.publishing.conftest import Publish, check_files, contents, started
from tests.pipeline.release.publishing.hub import READ_ONLY, TOKEN, Hub, Repository

NAME = "acme/landmarks"
TO = ("--to", f"hf:{NAME}")
API = f"/api/datasets/{NAME}"
RESET = Answer(200, b"cut", reset=True, stop_after=0)


def test_without_yes_it_shows_every_file_and_sends_nothing(hub: Hub, publish: Publish, folder: Path) -> None:
    done = publish(*TO)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == f"target    hf:{NAME} ({hub.server.base}/datasets/{NAME})"
    assert lines[1] == "version   0.1, tag v0.1"
    files = contents(folder)
    for name in files:
        (line,) = [line for line in lines if re.match(rf"send +{re.escape(name)} ", line)]
        assert re.search(rf" {len(files[name]):,} bytes  [0-9a-f]{{64}}$", line)
    total = sum(map(len, files.values()))
    assert f"total     {len(files)} files to send, {total:,} bytes" in lines
    assert lines[-1] == "nothing was sent; add --yes to send this"
    assert hub.writes == [] and hub.repositories == {}


def test_yes_sends_the_files_in_one_commit_and_tags_it(hub: Hub, publish: Publish, folder: Path) -> None:
    done = publish(*TO, "--yes")
    assert done.exit_code == 0, done.output
    assert hub.files(NAME, "v0.1") == hub.files(NAME, "main") == contents(folder)
    repository = hub.repositories[NAME]
    assert len(repository.commits) == 2  # that of the hub, and ours
    assert repository.tags == {"v0.1": repository.commits[-1][0]}
    assert f"published {hub.server.base}/datasets/{NAME}/tree/v0.1" in done.output
    large = {data for data in contents(folder).values() if len(data) >= hub.large}
    assert set(hub.stored.values()) == large and 2 < len(large) < len(contents(folder))  # both ways of sending a file


def test_the_hub_checks_the_card_before_anything_is_sent(hub: Hub, publish: Publish, folder: Path) -> None:
    hub.bad_card = '"license" must be one of the known ones'
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    assert '"license" must be one of the known ones' in done.output.splitlines()[-1]
    assert hub.cards == [(folder / "README.md").read_text(encoding="utf-8")]
    assert hub.files(NAME, "main") == {} and hub.stored == {}


def test_the_card_passes_the_checker_of_huggingface_hub(hub: Hub, folder: Path) -> None:
    card = DatasetCard.load(folder / "README.md")
    card.validate()
    assert hub.cards == [str(card)]
    assert card.data.license == "cc-by-4.0"
    assert {config["config_name"] for config in card.data.to_dict()["configs"]} >= {"labels", "train", "index", "test"}


def test_the_same_version_again_is_nothing_to_send(hub: Hub, publish: Publish) -> None:
    assert publish(*TO, "--yes").exit_code == 0
    before = len(hub.writes)
    for arguments in (TO, (*TO, "--yes")):
        done = publish(*arguments)
        assert done.exit_code == 0
        assert done.output.splitlines()[-1] == f"nothing to send: hf:{NAME} has version 0.1 with the same content"
        assert "\nsame " in done.output and "\nsend " not in done.output
    assert len(hub.writes) == before


def test_a_published_version_with_other_content_is_refused(hub: Hub, publish: Publish, proposed) -> None:
    assert publish(*TO, "--yes").exit_code == 0
    before = hub.files(NAME, "v0.1")
    rewrite(proposed, note="Another text.")
    for arguments in (TO, (*TO, "--yes")):
        done = publish(*arguments)
        assert done.exit_code == 1
        assert f"the tag v0.1 of {hub.server.base}/datasets/{NAME} is there already with other content" in done.output
        assert "raise release.version in params.yaml" in done.output
    assert hub.files(NAME, "v0.1") == hub.files(NAME, "main") == before


def test_the_next_version_replaces_and_deletes_files_and_says_so(hub: Hub, publish: Publish, folder: Path) -> None:
    repository = hub.repositories[NAME] = Repository()
    kept = {name: data for name, data in contents(folder).items() if name != "README.md"}
    repository.commit({".gitattributes": b"x", "README.md": b"old", "old.csv": b"a\n", **kept})
    done = publish(*TO)
    assert re.search(r"^replace +README\.md ", done.output, re.MULTILINE)
    assert re.search(r"^delete +old\.csv +2 bytes$", done.output, re.MULTILINE)
    assert len(re.findall(r"^same ", done.output, re.MULTILINE)) == len(kept)
    assert "total     1 file to send" in done.output
    assert publish(*TO, "--yes").exit_code == 0
    assert hub.files(NAME, "v0.1") == contents(folder)
    assert repository.at("main")[".gitattributes"] == b"x"
    assert hub.cards[-1] == (folder / "README.md").read_text(encoding="utf-8")


def test_a_repository_with_something_else_keeps_its_files(hub: Hub, publish: Publish) -> None:
    files = {"README.md": b"of a model", "model.safetensors": b"weights"}
    hub.repositories[NAME] = Repository()
    hub.repositories[NAME].commit(files)
    done = publish(*TO)
    assert done.exit_code == 0
    assert "note      with --yes this is refused: the repository has 1 other file(s)" in done.output
    assert re.search(r"^delete +model\.safetensors ", done.output, re.MULTILINE)
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert "such as model.safetensors, and no SHA256SUMS, so it holds no release; check OWNER/NAME" in line
    assert hub.files(NAME, "main") == files and hub.repositories[NAME].tags == {}


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        (f"{API}/refs", Answer(429, headers={"Retry-After": "0"})),
        (f"{API}/refs", RESET),
        ("/api/repos/create", Answer(500)),
        ("/api/repos/create", RESET),
        (f"{API}/preupload/main", Answer(500)),
        (f"{API}/commit/main", Answer(429, headers={"Retry-After": "0"})),
        (f"{API}/commit/main", RESET),
    ],
)
def test_what_passes_is_tried_again(hub: Hub, publish: Publish, folder: Path, path: str, fault: Answer) -> None:
    hub.server.script(path, fault)
    done = publish(*TO, "--yes")
    assert done.exit_code == 0, done.output
    assert hub.files(NAME, "v0.1") == contents(folder)
    assert len(hub.repositories[NAME].commits) == 2


@pytest.mark.parametrize("step", [f"{API}/commit/main", "/api/repos/create", "tag"])
def test_an_answer_that_is_lost_after_the_hub_did_it_makes_nothing_twice(
    hub: Hub, publish: Publish, folder: Path, step: str
) -> None:
    lost: list[str] = []

    def lose_once(request: Request, server: HostileServer) -> Answer:
        answer = hub._answer(request, server)
        if (request.path == step or f"/{step}/" in request.path) and not lost:
            lost.append(request.path)
            return RESET
        return answer

    hub.server.otherwise = lose_once
    done = publish(*TO, "--yes")
    assert done.exit_code == 0, done.output
    assert len(lost) == 1
    assert len(hub.repositories[NAME].commits) == 2
    assert hub.files(NAME, "v0.1") == contents(folder)


def test_the_wait_that_the_hub_asks_for_is_kept(hub: Hub, publish: Publish) -> None:
    path = "/api/repos/create"
    hub.server.script(path, Answer(429, headers={"Retry-After": "1"}))
    assert publish(*TO, "--yes").exit_code == 0
    first, second, *_ = hub.server.asked(path, "POST")
    assert second.at - first.at >= 1


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("", "set HF_TOKEN, or run `hf auth login`"),
        ("hf_wrong", "HTTP 401 (Invalid credentials in Authorization header): the token is not valid"),
        (READ_ONLY, "HTTP 403 (you may not write with Bearer (token)): the token may not write there"),
    ],
)
def test_a_token_that_will_not_do_is_one_line(
    hub: Hub, publish: Publish, monkeypatch: pytest.MonkeyPatch, token: str, text: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    assert text in done.output.splitlines()[-1]
    assert (token or "Bearer ") not in done.output
    assert hub.repositories == {}


def test_a_refusal_of_the_storage_for_large_files_is_one_line(
    hub: Hub, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)  # its library has errors of its own
    hub.server.script(f"{API}/xet-write-token/main", Answer(403))
    hub.repositories[NAME] = Repository()
    hub.repositories[NAME].commit({})
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    assert "HTTP 403: the token may not write there" in done.output.splitlines()[-1]
    assert hub.files(NAME, "main") == {}


def test_a_page_that_is_not_of_a_hub_is_one_line(hub: Hub, publish: Publish) -> None:
    hub.server.otherwise = lambda request, server: Answer(200, b"<html>log in</html>")
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert "is not that of a hub" in line and "check HF_ENDPOINT" in line


def test_without_a_token_the_difference_is_shown(
    hub: Hub, publish: Publish, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    assert publish(*TO, "--yes").exit_code == 0
    monkeypatch.delenv("HF_TOKEN")
    done = publish(*TO)
    assert done.exit_code == 0
    assert len(re.findall(r"^same ", done.output, re.MULTILINE)) == len(contents(folder))


def test_without_a_network_the_files_are_shown_and_nothing_can_be_sent(
    hub: Hub, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    done = publish(*TO)
    assert done.exit_code == 0
    assert f"note      not compared: {address}/datasets/{NAME}: no connection" in done.output
    assert re.search(r"^send +README\.md ", done.output, re.MULTILINE)
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert line.startswith(f"Error: {address}/datasets/{NAME}: no connection (")
    assert line.endswith("(tried 5 times); try again later")


def test_without_the_extra_the_files_are_shown_and_it_says_what_to_install(
    publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    done = publish(*TO)
    assert done.exit_code == 0
    assert "pip install 'hgld[publish]'" in done.output and "\nsend " in done.output
    done = publish(*TO, "--yes")
    assert (done.exit_code, done.output) == (
        1, "Error: huggingface_hub is not installed; install it: pip install 'hgld[publish]'\n")  # fmt: skip


def test_a_commit_of_someone_else_between_plan_and_commit_stops_it(hub: Hub, publish: Publish) -> None:
    repository = hub.repositories[NAME] = Repository()
    repository.commit({"README.md": b"old"})

    def commit(request: Request, server: HostileServer) -> Answer:
        repository.commit({"README.md": b"of someone else"})
        return hub._answer(request, server)

    hub.server.script(f"{API}/preupload/main", commit)
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    assert "HTTP 412" in done.output and "run the command again" in done.output
    assert hub.files(NAME, "main") == {"README.md": b"of someone else"} and repository.tags == {}


@pytest.mark.parametrize("step", ["storage", "commit", "tag"])
def test_a_killed_run_is_completed_by_the_next(hub: Hub, folder: Path, tmp_path: Path, step: str) -> None:
    reached, armed = threading.Event(), [True]

    def hold(request: Request, server: HostileServer) -> Answer:
        answer = hub._answer(request, server) if step != "commit" else None
        if f"/{step}/" in request.path and armed:
            armed.clear()
            reached.set()
            server.pause(30)
        return answer or hub._answer(request, server)

    hub.server.otherwise = hold
    environment = {"HF_ENDPOINT": hub.server.base, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home")}
    process = started(folder, *TO, "--yes", **environment)
    assert reached.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    again = started(folder, *TO, "--yes", **environment)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    assert hub.files(NAME, "v0.1") == contents(folder)
    assert len({*hub.repositories[NAME].tags.values()}) == 1
    assert TOKEN not in output
    check_files(tmp_path)


def test_a_release_with_a_fault_is_not_published(hub: Hub, publish: Publish, folder: Path) -> None:
    shutil.copytree(folder, copy := folder.parent / "copy")
    data = (folder / "labels.parquet").read_bytes()
    (folder / "labels.parquet").write_bytes(data[:100] + b"?" + data[101:])
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert "fault(s), so it is not published" in line and f"`hgld verify {folder}` shows them" in line
    assert hub.server.requests == [] and copy.is_dir()


@pytest.mark.parametrize("to", ["hf:landmarks", "hf:", "hf:a/b/c", "hf:../x", "hub:a/b", "ftp://x", "hf:a/b c"])
def test_another_target_is_one_line(publish: Publish, to: str) -> None:
    done = publish("--to", to)
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1 and f"--to {to}: " in done.output
