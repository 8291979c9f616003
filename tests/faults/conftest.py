"""The table of the kit: each test tells its row, and all are printed at the end."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from mondrian.client import StreamEvent

TITLES = ("fault", "what was seen", "lost", "twice", "seconds")


@dataclass
class Row:
    """What a fault did: events, tokens or jobs ``lost`` and come ``twice``, and the ``seconds``
    from the fault until the work went on."""

    fault: str
    seen: str = "THE TEST FAILED"
    lost: int | None = None
    twice: int | None = None
    seconds: float | None = None

    def tell(
        self, seen: str, *, lost: int = 0, twice: int = 0, seconds: float | None = None
    ) -> None:
        """Fill the row. Raises ``AssertionError`` if anything was lost or came twice."""
        assert (lost, twice) == (0, 0), seen
        self.seen, self.lost, self.twice, self.seconds = seen, lost, twice, seconds

    @property
    def cells(self) -> tuple[str, ...]:
        """As text, in the order of ``TITLES``."""
        counts = ("-" if count is None else str(count) for count in (self.lost, self.twice))
        return (self.fault, self.seen, *counts, f"{self.seconds:.1f}" if self.seconds else "-")


Fault = Callable[[str], Row]
ROWS: list[Row] = []


@pytest.fixture
def fault() -> Fault:
    """Begin the row of a fault, by its name. The row is filled when all was found as it should
    be."""

    def begin(name: str) -> Row:
        ROWS.append(Row(name))
        return ROWS[-1]

    return begin


def gaps(events: Iterable[StreamEvent]) -> tuple[int, int]:
    """How many numbers are missing among those of ``events``, from 1 on, and how many came
    twice."""
    numbers = [event.seq for event in events if event.seq]
    return max(numbers) - len(set(numbers)), len(numbers) - len(set(numbers))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if not ROWS:
        return
    table = [TITLES, *(row.cells for row in ROWS)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    terminalreporter.section("faults")
    for cells in table:
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        terminalreporter.write_line(line.rstrip())
