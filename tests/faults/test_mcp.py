"""The server that `mondrian mcp` starts ends with it, however it dies."""

import subprocess
import sys
import time
from pathlib import Path

import httpx

from faults.conftest import Fault
from support.processes import processes_of
from support.working import recording, wait_for

_PARENT = """
import sys, time
from mondrian.cli.mcp import _serve
with _serve(sys.argv[1:]) as url:
    print(url, flush=True)
    time.sleep(600)
"""


def test_its_server_ends_with_it(server_home: Path, tmp_path: Path, fault: Fault) -> None:
    row = fault("mondrian mcp, SIGKILL, with a server of its own")
    serve = ["serve", "--port", "0", "--home", str(server_home), "--engine", recording(tmp_path)]
    command = [sys.executable, "-c", _PARENT, *serve]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        url = parent.stdout.readline().strip()
        assert httpx.get(f"{url}/health").json()["status"] == "UP"
        parent.kill()
    died = time.monotonic()
    wait_for(lambda: not processes_of(server_home))
    row.tell("its server left, and PostgreSQL with it", seconds=time.monotonic() - died)
