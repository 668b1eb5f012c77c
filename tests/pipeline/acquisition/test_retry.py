"""The retry policy: Retry-After, backoff, giving up, and the rate limit of all requests to a server."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.acquisition import retry
from hgld.pipeline.acquisition.retry import (
    BusyError,
    RateLimiter,
    StoppedError,
    TransientError,
    call_with_retries,
    full_jitter,
    retry_after,
)
from tests.pipeline.acquisition.fake_clock import FakeClock

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
TOO_LONG = "too long"
# header → the seconds; None: as without a header
HEADERS = {
    "7": 7.0,
    "1.5": 1.5,
    " 2 ": 2.0,
    "0": 0.0,
    "600": 600.0,
    "-3": 0.0,
    "601": TOO_LONG,
    "86400": TOO_LONG,
    "1e9": TOO_LONG,
    "Mon, 04 May 2026 12:01:30 GMT": 90.0,
    "Mon, 04 May 2026 14:01:30 +0200": 90.0,
    "Monday, 04-May-26 12:01:30 GMT": 90.0,  # RFC 850
    "Mon May  4 12:01:30 2026": 90.0,  # asctime, which has no zone
    "Mon, 04 May 2026 12:01:30": 90.0,
    "Mon, 04 May 2026 12:01:30 -0000": 90.0,
    "Mon, 01 Jan 1990 00:00:00 GMT": 0.0,
    "Thu, 01 Jan 2099 00:00:00 GMT": TOO_LONG,
    "Thu, 01 Jan 2099 00:00:00": TOO_LONG,
    "Mon, 01 Jan 99999 00:00:00 GMT": None,
    "Mon, 04 May 2026 12:01:30 +99999999999": None,
    "nan": None,
    "inf": None,
    "-inf": None,
    "soon": None,
    "": None,
    None: None,
}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
@pytest.mark.parametrize("header", HEADERS)
def test_retry_after_is_read_the_same_in_every_time_zone(
    monkeypatch: pytest.MonkeyPatch, header: str | None, zone: str
) -> None:
    """Two readers used to disagree: for "1.5" one waited 1.5 s and the other 0 s; a date without a zone was local."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    monkeypatch.setattr(retry.time, "time", NOW.timestamp)
    try:
        if HEADERS[header] == TOO_LONG:
            with pytest.raises(HgldError, match=r"^http://s/x: the server asks to wait [\d,]+ s; run .* again"):
                retry_after("http://s/x", header)
        else:
            assert retry_after("http://s/x", header) == HEADERS[header]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_date_counts_from_now() -> None:
    header = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=False)
    assert 28.0 < (retry_after("x", header) or 0.0) <= 30.0  # such a date has whole seconds


def test_full_jitter_is_uniform_below_an_exponential_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry.random, "uniform", lambda low, high: (low, high))
    bounds = [full_jitter(failures) for failures in (0, 1, 2, 5, 6, 5000)]
    assert bounds == [(0.0, 1.0), (0.0, 2.0), (0.0, 4.0), (0.0, 32.0), (0.0, 60.0), (0.0, 60.0)]


def _failing(*faults: Exception) -> Callable[[], str]:
    remaining = list(faults)

    def attempt() -> str:
        if remaining:
            raise remaining.pop(0)
        return "result"

    return attempt


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    monkeypatch.setattr(retry.random, "uniform", lambda low, high: high)
    return FakeClock()


def test_the_wait_doubles_and_is_at_least_what_the_server_asks_for(clock: FakeClock) -> None:
    limiter = RateLimiter(clock, clock.wait)
    faults = TransientError("reset"), BusyError("429", 7.0), BusyError("503"), BusyError("429", 0.5)
    assert call_with_retries(_failing(*faults), "x", limiter, retries=4) == "result"
    assert clock.waits == [1.0, 7.0, 4.0, 8.0]


def test_only_a_busy_server_holds_back_other_requests(clock: FakeClock) -> None:
    limiter = RateLimiter(clock, clock.wait)

    def other_request(fault: Exception) -> float:
        start = clock.now

        def sleeping(seconds: float) -> None:
            raise StoppedError

        limiter._wait = sleeping
        with pytest.raises(StoppedError):
            call_with_retries(_failing(fault), "x", limiter, retries=1)
        limiter._wait = clock.wait
        limiter.wait_turn()
        return clock.now - start

    assert other_request(TransientError("reset")) == 0.0
    assert other_request(BusyError("503")) == 1.0


@pytest.mark.parametrize(("retries", "tries"), [(0, ""), (2, r" \(tried 3 times\)")])
def test_giving_up_names_the_location_the_last_fault_and_the_number_of_tries(
    clock: FakeClock, retries: int, tries: str
) -> None:
    faults = [TransientError(f"fault {number}") for number in range(9)]
    limiter = RateLimiter(clock, clock.wait)
    with pytest.raises(HgldError, match=rf"^http://s/x: fault {retries}{tries}; try again later$"):
        call_with_retries(_failing(*faults), "http://s/x", limiter, retries)
    assert limiter.requests == retries + 1


def test_an_attempt_that_advanced_resets_the_count_of_failures(clock: FakeClock) -> None:
    faults = [TransientError("reset") for _ in range(6)]
    limiter = RateLimiter(clock, clock.wait)
    attempt = _failing(*faults)
    assert call_with_retries(attempt, "x", limiter, 1, progress=lambda: limiter.requests) == "result"
    assert clock.waits == [1.0] * 6


def test_other_errors_are_not_retried(clock: FakeClock) -> None:
    limiter = RateLimiter(clock, clock.wait)
    with pytest.raises(HgldError, match=r"^no such file$"):
        call_with_retries(_failing(HgldError("no such file")), "x", limiter, retries=3)
    assert limiter.requests == 1


def test_requests_are_spaced_and_a_hold_delays_them_all() -> None:
    clock = FakeClock()
    limiter = RateLimiter(clock, clock.wait)
    for _ in range(3):
        limiter.wait_turn(2.0)
    assert clock.waits == [2.0, 2.0]
    limiter.hold(30.0)
    limiter.hold(1.0)  # a shorter hold does not end a longer one
    limiter.wait_turn(2.0)
    assert clock.now == 34.0
    assert limiter.requests == 4


def test_sleep_delays_the_calling_thread_only() -> None:
    clock = FakeClock()
    limiter = RateLimiter(clock, clock.wait)
    limiter.sleep(5.0)
    assert clock.waits == [5.0]
    limiter.wait_turn()
    assert clock.waits == [5.0]


def test_stop_wakes_waiting_threads_and_restart_allows_requests_again() -> None:
    limiter = RateLimiter()
    limiter.hold(60.0)
    outcomes = []

    def wait() -> None:
        try:
            limiter.wait_turn()
        except StoppedError:
            outcomes.append("stopped")

    threads = [threading.Thread(target=wait) for _ in range(3)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    limiter.stop()
    for thread in threads:
        thread.join(30)
    assert outcomes == ["stopped"] * 3 and time.monotonic() - started < 30
    for call in (limiter.wait_turn, limiter.check, lambda: limiter.sleep(60.0)):
        with pytest.raises(StoppedError):
            call()
    limiter.restart()
    limiter.sleep(0.0)
    limiter.check()
