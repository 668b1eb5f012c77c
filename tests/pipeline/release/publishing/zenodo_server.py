"""The part of Zenodo's REST API that `hgld publish` uses, with scripted faults: depositions, files, public records."""

import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hostile_server import Answer, HostileServer, Request

TOKEN = "zenodoSecretTokenThatNobodyMaySee0123456789"


class Zenodo:
    """A Zenodo with one user; `depositions` by number, with their files as name → bytes."""

    def __init__(self) -> None:
        self.server = HostileServer()
        self.server.otherwise = self._answer
        self.depositions: dict[int, dict[str, Any]] = {}
        self.uploads: list[str] = []

    def __enter__(self) -> "Zenodo":
        self.server.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.server.__exit__(*error)

    @property
    def writes(self) -> list[str]:
        """Method and path of every request that may change something, in order."""
        return [f"{request.method} {request.path}" for request in self.server.requests if request.method != "GET"]

    @property
    def drafts(self) -> list[dict[str, Any]]:
        """The depositions that are not published."""
        return [found for found in self.depositions.values() if not found["submitted"]]

    def publish(self, draft: dict[str, Any]) -> None:
        """What the button of the web page does."""
        draft["submitted"] = True

    def add(self, metadata: dict[str, Any], files: dict[str, bytes], concept: int | None = None) -> dict[str, Any]:
        """A new draft."""
        number = 101 + 2 * len(self.depositions)
        self.depositions[number] = {
            "id": number, "concept": concept or number - 1, "metadata": metadata, "files": dict(files),
            "submitted": False,
        }  # fmt: skip
        return self.depositions[number]

    def _answer(self, request: Request, server: HostileServer) -> Answer:
        parts = urlsplit(request.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        given = request.headers.get("Authorization")
        if given not in (None, f"Bearer {TOKEN}"):
            return _json({"message": f"the token {given} is not known"}, 403)
        if match := re.fullmatch(r"/api/records/(\d+)(/versions)?", path):
            return self._record(int(match[1]), match[2], query)
        if given is None:
            return _json({"message": "The server could not verify that you are authorized.", "status": 401}, 401)
        if match := re.fullmatch(r"/api/files/bucket-(\d+)/(.+)", path):
            draft = self.depositions[int(match[1])]
            assert not draft["submitted"] and match[2] not in draft["files"]
            draft["files"][match[2]] = request.body
            self.uploads.append(match[2])
            return _json({"key": match[2], "checksum": f"md5:{hashlib.md5(request.body).hexdigest()}"}, 201)
        match = re.fullmatch(r"/api/deposit/depositions(?:/(\d+))?(?:/(files|actions)/([\w.-]+))?", path)
        assert match, path
        if not match[1]:
            return self._depositions(request, query)
        deposition = self.depositions.get(int(match[1]))
        if deposition is None:
            return _json({"message": "The persistent identifier does not exist.", "status": 404}, 404)
        return self._deposition(request, deposition, match[2], match[3])

    def _depositions(self, request: Request, query: dict[str, list[str]]) -> Answer:
        if request.method == "POST":
            return _json(self._shown(self.add(json.loads(request.body)["metadata"], {})), 201)
        size, page = int(query["size"][0]), int(query["page"][0])
        rows = list(self.depositions.values())[::-1][(page - 1) * size : page * size]
        return _json([{**self._shown(row), "files": []} for row in rows])

    def _deposition(self, request: Request, found: dict[str, Any], kind: str | None, name: str | None) -> Answer:
        if kind == "actions":
            assert (request.method, name) == ("POST", "newversion") and found["submitted"]
            drafts = [draft for draft in self.drafts if draft["concept"] == found["concept"]]
            if drafts:
                message = {"field": "files.enabled", "messages": ["Please remove all files first."]}
                return _json({"message": "A validation error occurred.", "errors": [message]}, 400)
            draft = self.add({**found["metadata"], "version": ""}, found["files"], found["concept"])
            shown = self._shown(found)
            shown["links"]["latest_draft"] = f"{self.server.base}/api/deposit/depositions/{draft['id']}"
            return _json(shown, 201)
        if kind == "files":
            (file,) = [file for file in found["files"] if _file_id(file) == name]
            assert request.method == "DELETE" and not found["submitted"]
            del found["files"][file]
            return Answer(204)
        if request.method == "PUT":
            found["metadata"] = json.loads(request.body)["metadata"]
        return _json(self._shown(found))

    def _shown(self, found: dict[str, Any]) -> dict[str, Any]:
        number, base = found["id"], self.server.base
        files = [
            {"id": _file_id(name), "filename": name, "filesize": len(data), "checksum": hashlib.md5(data).hexdigest()}
            for name, data in found["files"].items()
        ]
        links = {"bucket": f"{base}/api/files/bucket-{number}", "html": f"{base}/deposit/{number}"}
        return {"id": number, "conceptrecid": str(found["concept"]), "submitted": found["submitted"], "files": files,
                "title": found["metadata"].get("title", ""), "metadata": found["metadata"], "links": links}  # fmt: skip

    def _record(self, number: int, versions: str | None, query: dict[str, list[str]]) -> Answer:
        public = [found for found in self.depositions.values() if found["submitted"]]
        concept = [found for found in public if found["concept"] == number]
        if concept and not versions:
            return Answer(302, headers={"Location": f"/api/records/{concept[-1]['id']}"})
        found = next((found for found in public if found["id"] == number), None)
        if found is None:
            return _json({"message": "The persistent identifier does not exist.", "status": 404}, 404)
        if not versions:
            return _json(self._public(found))
        size, page = int(query["size"][0]), int(query["page"][0])
        assert size <= 25
        rows = [row for row in public if row["concept"] == found["concept"]][::-1][(page - 1) * size : page * size]
        return _json({"hits": {"hits": [{**self._public(row), "files": []} for row in rows]}})

    def _public(self, found: dict[str, Any]) -> dict[str, Any]:
        files = [{"key": name, "size": len(data), "checksum": f"md5:{hashlib.md5(data).hexdigest()}"}
                 for name, data in found["files"].items()]  # fmt: skip
        return {"id": found["id"], "conceptrecid": str(found["concept"]), "metadata": found["metadata"], "files": files}


def _file_id(name: str) -> str:
    return hashlib.md5(name.encode()).hexdigest()


def _json(content: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})
