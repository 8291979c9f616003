"""The table of results: each test adds its row, and all are printed at the end."""

from collections.abc import Callable, Iterable, Iterator

import pytest

from mondrian.client import StreamEvent
from support.attacks import MAX_BYTES, Attack, Target, Watch, attacked

TITLES = ["fault", "what was seen", "lost", "twice", "seconds"]
ATTACK_TITLES = ["attack", "what came", "seconds", "MB", "slowest /health"]


class Row:
    """What a fault did: events, tokens or jobs ``lost`` and come ``twice``, and the ``seconds``
    from the fault until the work went on."""

    def __init__(self, fault: str) -> None:
        self.cells = [fault, "THE TEST FAILED", "-", "-", "-"]

    def tell(
        self, seen: str, *, lost: int = 0, twice: int = 0, seconds: float | None = None
    ) -> None:
        """Fill the row. Raises ``AssertionError`` if anything was lost or came twice."""
        assert (lost, twice) == (0, 0), seen
        went_on = "-" if seconds is None else f"{seconds:.1f}"
        self.cells[1:] = [seen, str(lost), str(twice), went_on]


Fault = Callable[[str], Row]


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Fault:
    """Begin the row of a fault, by its name. The row is filled when all was found as it should
    be."""

    def begin(name: str) -> Row:
        row = Row(name)
        # this way it reaches the process that prints, whichever runs the test
        request.node.user_properties.append(("fault", row.cells))
        return row

    return begin


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server with keys, of the attacks of one module."""
    with attacked(tmp_path_factory.mktemp("target")) as target:
        yield target


Attacking = Callable[[str, Target, Attack], None]


@pytest.fixture
def attack(request: pytest.FixtureRequest) -> Attacking:
    """Make an attack, by its name, on a target, and tell its row: what came, the seconds it took,
    the memory of all of Mondrian's processes and the slowest answer of ``/health`` meanwhile."""

    def make(name: str, target: Target, how: Attack) -> None:
        cells = [name, "IT FELL", "-", "-", "-"]
        request.node.user_properties.append(("attack", cells))
        with Watch(target) as watch:
            came = how(target)
        assert watch.bytes < MAX_BYTES
        assert watch.slowest < 60
        figures = (f"{watch.seconds:.1f}", f"{watch.bytes / 1e6:.0f}", f"{watch.slowest:.2f}")
        cells[1:] = [came, *figures]

    return make


def gaps(events: Iterable[StreamEvent]) -> tuple[int, int]:
    """How many numbers are missing among those of ``events``, from 1 on, and how many came
    twice."""
    numbers = [event.seq for event in events if event.seq]
    return max(numbers) - len(set(numbers)), len(numbers) - len(set(numbers))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    reports = [
        each for outcome in ("passed", "failed") for each in terminalreporter.getreports(outcome)
    ]
    told = [each.user_properties for each in reports if each.when == "call"]
    for kind, titles in (("fault", TITLES), ("attack", ATTACK_TITLES)):
        rows = [cells for properties in told for name, cells in properties if name == kind]
        if rows:
            _print(terminalreporter, f"{kind}s", [titles, *sorted(rows)])


def _print(terminalreporter: pytest.TerminalReporter, title: str, table: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    terminalreporter.section(title)
    for cells in table:
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        terminalreporter.write_line(line.rstrip())
