"""The parts of a fleet, from Debian and PyPI. Where one is not installed, its tests are skipped."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from support.ports import find_port
from support.working import wait_for

Pooler = Callable[..., str]
"""Starts pgbouncer before the database of a URL, and returns the URL through it."""


def find_program(name: str) -> str:
    """Return the path of a program of Debian's, or skip the test."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    return found or pytest.skip(f"{name} is not installed")


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
