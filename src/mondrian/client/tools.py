"""Tools for language models, over the Model Context Protocol: a critique, the list of them, a
report, and a comparison.

1. A tool is a request to a server of Mondrian, so what it begins is a job like any other: it goes
   on when the caller leaves, and the page shows it.
2. Photos are read below the ``roots`` alone, links followed first. What is read is sent to the
   server only, which refuses all that is no photo.
3. ``Client`` is synchronous: a tool works in a thread, with a client of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from anyio import from_thread, to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from mondrian import __version__
from mondrian.client.client import Client
from mondrian.errors import EngineFailed, InvalidRequest, JobConflict, MondrianError
from mondrian.jobs.job import Status
from mondrian.purpose import MAX_INTENT

T = TypeVar("T")

Report = Callable[[float, str], None]
"""Tells how far the work is, in percent, and what it does."""

MAX_LISTED = 100
MAX_COMPARED = 20

_INSTRUCTIONS = (
    "Mondrian critiques photographs in the spirit of an advisor, in eight dimensions with scores "
    "from 1 to 10, and measures what can be measured. Its critiques are not yours to change: quote "
    "scores as they are."
)

_Photo = Annotated[
    str, Field(description="The path of a photo, absolute or below one of the folders.")
]
_Advisor = Annotated[
    str, Field(description="Who critiques: an id such as ansel or okeefe, several with commas.")
]
_Intent = Annotated[
    str,
    Field(
        max_length=MAX_INTENT,
        description="What the photographer meant, in their words: what is on purpose.",
    ),
]
_Limit = Annotated[int, Field(ge=1, le=MAX_LISTED, description="How many at most.")]
_Job = Annotated[str, Field(description="The id of a critique, or the first letters of it.")]
_Jobs = Annotated[
    list[str],
    Field(
        min_length=1,
        max_length=MAX_COMPARED,
        description="Ids of critiques; one is enough if several advisors made it.",
    ),
]


def make_tools(connect: Callable[[], Client], roots: Sequence[Path]) -> MCPServer:
    """Return the MCP server with the four tools, which ask the server of ``connect`` and read
    photos below ``roots``."""
    server = MCPServer(
        "mondrian", version=__version__, instructions=_INSTRUCTIONS, log_level="WARNING"
    )
    resolved = [each.expanduser().resolve() for each in roots]
    named = ", ".join(map(str, resolved)) or "no folder"
    tools = _Tools(connect, resolved)
    for name, function, words in (
        ("critique", tools.critique, f"Critique a photo below {named}; none is read elsewhere."),
        (
            "list",
            tools.list_jobs,
            "List critiques, newest first: id, state, score, photo, advisors.",
        ),
        ("report", tools.read_report, "Return a critique that is done, as Markdown."),
        ("compare", tools.compare, "Compare the scores of critiques, by dimension, in a table."),
    ):
        server.add_tool(function, name=name, description=words, structured_output=False)
    return server


class _Tools:
    """The four tools: each does its work in a thread, with a client of its own."""

    def __init__(self, connect: Callable[[], Client], roots: Sequence[Path]) -> None:
        self._connect = connect
        self._roots = roots

    async def critique(
        self, photo: _Photo, ctx: Context, advisor: _Advisor = "", intent: _Intent = ""
    ) -> str:
        report = partial(_report_progress, ctx)
        return await _run(
            lambda: _critique(
                self._connect, find_photo(photo, self._roots), advisor, intent, report
            )
        )

    async def list_jobs(self, limit: _Limit = 20) -> str:
        return await _run(lambda: _list(self._connect, limit))

    async def read_report(self, job: _Job) -> str:
        return await _run(lambda: _read_report(self._connect, job))

    async def compare(self, jobs: _Jobs) -> str:
        return await _run(lambda: _compare(self._connect, jobs))


def find_photo(name: str, roots: Sequence[Path]) -> Path:
    """Return the file ``name``, an absolute path or one below a root. Raise ``InvalidRequest``
    unless it is a file below one of ``roots``, after links are followed."""
    for root in roots:
        try:
            path = (root / Path(name).expanduser()).resolve()
            if path.is_relative_to(root) and path.is_file():
                return path
        except (OSError, ValueError, RuntimeError):
            continue
    named = ", ".join(map(str, roots)) or "no folder: start `mondrian mcp` with --root FOLDER"
    raise InvalidRequest(f"There is no such photo where this server may read, which is {named}.")


async def _run(work: Callable[[], T]) -> T:
    """Return what ``work`` returns, in a thread. Raise ``ToolError``, which the caller reads."""
    try:
        return await to_thread.run_sync(work, abandon_on_cancel=True)
    except MondrianError as exc:
        raise ToolError(exc.message) from exc


def _report_progress(ctx: Any, percent: float, message: str) -> None:
    from_thread.run(partial(ctx.report_progress, percent, total=100, message=message))


def _critique(
    connect: Callable[[], Client], photo: Path, advisor: str, intent: str, report: Report
) -> str:
    with connect() as client:
        job = client.submit(photo, advisor=advisor or None, intent=intent)["job_id"]
        for event in client.watch(job):
            if event.type == "thinking_update":
                report(event.fields.get("percent") or 0, str(event.fields["thinking"]))
            elif event.type == "error":
                error = event.fields["error"]
                raise EngineFailed(f"Critique {job} failed: {error['message']}")
            elif event.type == "done" and event.fields["status"] == Status.CANCELLED:
                raise JobConflict(f"Critique {job} was cancelled.")
        return _join(client.export(job, "md"), job)


def _join(markdown: bytes, job: str) -> str:
    return f"{markdown.decode()}\nCritique {job}\n"


def _list(connect: Callable[[], Client], limit: int) -> str:
    with connect() as client:
        jobs, names = client.jobs(limit), client.advisors()
    rows = [
        (
            job["job_id"],
            job["status"],
            _format(job["score"]),
            job["filename"],
            ", ".join(names.get(each, each) for each in job["advisor"].split(",")),
            job["created_at"],
        )
        for job in jobs
    ]
    head = ("critique", "state", "score", "photo", "advisors", "made")
    return _make_table(head, rows) if rows else "There are no critiques yet."


def _read_report(connect: Callable[[], Client], job: str) -> str:
    with connect() as client:
        job = client.find(job)
        return _join(client.export(job, "md"), job)


def _compare(connect: Callable[[], Client], jobs: Sequence[str]) -> str:
    columns: list[tuple[str, Mapping[str, Any]]] = []
    with connect() as client:
        for job in dict.fromkeys(client.find(each) for each in jobs):
            name = str(client.status(job)["filename"])
            for each in client.report(job)["reports"]:
                columns.append((f"{name}: {each['advisor_name'] or each['advisor']}", each))
    scores = [
        {each["name"]: each["score"] for each in report["dimensions"]} for _, report in columns
    ]
    rows = []
    for name in dict.fromkeys(name for each in scores for name in each):
        cells = [each.get(name) for each in scores]
        known = [each for each in cells if each is not None]
        spread = max(known) - min(known) if known else 0.0
        rows.append((name, *map(_format, cells), f"{spread:.1f}"))
    overall = ("Overall", *(_format(each["overall_score"]) for _, each in columns), "")
    return _make_table(("dimension", *(title for title, _ in columns), "spread"), [*rows, overall])


def _format(score: float | None) -> str:
    return "" if score is None else f"{score:.1f}"


def _make_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_escape(cell) for cell in line)} |" for line in lines)


def _escape(cell: str) -> str:
    return " ".join(str(cell).split()).replace("|", "\\|")
