"""hf:OWNER/NAME, a dataset repository on the Hugging Face hub: one commit with all files, and the tag vVERSION on it.

huggingface_hub finds the token (HF_TOKEN, or that of `hf auth login`) and the address (HF_ENDPOINT); neither is kept
here. The tag is set last, on a commit whose files were read back, so a tagged version is always whole.
"""

import hashlib
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hgld.foundation.errors import HgldError, lacks_memory, reason
from hgld.pipeline.acquisition.retry import BusyError, RateLimiter, TransientError, call_with_retries, retry_after
from hgld.pipeline.release.folder import CHECKSUMS
from hgld.pipeline.release.publishing.plan import (
    DELETE,
    REPLACE,
    SAME,
    SEND,
    Change,
    Plan,
    Request,
    check_unchanged,
    compare,
    not_compared,
)

_TYPE, _BRANCH = "dataset", "main"
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_INSTALL = "huggingface_hub is not installed; install it: pip install 'hgld[publish]'"
_LOG_IN = "set HF_TOKEN, or run `hf auth login`, with a token of https://huggingface.co/settings/tokens that may write"
_RETRIES = 4
# The libraries with which the versions of huggingface_hub make requests: their exceptions mean that none came through.
_TRANSPORTS = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"}

Result = TypeVar("Result")


@dataclass(frozen=True)
class _State:
    """What the repository has: its last commit ("" without one), the changes to its files, and whether it is tagged.

    exists: whether it can be read; tagged: the changes to the files under the tag, None without the tag.
    """

    exists: bool
    head: str
    changes: tuple[Change, ...]
    tagged: tuple[Change, ...] | None

    @property
    def equal(self) -> bool:
        """Whether the last commit has the files of the release, and no other."""
        return self.exists and all(change.action == SAME for change in self.changes)


class HuggingFace:
    """A dataset repository; hidden files in it (.gitattributes) are the hub's and stay."""

    def __init__(self, request: Request) -> None:
        if not _REPOSITORY.fullmatch(request.place):
            raise HgldError(f"--to hf:{request.place}: expected hf:OWNER/NAME, as in hf:acme/landmarks")
        self._release, self._name = request.release, request.place
        self._tag = f"v{self._release.version}"
        self._planned_head = ""
        self._limiter = RateLimiter()

    @property
    def _address(self) -> str:
        try:
            from huggingface_hub import constants
        except ImportError:
            return f"https://huggingface.co/datasets/{self._name}"
        return f"{constants.ENDPOINT}/datasets/{self._name}"

    def plan(self, *, must_read: bool) -> Plan:
        """Compare with the branch and the tag; raises HgldError when the tag is there with other content."""
        notes, steps = [], [f"tag {self._tag} on the commit with these files"]
        try:
            state = self._call(self._state, _RETRIES if must_read else 0)
            if not state.exists:
                notes.append("no such repository, or a private one that cannot be read")
                steps.insert(0, f"create the public dataset repository {self._name}, if it does not exist")
        except HgldError as error:
            if must_read:
                raise
            notes.append(not_compared(error, "the files are shown as if the repository were empty"))
            state = _State(False, "", compare(self._release, {}), None)
        self._planned_head = state.head
        if state.tagged is None and (foreign := self._foreign(state)):
            if must_read:
                raise HgldError(f"{self._address} {foreign}")
            notes.append(f"with --yes this is refused: the repository {foreign}")
        if state.tagged is not None:
            check_unchanged(f"the tag {self._tag} of {self._address}", state.tagged)
            changes, steps = state.tagged, []
        else:
            changes = state.changes
        return Plan(
            f"hf:{self._name}",
            self._address,
            f"{self._release.version}, tag {self._tag}",
            changes,
            steps=tuple(steps),
            complete=state.tagged is not None,
            notes=tuple(notes),
        )

    def _foreign(self, state: _State) -> str:
        """Why the repository is not that of releases, as after a mistyped name; "" if it may be."""
        deleted = [change.name for change in state.changes if change.action == DELETE]
        if not deleted or any(change.name == CHECKSUMS and change.action != SEND for change in state.changes):
            return ""
        return (
            f"has {len(deleted):,} other file(s), such as {deleted[0]}, and no {CHECKSUMS}, so it holds no release; "
            "check OWNER/NAME, or delete these files on the site"
        )

    def send(self) -> Iterator[str]:
        """Create the repository where it is missing, commit what differs, read it back, and set the tag."""
        if not _library().get_token():
            raise HgldError(f"no token for {self._address}; {_LOG_IN}")
        commit = self._call(self._complete, _RETRIES)
        yield f"published {self._address}/tree/{self._tag} (commit {commit[:12]})"

    def _complete(self) -> str:
        """Do what is left, whatever an earlier call has done; the commit that is tagged."""
        hub, state = _library().HfApi(), self._state()
        if not state.exists:
            hub.create_repo(self._name, repo_type=_TYPE, exist_ok=True)
            state = self._state()
        if state.tagged is not None:
            check_unchanged(f"the tag {self._tag} of {self._address}", state.tagged)
            return state.head
        if not state.equal:
            self._check_head(state)
            self._commit(hub, state)
            state = self._state()
        if not state.equal:
            raise HgldError(
                f"{self._address}: the files read back are not those of the release, so it has no tag {self._tag}; "
                "run the command again to see how they differ"
            )
        hub.create_tag(self._name, tag=self._tag, revision=state.head, repo_type=_TYPE, tag_message=self._release.title)
        return state.head

    def _check_head(self, state: _State) -> None:
        """Raise HgldError when someone else has committed since the plan was shown."""
        begun = not self._planned_head and not any(change.action in (REPLACE, DELETE) for change in state.changes)
        if state.head != self._planned_head and not begun:
            raise HgldError(f"{self._address} changed after it was compared; run the command again")

    def _commit(self, hub: Any, state: _State) -> None:
        library, files = _library(), self._release.files
        operations = []
        for change in state.changes:
            if change.action in (SEND, REPLACE):
                operations.append(library.CommitOperationAdd(change.name, files[change.name].path))
            elif change.action == DELETE:
                operations.append(library.CommitOperationDelete(change.name, is_folder=False))
        with warnings.catch_warnings():  # what the hub remarks on the head of README.md; an error of it is raised
            warnings.simplefilter("ignore")
            hub.create_commit(
                self._name,
                operations,
                commit_message=self._release.title,
                repo_type=_TYPE,
                revision=_BRANCH,
                parent_commit=state.head or None,
            )

    def _state(self) -> _State:
        hub = _library().HfApi()
        try:
            refs = hub.list_repo_refs(self._name, repo_type=_TYPE)
        except _library().errors.RepositoryNotFoundError as error:
            if error.response.status_code == 401 and _library().get_token():
                raise
            return _State(False, "", compare(self._release, {}), None)
        heads = [branch.target_commit for branch in refs.branches if branch.name == _BRANCH]
        tags = [tag.name for tag in refs.tags]
        head = heads[0] if heads else ""
        changes = self._changes(hub, head) if head else compare(self._release, {})
        return _State(True, head, changes, self._changes(hub, self._tag) if self._tag in tags else None)

    def _changes(self, hub: Any, revision: str) -> tuple[Change, ...]:
        files = hub.list_repo_tree(self._name, recursive=True, revision=revision, repo_type=_TYPE)
        there = {
            file.path: (file.size, self._equal(file))
            for file in files
            if hasattr(file, "size") and not file.path.startswith(".")
        }
        return compare(self._release, there)

    def _equal(self, file: Any) -> bool:
        """Whether a file of the hub is that of the release: by SHA-256 where the hub has it, else by the id of git."""
        own = self._release.files.get(file.path)
        if own is None or own.bytes != file.size:
            return False
        return bool(file.lfs.sha256 == own.sha256 if file.lfs else file.blob_id == _git_id(own.path))

    def _call(self, action: Callable[[], Result], retries: int) -> Result:
        """What `action` returns, with retries for what may pass; raises HgldError with one line of what to do."""

        def attempt() -> Result:
            try:
                return action()
            except HgldError:
                raise
            except Exception as error:  # the library passes on what its HTTP client and its storage raise
                raise self._explained(error) from None

        library = _library()
        if not sys.stderr.isatty():
            library.utils.disable_progress_bars()
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its notes on retries
        return call_with_retries(attempt, self._address, self._limiter, retries)

    def _explained(self, error: Exception) -> Exception:
        """The exception of a library as HgldError or TransientError; others are returned as they are."""
        causes, text = _chain(error), self._safe(reason(error))
        if text.startswith("Invalid metadata in README.md"):  # the hub checks it before it takes anything
            return HgldError(f"{self._address}: the hub refuses the release: {text}")
        response = next((found for cause in causes if (found := getattr(cause, "response", None)) is not None), None)
        headers = response.headers if response is not None else {}
        status = response.status_code if response is not None else _status_in_text(causes)
        if not status:
            if any(map(_is_of_a_request, causes)):
                return TransientError(f"no connection ({self._safe(reason(causes[-1]))})")
            if isinstance(error, RuntimeError) and not lacks_memory(error):
                return TransientError(f"the upload failed ({text})")
            if isinstance(error, ValueError | KeyError | TypeError):
                return HgldError(
                    f"{self._address}: the answer is not that of a hub ({text}); a proxy or a login page may be "
                    "answering; check HF_ENDPOINT"
                )
            return error
        said = self._safe(_said(error, headers))
        if status == 429 or status >= 500:
            return BusyError(f"HTTP {status}{said}", retry_after(self._address, headers.get("Retry-After")))
        remedies = {
            401: f"the token is not valid, or there is none; {_LOG_IN}",
            403: f"the token may not write there; use one with write access to {self._name.split('/')[0]}",
            404: "not found; check OWNER and NAME",
            409: "the repository is being changed by someone else; run the command again",
            412: "the repository changed after it was compared; run the command again",
        }
        return HgldError(f"{self._address}: HTTP {status}{said}: {remedies.get(status, 'the hub refuses it')}")

    def _safe(self, text: str) -> str:
        """A text of the hub without the token, should it repeat it."""
        token = _library().get_token()
        return (text.replace(token, "(token)") if token else text)[:300]


def _is_of_a_request(error: BaseException) -> bool:
    """Whether an exception says that a request did not come through."""
    modules = {cls.__module__.split(".")[0] for cls in type(error).__mro__}
    return bool(modules & _TRANSPORTS) or isinstance(error, ConnectionError | TimeoutError)


def _chain(error: BaseException) -> list[BaseException]:
    """An exception, and those that it was raised from."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__
    return found


def _status_in_text(causes: list[BaseException]) -> int:
    """The HTTP status that the library of the hub's large storage only has in its message; 0 for none."""
    found = [match for cause in causes if (match := re.search(r"\((\d{3}) [A-Z]", str(cause)))]
    refused = any(isinstance(cause, PermissionError) and not cause.filename for cause in causes)
    return int(found[0][1]) if found else 401 if refused else 0


def _said(error: Exception, headers: Mapping[str, str]) -> str:
    """What the hub says about an error, after a space and in brackets."""
    text = getattr(error, "server_message", None) or headers.get("X-Error-Message") or ""
    text = " ".join(str(text).split())
    return f" ({text})" if text else ""


def _git_id(path: Path) -> str:
    """The id by which git names the content of a file."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _library() -> Any:
    """The package huggingface_hub. Raises HgldError when it is not installed."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError:
        raise HgldError(_INSTALL) from None
    return huggingface_hub
