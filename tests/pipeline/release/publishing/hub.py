"""The part of the Hugging Face hub's API that huggingface_hub uses to publish a dataset, with scripted faults.

with Hub() as hub:
    ...                                  # HF_ENDPOINT is hub.server.base
    assert hub.files("acme/landmarks", "v0.1") == {"README.md": b"..."}
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.hostile_server import Answer, HostileServer, Request

TOKEN = "hf_secretTokenThatNobodyMaySee0123456789"
READ_ONLY = "hf_readOnlyTokenThatNobodyMaySee987654321"


@dataclass
class Repository:
    """Commits, oldest first, as (id, files); tags as name → id."""

    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        parent = self.commits[-1][0] if self.commits else ""
        state = f"{parent} {sorted((name, hashlib.sha1(content).hexdigest()) for name, content in files.items())}"
        self.commits.append((hashlib.sha1(state.encode()).hexdigest(), files))
        return self.commits[-1][0]

    def at(self, revision: str) -> dict[str, bytes]:
        name = self.commits[-1][0] if revision == "main" else self.tags.get(revision, revision)
        return dict(self.commits)[name]


class Hub:
    """A hub with one user, acme; `large` is the size from which a file goes to the storage for large files."""

    def __init__(self, large: int = 5_000) -> None:
        self.server = HostileServer()
        self.server.otherwise = self._answer
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}  # files of the large storage, by SHA-256
        self.cards: list[str] = []  # README.md as it was sent for a check
        self.bad_card = ""
        self.large = large

    def __enter__(self) -> "Hub":
        self.server.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.server.__exit__(*error)

    def files(self, name: str, revision: str) -> dict[str, bytes]:
        """The files of a revision, but for those that the hub adds."""
        content = self.repositories[name].at(revision)
        return {path: data for path, data in content.items() if not path.startswith(".")}

    @property
    def writes(self) -> list[str]:
        """Method and path of every request that may change something, in order."""
        return [f"{request.method} {urlsplit(request.path).path}" for request in self.server.requests
                if request.method != "GET" and "validate-yaml" not in request.path]  # fmt: skip

    def _answer(self, request: Request, server: HostileServer) -> Answer:
        path = unquote(urlsplit(request.path).path)
        given = {key.lower(): value for key, value in request.headers.items()}.get("authorization")
        if path.startswith("/storage/"):
            digest = path.removeprefix("/storage/")
            if hashlib.sha256(request.body).hexdigest() != digest:  # of a client that was killed
                return Answer(400)
            self.stored[digest] = request.body
            return Answer(200)
        if given not in (None, f"Bearer {TOKEN}", f"Bearer {READ_ONLY}"):
            return Answer(401, headers={"X-Error-Message": "Invalid credentials in Authorization header"})
        if path == "/api/validate-yaml":
            return self._check_card(json.loads(request.body))
        if request.method != "GET" and given != f"Bearer {TOKEN}":
            return Answer(403 if given else 401, headers={"X-Error-Message": f"you may not write with {given}"})
        if path == "/api/repos/create":
            return self._create(json.loads(request.body))
        if match := re.fullmatch(r"/datasets/(.+)\.git/info/lfs/objects/batch", path):
            return self._batch(json.loads(request.body))
        match = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/(refs|tree|preupload|commit|tag)/?(.*)", path)
        if not match or match[1] not in self.repositories:
            return Answer(404 if given else 401, headers={"X-Error-Code": "RepoNotFound"})
        return getattr(self, f"_{match[2]}")(self.repositories[match[1]], match[3], request.body)

    def _check_card(self, content: dict[str, str]) -> Answer:
        assert content["repoType"] == "dataset"
        self.cards.append(content["content"])
        if self.bad_card:
            return _json({"errors": [{"message": self.bad_card}], "warnings": []}, 400)
        return _json({"errors": [], "warnings": [{"message": "a remark that stops nothing"}]})

    def _create(self, content: dict[str, str]) -> Answer:
        assert content["type"] == "dataset"
        name = f"{content['organization']}/{content['name']}"
        url = f"{self.server.base}/datasets/{name}"
        if name in self.repositories:
            return _json({"url": url, "error": "You already created this dataset repo"}, 409)
        self.repositories[name] = Repository()
        self.repositories[name].commit({".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"})
        return _json({"url": url, "name": name, "id": "1"})

    def _refs(self, repository: Repository, _: str, __: bytes) -> Answer:
        branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repository.commits[-1][0]}]
        tags = [{"name": name, "ref": f"refs/tags/{name}", "targetCommit": oid}
                for name, oid in repository.tags.items()]  # fmt: skip
        return _json({"branches": branches, "tags": tags, "converts": []})

    def _tree(self, repository: Repository, revision: str, _: bytes) -> Answer:
        return _json([self._row(path, data) for path, data in sorted(repository.at(revision).items())])

    def _row(self, path: str, data: bytes) -> dict[str, Any]:
        if len(data) < self.large:
            return {"type": "file", "path": path, "size": len(data), "oid": git_id(data)}
        digest = hashlib.sha256(data).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(data)}\n".encode()
        lfs = {"oid": digest, "size": len(data), "pointerSize": len(pointer)}
        return {"type": "file", "path": path, "size": len(data), "oid": git_id(pointer), "lfs": lfs}

    def _preupload(self, _: Repository, __: str, body: bytes) -> Answer:
        files = json.loads(body)["files"]
        return _json({"files": [
            {"path": file["path"], "uploadMode": "lfs" if file["size"] >= self.large else "regular",
             "shouldIgnore": False, "oid": None} for file in files
        ]})  # fmt: skip

    def _batch(self, content: dict[str, Any]) -> Answer:
        objects = []
        for wanted in content["objects"]:
            row = dict(wanted)
            if wanted["oid"] not in self.stored:
                row["actions"] = {"upload": {"href": f"{self.server.base}/storage/{wanted['oid']}"}}
            objects.append(row)
        return _json({"transfer": "basic", "objects": objects})

    def _commit(self, repository: Repository, revision: str, body: bytes) -> Answer:
        assert revision == "main"
        rows = [json.loads(line) for line in body.splitlines()]
        parent = rows[0]["value"].get("parentCommit")
        if parent and parent != repository.commits[-1][0]:
            return Answer(412, headers={"X-Error-Message": "a commit has happened since"})
        files = dict(repository.at("main"))
        for row in rows[1:]:
            value = row["value"]
            if row["key"] == "deletedFile":
                del files[value["path"]]
            elif row["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert row["key"] == "lfsFile"
                files[value["path"]] = self.stored[value["oid"]]
        oid = repository.commit(files)
        name = next(name for name, other in self.repositories.items() if other is repository)
        url = f"{self.server.base}/datasets/{name}/commit/{oid}"
        return _json({"success": True, "commitOid": oid, "commitUrl": url})

    def _tag(self, repository: Repository, revision: str, body: bytes) -> Answer:
        tag = json.loads(body)["tag"]
        if tag in repository.tags:
            return Answer(409, headers={"X-Error-Message": "Tag reference exists already"})
        repository.tags[tag] = repository.commits[-1][0] if revision == "main" else revision
        return Answer(200)


def git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _json(content: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})
