"""Debian's PostgreSQL over TCP, with passwords and TLS: a primary, and replicas of it."""

import os
import shutil
import signal
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import psycopg
import pytest

from support.ports import find_port
from support.working import wait_for

PASSWORD = "correct horse"
_CERTIFICATE = (
    *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
    *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """One server. ``certificate`` is its own, signed by itself."""

    data: Path
    port: int
    certificate: Path
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Where its database is, with the right password."""
        return (
            f"host=127.0.0.1 port={self.port} user=postgres password='{PASSWORD}' dbname=postgres"
        )

    def ask(self, statement: str) -> int:
        """Run a statement. Return the number that it returns, 0 if none."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
        return int(row[0] or 0) if row else 0

    def kill(self) -> None:
        """Stop at once, as with a machine that is lost."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)


def start_primary(stack: ExitStack, **settings: str) -> Cluster:
    """Start a server with an empty database. Skip the test where PostgreSQL is not installed."""
    folder = _make_folder(stack)
    password = folder / "password"
    password.write_text(PASSWORD)
    _own(password)
    _run("initdb", "-D", folder / "data", "-U", "postgres", "--auth=scram-sha-256",
         f"--pwfile={password}", "--no-sync")  # fmt: skip
    certificate, key = folder / "server.crt", folder / "server.key"
    subprocess.run([*_CERTIFICATE, "-keyout", key, "-out", certificate], check=True,
                   stderr=subprocess.DEVNULL)  # fmt: skip
    for each in (certificate, key):
        _own(each)
    key.chmod(0o600)
    given = {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}
    with (folder / "data" / "pg_hba.conf").open("a") as rules:
        rules.write("host replication all 127.0.0.1/32 scram-sha-256\n")
    return _start(stack, folder, certificate, given | settings)


def start_replica(stack: ExitStack, primary: Cluster) -> Cluster:
    """Start a streaming replica, as far as the primary is now."""
    folder = _make_folder(stack)
    _run("pg_basebackup", "-D", folder / "data", "-R", "-X", "stream", "-c", "fast", "--no-sync",
         "-d", primary.url)  # fmt: skip
    return _start(stack, folder, primary.certificate, {})


def _start(stack: ExitStack, folder: Path, certificate: Path, settings: dict[str, str]) -> Cluster:
    port = find_port()
    given = settings | {
        "port": str(port), "listen_addresses": "127.0.0.1", "fsync": "off",
        "unix_socket_directories": str(folder),
    }  # fmt: skip
    with (folder / "data" / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in given.items())
    command = [_find("postgres"), "-D", str(folder / "data")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, user=_user())
    cluster = Cluster(data=folder / "data", port=port, certificate=certificate, process=process)
    stack.callback(process.wait, 30)
    stack.callback(process.send_signal, signal.SIGQUIT)
    wait_for(lambda: _is_up(cluster))
    return cluster


def _is_up(cluster: Cluster) -> bool:
    try:
        cluster.ask("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _find(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else pytest.skip("Debian's postgresql is not installed")


def _user() -> str | None:
    """The user who runs PostgreSQL, which does not run as root."""
    return "postgres" if os.geteuid() == 0 else None


def _own(path: Path) -> None:
    if user := _user():
        shutil.chown(path, user)


def _make_folder(stack: ExitStack) -> Path:
    folder = Path(mkdtemp(prefix="mondrian-cluster-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    _own(folder)
    return folder


def _run(program: str, *arguments: object) -> None:
    subprocess.run(
        [_find(program), *map(str, arguments)], check=True, user=_user(), cwd="/",
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
