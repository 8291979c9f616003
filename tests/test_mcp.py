"""Language models get critiques as tools, by the SDK's own client."""

import asyncio
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client

from mondrian import client as mondrian_client
from mondrian.client.tools import find_photo, make_tools
from mondrian.errors import InvalidRequest
from mondrian.jobs.job import Status
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from support.ports import find_port
from support.processes import MONDRIAN
from support.servers import make_app, running
from support.service import Service
from support.working import Hire, at_work, jpeg, recording, wait_for

Ask = Callable[[str, dict[str, Any]], Any]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photos of mine"
    folder.mkdir()
    (folder / "boats.jpg").write_bytes(jpeg())
    return folder


@pytest.fixture
def ask(service: Service, root: Path) -> Ask:
    """Calls a tool of a server in this process."""
    server = make_tools(lambda: mondrian_client.Client(service.url), [root])

    async def call(name: str, arguments: dict[str, Any]) -> Any:
        async with Client(server) as client:
            return await client.call_tool(name, arguments)

    return lambda name, arguments: asyncio.run(call(name, arguments))


def text(result: Any) -> str:
    assert not result.is_error, result
    return str(result.content[0].text)


def test_a_photo_is_critiqued(ask: Ask, service: Service) -> None:
    with service.working():
        said = text(
            ask("critique", {"photo": "boats.jpg", "advisor": "okeefe", "intent": "Low key."})
        )
    [job] = service.store.list_jobs()
    assert (job.advisors, job.intent) == (("okeefe",), "Low key.")
    assert job.filename.endswith("boats.jpg")
    assert "# Critique by" in said
    assert str(job.id) in said


def test_critiques_are_listed_reported_and_compared(ask: Ask, service: Service) -> None:
    assert text(ask("list", {})) == "There are no critiques yet."
    first, second = service.done(advisor="ansel,okeefe"), service.done()
    listed = text(ask("list", {"limit": 5}))
    assert listed.index(second) < listed.index(first)
    assert "Ansel Adams, Georgia O'Keeffe" in listed
    assert "# Critique by" in text(ask("report", {"job": first[:8]}))
    compared = text(ask("compare", {"jobs": [first, second[:8]]}))
    head, _, *rows = compared.splitlines()
    assert head.count("|") == 6
    assert len(rows) == 9
    assert rows[-1].startswith("| Overall |")


def test_a_failure_is_said(ask: Ask, service: Service) -> None:
    running_job = service.send()
    for name, arguments, words in (
        ("report", {"job": running_job}, "not done yet"),
        ("report", {"job": "ffff"}, "no job whose id"),
        ("critique", {"photo": "../nothing.jpg"}, "no such photo"),
    ):
        result = ask(name, arguments)
        assert result.is_error
        assert words in result.content[0].text


def test_photos_are_read_below_the_roots_alone(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"x")
    (root / "link.jpg").symlink_to(secret)
    (root / "inside.jpg").symlink_to(root / "boats.jpg")
    assert find_photo("inside.jpg", [root]) == root / "boats.jpg"
    assert find_photo(str(root / "boats.jpg"), [tmp_path / "x", root]).name == "boats.jpg"
    for name in ("link.jpg", str(secret), "../secret.jpg", ".", "", "a\0b", "/etc/passwd"):
        with pytest.raises(InvalidRequest, match="photos of mine"):
            find_photo(name, [root])


@pytest.fixture
def working(
    store: Store, photos: PhotoStore, database: str, tmp_path: Path, hire: Hire
) -> Iterator[str]:
    """The URL of a server with a worker, whose engine takes its time."""
    url = recording(tmp_path, {"phase": "prefill"}, {"after": 0.5, "phase": "prefill"}, pause=0.01)
    app = make_app(store, database, tmp_path, update_interval=0.1)
    with at_work(hire(url, update_interval=0.1)), running(app) as address:
        yield address


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 60))


def test_over_stdio_with_progress(working: str, store: Store, root: Path) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async def work() -> None:
        command = StdioServerParameters(
            command=str(MONDRIAN), args=["mcp", "--server", working, "--root", str(root)]
        )
        async with Client(stdio_client(command)) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert tools.keys() == {"critique", "list", "report", "compare"}
            assert str(root) in (tools["critique"].description or "")
            photo = {"photo": str(root / "boats.jpg")}
            result = await client.call_tool("critique", photo, progress_callback=hear)
            assert "# Critique by Ansel Adams" in text(result)

    run(work)
    assert len(told) > 3
    assert {total for _, total, _ in told} == {100}
    assert any(message and "tokens" in message for *_, message in told)
    assert store.list_jobs()[0].status is Status.DONE


def test_over_http(working: str, root: Path) -> None:
    port = find_port()
    command = [str(MONDRIAN), "mcp", "--http", "--port", str(port), "--server", working]
    command += ["--root", str(root)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        address = process.stderr.readline().split()[-1]

        async def list_() -> str:
            async with Client(address) as client:
                return text(await client.call_tool("list", {}))

        def try_() -> str | None:
            try:
                return asyncio.run(list_())
            except Exception:  # it does not listen yet
                return None

        try:
            assert wait_for(try_) == "There are no critiques yet."
        finally:
            process.terminate()
            process.wait(10)
