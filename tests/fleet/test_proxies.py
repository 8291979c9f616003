"""The blocks of docs/operations.md for nginx, HAProxy and Caddy, run as they stand there."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleet.conftest import find_program
from mondrian.client import Client
from support.ports import find_port
from support.processes import run, started
from support.working import answer, jpeg, recording, wait_for

Command = tuple[list[str], str]
"""What starts a proxy, and the address that it then has: host, port and path."""

Proxy = Callable[[str, Path], Command]
"""Writes the settings of a proxy before a server into a folder."""

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
SERVER = "127.0.0.1:5005"
NGINX = """daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    {servers}
}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server, as host and port, whose jobs take two seconds."""
    home = tmp_path_factory.mktemp("home")
    options = ("--home", home, "--engine", recording(home, pause=0.02), "--interval", 0.5)
    with started("serve", "--port", 0, *options) as (_, url):
        yield url.removeprefix("http://")


def documented(language: str, server: str) -> list[str]:
    """Return the blocks of the page in that language, before ``server``."""
    blocks = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)
    return [block.replace(SERVER, server) for block in blocks]


def set_nginx(folder: Path, block: str, server: str = "", inner: str = "") -> Command:
    """Set nginx up with ``block``, and with ``inner`` between it and ``server``."""
    port, inner_port = find_port(), find_port()
    if inner:
        block = block.replace(server, f"127.0.0.1:{inner_port}")
        inner = f"server {{ listen 127.0.0.1:{inner_port}; {inner} }}"
    servers = f"server {{ listen 127.0.0.1:{port}; {block} }} {inner}"
    user = "user root;" if os.geteuid() == 0 else ""
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(folder=folder, user=user, servers=servers))
    return [find_program("nginx"), "-p", str(folder), "-c", str(settings)], f"127.0.0.1:{port}"


def set_one_tier(server: str, folder: Path) -> Command:
    return set_nginx(folder, documented("nginx", server)[0])


def set_two_tiers(server: str, folder: Path) -> Command:
    block = documented("nginx", server)[0]
    inner = block.replace("X-Forwarded-Proto $scheme", "X-Forwarded-Proto $http_x_forwarded_proto")
    assert inner != block
    return set_nginx(folder, block, server, inner)


def set_below_a_path(server: str, folder: Path) -> Command:
    command, address = set_nginx(folder, documented("nginx", server)[1])
    return command, f"{address}/mondrian"


def set_haproxy(server: str, folder: Path) -> Command:
    block, port = documented("haproxy", server)[0], find_port()
    settings = folder / "haproxy.cfg"
    settings.write_text(block.replace("bind :80", f"bind 127.0.0.1:{port}"))
    return [find_program("haproxy"), "-f", str(settings)], f"127.0.0.1:{port}"


def set_caddy(server: str, folder: Path) -> Command:
    [block], port = documented("caddy", server), find_port()
    settings = folder / "Caddyfile"
    own = block.replace("example.org", f"http://127.0.0.1:{port}")
    settings.write_text(f"{{\n    admin off\n}}\n{own}")
    command = [find_program("caddy"), "run", "--adapter", "caddyfile", "--config", str(settings)]
    return command, f"127.0.0.1:{port}"


@contextmanager
def running(set_proxy: Proxy, server: str, folder: Path) -> Iterator[str]:
    """Start a proxy before ``server`` and give its URL."""
    command, address = set_proxy(server, folder)
    own = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=own) as process:
        try:
            wait_for(lambda: is_up(f"http://{address}"))
            yield f"http://{address}"
        finally:
            process.terminate()


def is_up(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/health", timeout=2).is_success
    return False


ALL = [set_one_tier, set_two_tiers, set_below_a_path, set_haproxy, set_caddy]


@pytest.mark.parametrize("set_proxy", ALL)
def test_a_stream_comes_through_while_it_is_written(
    set_proxy: Proxy, server: str, tmp_path: Path
) -> None:
    with running(set_proxy, server, tmp_path) as url, httpx.Client(timeout=60) as client:
        photo = {"image": ("p.jpg", jpeg(2400, 1600))}  # some megabytes
        page = {"Origin": url.removesuffix("/mondrian")}
        sent = client.post(f"{url}/upload", files=photo, headers=page)
        assert sent.status_code == 201, sent.text
        job, stream = sent.json()["job_id"], sent.json()["stream_url"]
        assert stream == f"{url}/stream/{job}"
        with client.stream("GET", f"{stream}?include=tokens") as response:
            events = read_events(response)
            first = next(each for each in events if each["type"] == "token")
            status = httpx.get(f"http://{server}/status/{job}").json()["status"]
            rest = list(events)
    text = [each["text"] for each in [first, *rest] if each["type"] == "token"]
    assert "".join(text) == answer()
    assert status == "analyzing"
    assert rest[-1]["type"] == "done"


def read_events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


@pytest.mark.parametrize("set_proxy", ALL)
def test_our_own_client_is_served(set_proxy: Proxy, server: str, tmp_path: Path) -> None:
    with running(set_proxy, server, tmp_path) as url, Client(url) as client:
        job = client.submit(jpeg())["job_id"]
        assert [*client.watch(job)][-1].fields["status"] == "done"


def test_a_body_that_nginx_refuses_is_told_with_the_setting(server: str, tmp_path: Path) -> None:
    block = documented("nginx", server)[0].replace("client_max_body_size 60m;", "")
    photo = tmp_path / "big.jpg"
    photo.write_bytes(jpeg(2400, 1600))
    with running(lambda _, folder: set_nginx(folder, block), server, tmp_path) as url:
        ran = run("submit", photo, "--server", url)
    assert ran.returncode != 0
    assert "client_max_body_size" in ran.stderr
