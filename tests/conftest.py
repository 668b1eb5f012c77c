"""What all tests share: the hostile server, and the table of faults and outcomes that ends a run."""

from collections.abc import Iterator

import hypothesis
import pytest

from tests.fault_table import FaultTable
from tests.hostile_server import HostileServer

# A disk or a neighbour may be slow for a moment; no test is about time.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

_TABLE = FaultTable()


@pytest.fixture(scope="session")
def fault_table() -> FaultTable:
    """The run's table: `fault_table.add(part, fault, outcome)`; it is printed after the last test."""
    return _TABLE


@pytest.fixture
def hostile() -> Iterator[HostileServer]:
    """A server of one's own on loopback; see tests/hostile_server.py."""
    with HostileServer() as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if lines := _TABLE.lines():
        terminalreporter.section("faults and outcomes")
        for line in lines:
            terminalreporter.write_line(line)
