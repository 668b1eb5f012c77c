"""The retry policy of all requests, for files and for SPARQL: transient faults, backoff, Retry-After, rate limit.

`RateLimiter` spaces the requests to a server, `call_with_retries` repeats the failed ones.
"""

import math
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar

from hgld.foundation.errors import HgldError

MAX_RETRY_AFTER_S = 600.0
_BACKOFF_BASE_S = 1.0
_MAX_BACKOFF_S = 60.0

Result = TypeVar("Result")


class TransientError(Exception):
    """A fault of one request that a retry may repair: a broken connection, a truncated or malformed response."""


class BusyError(TransientError):
    """The server throttles or fails (429, 5xx), so all requests to it are held back, at least `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after or 0.0


class StoppedError(HgldError):
    """The run was cancelled: another request failed for good, or the user pressed Ctrl-C."""

    def __init__(self) -> None:
        super().__init__("the run was stopped")


class RateLimiter:
    """The requests to one server, from all threads of a run.

    A hold applies to every thread: a server that answers "wait" means the client, not one of its connections.
    `requests` counts the requests that were started, `cache_hits` those that a cache made unnecessary.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self.requests = 0
        self.cache_hits = 0
        self._clock = clock
        self._stop = threading.Event()
        self._wait = wait or self._stop.wait
        self._lock = threading.Lock()
        self._next_start = 0.0

    def wait_turn(self, pause_s: float = 0.0) -> None:
        """Block until a request may start; the next one may start `pause_s` later. Raises StoppedError."""
        while True:
            self.check()
            with self._lock:
                now = self._clock()
                remaining = self._next_start - now
                if remaining <= 0:
                    self._next_start = now + pause_s
                    self.requests += 1
                    return
            self._wait(remaining)

    def hold(self, seconds: float) -> None:
        """Let no request start within the next `seconds`."""
        with self._lock:
            self._next_start = max(self._next_start, self._clock() + seconds)

    def sleep(self, seconds: float) -> None:
        """Delay the calling thread only. Raises StoppedError."""
        self._wait(seconds)
        self.check()

    def check(self) -> None:
        """Raise StoppedError once `stop` was called."""
        if self.stopped:
            raise StoppedError

    def count_cache_hit(self) -> None:
        """Count a response that came from a cache."""
        with self._lock:
            self.cache_hits += 1

    def stop(self) -> None:
        """Make every waiting and every later call fail, until `restart`."""
        self._stop.set()

    def restart(self) -> None:
        """Allow requests again after `stop`."""
        self._stop.clear()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()


def call_with_retries(
    attempt: Callable[[], Result],
    location: str,
    limiter: RateLimiter,
    retries: int,
    *,
    pause_s: float = 0.0,
    progress: Callable[[], int] = lambda: 0,
) -> Result:
    """Call `attempt` until it returns, at most `retries` more times after a TransientError.

    pause_s: minimum time between the starts of two requests.
    progress: a number that grows while attempts advance; an attempt that advanced resets the count of failures.

    Raises HgldError that names `location` and the last fault when the retries are exhausted.
    """
    failures, reached = 0, progress()
    while True:
        limiter.wait_turn(pause_s)
        try:
            return attempt()
        except TransientError as fault:
            if progress() > reached:
                failures, reached = 0, progress()
            if failures == retries:
                tries = f" (tried {retries + 1} times)" if retries else ""
                raise HgldError(f"{location}: {fault}{tries}; try again later") from None
            delay = full_jitter(failures)
            if isinstance(fault, BusyError):
                limiter.hold(max(delay, fault.retry_after))
            else:
                limiter.sleep(delay)
            failures += 1


def full_jitter(failures: int) -> float:
    """Exponential backoff with full jitter, in seconds: uniform in [0, min(60, 2**failures)].

    The whole wait is random, so that clients that failed together do not retry in lockstep.
    """
    return random.uniform(0.0, min(_MAX_BACKOFF_S, _BACKOFF_BASE_S * 2.0 ** min(failures, 16)))


def retry_after(location: str, header: str | None) -> float | None:
    """The seconds to wait that a Retry-After header gives; None without a header or for a malformed one.

    Decimal seconds are accepted, though RFC 9110 only has whole ones. A date without a zone is in GMT (RFC 9110,
    5.6.7). A time in the past is 0.

    Raises HgldError when the wait is longer than MAX_RETRY_AFTER_S.

    >>> retry_after("https://example.org", "1.5"), retry_after("https://example.org", "soon")
    (1.5, None)
    """
    try:
        seconds = float(header or "")
    except ValueError:
        try:
            date = parsedate_to_datetime(header or "")
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    if not math.isfinite(seconds):
        return None
    if seconds > MAX_RETRY_AFTER_S:
        raise HgldError(
            f"{location}: the server asks to wait {seconds:,.0f} s; run the command again after that time: what was "
            "completed is kept"
        )
    return max(seconds, 0.0)
