"""How fast an endpoint is asked: requests apart from each other, and none at all while it says wait."""

import threading
import time
from collections.abc import Callable


class StoppedError(Exception):
    """The conversation was called off: another question failed for good."""


class Pace:
    """One conversation with an endpoint, shared by all threads that take part in it.

    `turn` waits until the next request may start; `hold` puts off everybody's next request, since a server that says
    "wait" means the client, not one of its connections. `requests` and `kept` count what was asked and what a cache
    answered.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self.requests = 0
        self.kept = 0
        self._clock = clock
        self._stop = threading.Event()
        self._wait = wait or self._stop.wait
        self._lock = threading.Lock()
        self._next = 0.0

    def turn(self, pause_s: float) -> None:
        """Return when a request may start; the one after it may start `pause_s` later.

        Raises StoppedError once `stop` was called.
        """
        while not self._stop.is_set():
            with self._lock:
                now = self._clock()
                if now >= self._next:
                    self._next = now + pause_s
                    self.requests += 1
                    return
                left = self._next - now
            self._wait(left)
        raise StoppedError

    def hold(self, seconds: float) -> None:
        """No request starts within the next `seconds`."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)

    def count_kept(self) -> None:
        """Note that a question was answered by the cache."""
        with self._lock:
            self.kept += 1

    def stop(self) -> None:
        """Let every waiting and every later `turn` fail, until `start`."""
        self._stop.set()

    def start(self) -> None:
        """Take turns again."""
        self._stop.clear()
