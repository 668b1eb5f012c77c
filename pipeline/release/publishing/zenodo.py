"""zenodo and zenodo:sandbox, a draft with the archive of the release: a person publishes it, as a DOI is for ever.

A first version is a deposition of its own; --concept ID makes the next version of one that is published. A run that was
stopped is completed by the next: it finds the draft, and an archive that is there with its checksum is not sent again.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import quote

from hgld.foundation.errors import HgldError
from hgld.pipeline.release import archive
from hgld.pipeline.release.publishing.plan import (
    CONTAINS,
    DELETE,
    RAISE_VERSION,
    REPLACE,
    SAME,
    SEND,
    Change,
    Plan,
    Request,
    not_compared,
)
from hgld.pipeline.release.publishing.zenodo_api import SITES, ZenodoApi
from hgld.pipeline.release.publishing.zenodo_metadata import deposition_metadata

_DEPOSITIONS = "api/deposit/depositions"
_PAGE, _PUBLIC_PAGE = 100, 25  # the largest that Zenodo serves, with a token and without
_RETRIES = 4


@dataclass(frozen=True)
class _Archive:
    """The ZIP file of the release: its name, size and checksums."""

    name: str
    bytes: int
    sha256: str
    md5: str


@dataclass(frozen=True)
class _State:
    """What Zenodo has: the ID of the newest published version, the record of this version, and the draft, or none."""

    newest: str = ""
    published: dict[str, Any] | None = None
    draft: dict[str, Any] | None = None


class Zenodo:
    """A deposition of Zenodo, of which only a draft is made."""

    def __init__(self, request: Request) -> None:
        if request.place not in SITES:
            raise HgldError(f"--to zenodo:{request.place}: expected zenodo or zenodo:sandbox")
        if request.concept and not request.concept.isdecimal():
            raise HgldError(
                f"--concept {request.concept}: expected the number after 'zenodo.' in the DOI of all versions"
            )
        self._release, self._place, self._concept = request.release, request.place, request.concept
        self._metadata = deposition_metadata(self._release)
        self._archive: _Archive | None = None

    @property
    def _target(self) -> str:
        return "zenodo:sandbox" if self._place else "zenodo"

    def plan(self, *, must_read: bool) -> Plan:
        """Compare with the published versions and, where there is a token, with the draft."""
        api = ZenodoApi(self._place, retries=_RETRIES if must_read else 0)
        if must_read:
            api.check_token()
        with self._packed():
            own = self._own()
        notes: list[str] = []
        try:
            state = self._state(api)
            if not api.has_token:
                notes.append("without ZENODO_TOKEN, drafts cannot be seen")
        except HgldError as error:
            if must_read or isinstance(error, _RequestError):
                raise
            state = _State()
            notes.append(not_compared(error, "the archive is shown as if nothing were there"))
        if state.published is not None:
            return self._complete_plan(api, own, state.published, tuple(notes))
        where = f"a new version of {self._concept}" if self._concept else "a new deposition"
        address = _address(state.draft) if state.draft else f"{api.base}, {where}"
        return Plan(
            self._target,
            address,
            self._release.version,
            self._changes(own, state.draft),
            metadata=tuple((name, _text(value)) for name, value in self._metadata.items()),
            steps=("leave a draft, which a person checks and publishes: a DOI cannot be taken back",),
            notes=tuple(notes),
        )

    def _complete_plan(self, api: ZenodoApi, own: _Archive, record: dict[str, Any], notes: tuple[str, ...]) -> Plan:
        """The plan for a version that is published. Raises HgldError when it has other content."""
        address = f"{api.base}/records/{record.get('id')}"
        if _files(record) != {own.name: own.md5}:
            raise _RequestError(
                f"{address} is version {self._release.version} with other files than {own.name} of this release; "
                f"{RAISE_VERSION}"
            )
        changes = (Change(SAME, own.name, own.bytes, own.sha256), *self._members())
        return Plan(self._target, address, self._release.version, changes, complete=True, notes=notes)

    def send(self) -> Iterator[str]:
        """Find or create the draft, upload the archive unless it is there, and set the metadata."""
        api = ZenodoApi(self._place, retries=_RETRIES)
        api.check_token()
        draft = api.retrying(lambda: self._draft(api), f"{api.base}: a new draft")
        yield f"draft     {_address(draft)}"
        own, link = self._own(), f"{_DEPOSITIONS}/{draft['id']}"
        for file in draft.get("files") or ():
            if (file.get("filename"), _md5(file)) != (own.name, own.md5):
                api.delete(f"{link}/files/{file['id']}")
        if _files(draft).get(own.name) != own.md5:
            with self._packed() as handle:
                api.upload(f"{draft['links']['bucket']}/{quote(own.name)}", handle)
        else:
            yield f"same      {own.name}, which an earlier run has sent"
        api.put(link, {"metadata": self._metadata})
        found = _files(api.get(link) or {})
        if found != {own.name: own.md5}:
            raise HgldError(f"{_address(draft)} has other files than {own.name} of this release; run the command again")
        yield f"the draft is complete; check it and press Publish: {_address(draft)}"

    def _draft(self, api: ZenodoApi) -> dict[str, Any]:
        """The draft that is there, or a new one; of which title and version say to a later run that it is ours."""
        state = self._state(api)
        if state.draft:
            return state.draft
        if not state.newest:
            return _checked(api.post_once(_DEPOSITIONS, {"metadata": self._metadata}), api)
        answer = api.post_once(f"{_DEPOSITIONS}/{state.newest}/actions/newversion")
        link = (answer.get("links") or {}).get("latest_draft") if isinstance(answer, dict) else None
        if not link:
            raise HgldError(f"{api.base}: no draft of a new version of {state.newest}; is the token that of its owner?")
        return _checked(api.get(link), api)

    def _state(self, api: ZenodoApi) -> _State:
        depositions = self._depositions(api) if api.has_token else []
        drafts = [found for found in depositions if not found.get("submitted")]
        if self._concept:
            newest, published = self._public(api)
            drafts = [found for found in drafts if str(found.get("conceptrecid")) == self._concept]
            return _State(newest, published, _whole(api, drafts))
        title, version = self._metadata["title"], self._release.version
        for found in depositions:
            if found.get("submitted") and found.get("title") == title:
                concept = found.get("conceptrecid")
                raise _RequestError(
                    f"{title} is published already, at {api.base}/records/{found.get('id')}; add --concept {concept} "
                    "to make a new version of it"
                )
        drafts = [
            found
            for found in drafts
            if found.get("title") == title and (found.get("metadata") or {}).get("version") == version
        ]
        return _State(draft=_whole(api, drafts))

    def _depositions(self, api: ZenodoApi) -> list[dict[str, Any]]:
        """The published depositions and the drafts of the owner of the token, newest first, with their files."""
        found: list[dict[str, Any]] = []
        page = 1
        while True:
            rows = api.get(_DEPOSITIONS, size=_PAGE, page=page, sort="mostrecent")
            found += rows or []
            if not rows or len(rows) < _PAGE:
                return found
            page += 1

    def _public(self, api: ZenodoApi) -> tuple[str, dict[str, Any] | None]:
        """The ID of the newest published version of --concept, and the record of this version, if it is published."""
        newest = api.get(f"api/records/{self._concept}")
        if newest is None:
            raise _RequestError(f"{api.base}/records/{self._concept} does not exist; check --concept")
        if str(newest.get("conceptrecid")) != self._concept:
            raise _RequestError(
                f"{self._concept} is one version at {api.base}; give the ID of all its versions: --concept "
                f"{newest.get('conceptrecid')}"
            )
        page = 1
        while True:
            answer = api.get(f"api/records/{newest['id']}/versions", size=_PUBLIC_PAGE, page=page) or {}
            records = (answer.get("hits") or {}).get("hits") or []
            for record in records:
                if (record.get("metadata") or {}).get("version") == self._release.version:
                    return str(newest["id"]), api.get(f"api/records/{record['id']}")
            if len(records) < _PUBLIC_PAGE:
                return str(newest["id"]), None
            page += 1

    def _changes(self, own: _Archive, draft: dict[str, Any] | None) -> tuple[Change, ...]:
        there = _files(draft or {})
        action = SEND if own.name not in there else SAME if there[own.name] == own.md5 else REPLACE
        sizes = {file.get("filename"): int(file.get("filesize") or 0) for file in (draft or {}).get("files") or ()}
        others = [Change(DELETE, name, sizes.get(name, 0)) for name in sorted(there) if name != own.name]
        return Change(action, own.name, own.bytes, own.sha256), *self._members(), *others

    def _members(self) -> Iterator[Change]:
        for name, file in self._release.files.items():
            yield Change(CONTAINS, f"  {name}", file.bytes, file.sha256)

    @contextmanager
    def _packed(self) -> Iterator[IO[bytes]]:
        with archive.packed(self._release.folder) as (name, handle):
            digests = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
            size = 0
            while chunk := handle.read(1 << 20):
                size += len(chunk)
                for digest in digests:
                    digest.update(chunk)
            own = _Archive(name, size, *(digest.hexdigest() for digest in digests))
            if self._archive not in (None, own):
                raise HgldError(f"{self._release.folder} changed after it was compared; run the command again")
            self._archive = own
            handle.seek(0)
            yield handle

    def _own(self) -> _Archive:
        assert self._archive is not None
        return self._archive


class _RequestError(HgldError):
    """What was asked for contradicts what Zenodo has, so it is refused also where nothing would be sent."""


def _whole(api: ZenodoApi, drafts: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The first of the drafts, with its files, which a list of depositions need not have; None without any."""
    return _checked(api.get(f"{_DEPOSITIONS}/{drafts[0]['id']}"), api) if drafts else None


def _checked(draft: Any, api: ZenodoApi) -> dict[str, Any]:
    """A deposition. Raises HgldError when the answer is none."""
    if not isinstance(draft, dict) or "id" not in draft or not (draft.get("links") or {}).get("bucket"):
        raise HgldError(f"{api.base}: expected a deposition with a bucket for its files; check the address")
    return draft


def _text(value: Any) -> str:
    """A value of the metadata as it is sent."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _address(draft: dict[str, Any]) -> str:
    return str((draft.get("links") or {}).get("html") or f"deposition {draft.get('id')}")


def _files(record: dict[str, Any]) -> dict[str, str]:
    """File name → MD5 of a deposition, or of a public record, which have their own words for them."""
    return {str(file.get("filename") or file.get("key")): _md5(file) for file in record.get("files") or ()}


def _md5(file: dict[str, Any]) -> str:
    return str(file.get("checksum") or "").removeprefix("md5:")
