"""The parts of a fleet, from Debian and PyPI. Where one is not installed, its tests are skipped."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from support.ports import find_port
from support.working import wait_for

Pooler = Callable[..., str]
"""Starts pgbouncer before the database of a URL, and returns the URL through it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Buckets:
    """Moto's S3, with the bucket ``bucket``: the ``environment`` of who uses it, a ``client`` of
    Amazon's own, and the method and path of each request so far."""

    environment: dict[str, str]
    client: Any
    requests: list[tuple[str, str]]

    def list_keys(self) -> list[str]:
        """Return the keys in the bucket."""
        found = self.client.list_objects_v2(Bucket="bucket")
        return [each["Key"] for each in found.get("Contents", ())]


def find_program(name: str) -> str:
    """Return the path of a program of Debian's, or skip the test."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    return found or pytest.skip(f"{name} is not installed")


@pytest.fixture
def buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Buckets]:
    """Moto's S3, for this process and those that it starts."""
    pytest.importorskip("moto")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", find_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    requests = list[tuple[str, str]]()
    running: Any = server._server
    app = running.app

    def noting(environ: dict[str, Any], start: Any) -> Any:
        requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        return app(environ, start)

    running.app = noting
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    yield Buckets(environment=environment, client=client, requests=requests)
    server.stop()


@pytest.fixture
def pooler() -> Iterator[Pooler]:
    """Start poolers for the time of a test."""
    with ExitStack() as stack:
        yield lambda url, mode="transaction": start_pooler(stack, url, mode)


def start_pooler(stack: ExitStack, url: str, mode: str) -> str:
    """Start Debian's pgbouncer in that pool mode, with few connections to PostgreSQL."""
    program, port, server = find_program("pgbouncer"), find_port(), conninfo_to_dict(url)
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="mondrian-pooler-")))
    folder.chmod(0o755)
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"""[databases]
        * = host={server["host"]} port={server["port"]} user={server["user"]}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = any
        pool_mode = {mode}
        default_pool_size = 4
        {f"user = {Path(str(server['host'])).owner()}" if os.geteuid() == 0 else ""}
        """.replace("\n        ", "\n")
    )
    process = subprocess.Popen([program, "--quiet", str(settings)], stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    through = f"postgresql://postgres@127.0.0.1:{port}/{server['dbname']}"
    wait_for(lambda: is_answering(through))
    return through


def is_answering(url: str) -> bool:
    """Return whether PostgreSQL can be reached at ``url``."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
