"""Asking again: which faults may pass, how long to wait before the next try, and when to give up."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from urllib3.exceptions import MaxRetryError
from urllib3.util import Retry

from hgld.foundation.errors import HgldError

LONGEST_WAIT_S = 600.0

Result = TypeVar("Result")


class TransientError(Exception):
    """A fault that may be gone when the request is made again, at the earliest after `retry_after` seconds."""

    def __init__(self, what: str, retry_after: float = 0.0) -> None:
        super().__init__(what)
        self.retry_after = retry_after


class StoppedError(HgldError):
    """The run ends: another of its files failed for good, or the user pressed Ctrl-C."""


class Gate:
    """Shut for all requests of a run while the server asks to be left alone, and for good when the run stops."""

    def __init__(self) -> None:
        self._until = 0.0
        self._stopped = threading.Event()

    def shut_for(self, seconds: float) -> None:
        """Let no request through for so long."""
        self._until = max(self._until, time.monotonic() + seconds)

    def stop(self) -> None:
        """Let nobody through again."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether the run stops."""
        return self._stopped.is_set()

    def sleep(self, seconds: float) -> None:
        """Wait. Raises StoppedError as soon as the run stops."""
        if self._stopped.wait(max(seconds, 0.0)):
            raise StoppedError("the run was stopped")

    def pass_through(self) -> None:
        """Wait until the gate is open. Raises StoppedError as soon as the run stops."""
        self.sleep(0.0)
        while (wait := self._until - time.monotonic()) > 0:
            self.sleep(wait)


def patiently(
    place: str,
    attempt: Callable[[], Result],
    gate: Gate,
    retries: int,
    progress: Callable[[], int] = lambda: 0,
) -> Result:
    """What `attempt` gives, tried again after a TransientError at growing, jittered intervals.

    progress: a number that grows while an attempt gets on; tries that got on are not counted against `retries`.

    Raises HgldError that names `place` and the last fault when the tries are used up.
    """
    policy = Retry(total=retries, backoff_factor=0.5, backoff_jitter=0.5, backoff_max=60)
    left, reached = policy, progress()
    while True:
        gate.pass_through()
        try:
            return attempt()
        except TransientError as fault:
            if progress() > reached:
                left, reached = policy, progress()
            try:
                left = left.increment(error=fault)
            except MaxRetryError:
                tries = f" (tried {retries + 1} times)" if retries else ""
                raise HgldError(f"{place}: {fault}{tries}; run the stage again later") from None
            gate.sleep(max(fault.retry_after, left.get_backoff_time(), random.uniform(0.0, 0.5)))


def retry_after(place: str, headers: Mapping[str, str]) -> float:
    """The seconds that a Retry-After header asks for, 0 without one or when it makes no sense.

    Raises HgldError when they are too many to wait here.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)
    else:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    if seconds > LONGEST_WAIT_S:
        raise HgldError(
            f"{place}: the server asks to wait {seconds:.0f} s; run the stage again after that time"
        )
    return max(seconds, 0.0)
