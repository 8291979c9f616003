"""``mondrian service``: run the server whenever the machine, or its user, is there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mondrian.cli.options import Group, command
from mondrian.errors import SettingsError

if TYPE_CHECKING:
    from mondrian.settings import Settings

_NOT_INSTALLED = 3
"""What systemctl's status returns for a unit that does not run."""


class Action(StrEnum):
    """What is done with the service."""

    INSTALL = "install"
    UNINSTALL = "uninstall"
    STATUS = "status"
    SHOW = "show"


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """The file at ``path`` with ``content``, and the commands that begin, end and show what it
    describes; ``data`` is where the service keeps its data."""

    path: Path
    content: bytes
    begin: Sequence[Sequence[str]]
    end: Sequence[Sequence[str]]
    status: Sequence[str]
    data: str


@command(
    "home",
    group=Group.SERVICE,
    examples=["service install", "sudo mondrian service install --system", "service status"],
)
def service(
    action: Annotated[
        Action, typer.Argument(metavar="ACTION", help="install, uninstall, status or show.")
    ],
    settings: "Settings",
    system: Annotated[
        bool,
        typer.Option(
            "--system", metavar="", help="Of the machine, as a user of its own (Linux, as root)."
        ),
    ] = False,
    start: Annotated[
        bool, typer.Option("--start/--no-start", metavar="", help="Start it too.")
    ] = True,
) -> None:
    """Run `mondrian serve` as a service: of systemd on Linux, of launchd on macOS.

    Its settings are those of the file mondrian.toml (see `mondrian config`). `show` prints the file
    that `install` would write; `uninstall` leaves all data.
    """
    found = _find_service(settings, is_system=system)
    actions: dict[Action, Callable[[], None]] = {
        Action.INSTALL: lambda: _install(found, is_system=system, should_start=start),
        Action.UNINSTALL: lambda: _uninstall(found),
        Action.STATUS: lambda: _show_status(found),
        Action.SHOW: lambda: print(found.content.decode(), end=""),
    }
    actions[action]()


def _find_service(settings: "Settings", *, is_system: bool) -> Service:
    from mondrian.server import units

    if sys.platform == "darwin":
        return _make_agent(settings, is_system=is_system)
    systemctl = ("systemctl",) if is_system else ("systemctl", "--user")
    serve = (find_program(), "serve")
    if is_system:
        from mondrian.settings import SYSTEM_CONFIG

        path = Path("/etc/systemd/system") / f"{units.NAME}.service"
        content, data = units.make_system_unit(serve, SYSTEM_CONFIG), "/var/lib/mondrian"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
        path = folder / "systemd" / "user" / f"{units.NAME}.service"
        home = settings.home.absolute()
        content, data = units.make_user_unit(serve, home), str(home)
    return Service(
        path=path,
        content=content.encode(),
        begin=((*systemctl, "daemon-reload"), (*systemctl, "enable", "--now", units.NAME)),
        end=((*systemctl, "disable", "--now", units.NAME),),
        status=(*systemctl, "status", "--no-pager", units.NAME),
        data=data,
    )


def _make_agent(settings: "Settings", *, is_system: bool) -> Service:
    from mondrian.server import units

    if is_system:
        raise SettingsError("On macOS the service is of a user: leave out --system.")
    home, domain = settings.home.absolute(), f"gui/{os.getuid()}"
    path = Path("~/Library/LaunchAgents").expanduser() / f"{units.LABEL}.plist"
    return Service(
        path=path,
        content=units.make_plist((find_program(), "serve"), home),
        begin=(("launchctl", "bootstrap", domain, str(path)),),
        end=(("launchctl", "bootout", f"{domain}/{units.LABEL}"),),
        status=("launchctl", "print", f"{domain}/{units.LABEL}"),
        data=str(home),
    )


def find_program() -> str:
    """Return the path of the command ``mondrian`` that is running. Raise ``SettingsError`` if there
    is none."""
    beside = Path(sys.executable).with_name("mondrian")
    found = str(beside) if beside.is_file() else shutil.which("mondrian")
    if found is None:
        raise SettingsError("The command `mondrian` is not found. Install it: docs/install.md.")
    return found


def _install(service: Service, *, is_system: bool, should_start: bool) -> None:
    if is_system:
        _check_readable(Path(find_program()))
        _write_config()
    _write(service.path, service.content, 0o644)
    print(f"Written: {service.path}")
    if should_start and _run_all(service.begin):
        print(f"Mondrian serves from now on. Its data: {service.data}")
        return
    print("Start it with:", *(f"  {' '.join(each)}" for each in service.begin), sep="\n")


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
    except OSError as exc:
        raise SettingsError(
            f"{path} cannot be written: {exc.strerror}. For --system be root: `sudo mondrian "
            "service install --system`."
        ) from exc


def _write_config() -> None:
    """Write the system's settings, each as a comment, unless they are there: the service needs the
    file."""
    from mondrian.cli.config import make_example
    from mondrian.settings import SYSTEM_CONFIG

    if not SYSTEM_CONFIG.exists():
        _write(SYSTEM_CONFIG, make_example().encode() + b"\n", 0o600)
        print(f"Written: {SYSTEM_CONFIG}, the settings, to be changed as you like")


def _check_readable(program: Path) -> None:
    """Raise ``SettingsError`` if the service's own user cannot get to ``program``."""
    for folder in (*program.parents, *program.resolve().parents):
        is_home = folder in (Path("/root"), Path("/home"))
        if is_home or not folder.stat().st_mode & 0o001:
            raise SettingsError(
                f"{program} is in a folder that the service's user cannot read ({folder}). Install "
                "Mondrian for all users: docs/install.md."
            )


def _uninstall(service: Service) -> None:
    if not service.path.exists():
        print(f"Not installed: there is no {service.path}")
        return
    _run_all(service.end)
    try:
        service.path.unlink()
    except OSError as exc:
        raise SettingsError(f"{service.path} cannot be removed: {exc.strerror}.") from exc
    print(f"Removed: {service.path}. Its data stays: {service.data}")


def _show_status(service: Service) -> None:
    if not service.path.exists():
        print(f"Not installed: there is no {service.path}")
        sys.exit(_NOT_INSTALLED)
    try:
        sys.exit(subprocess.run(service.status, check=False).returncode)
    except OSError as exc:
        raise SettingsError(f"{service.status[0]} cannot be run: {exc.strerror}.") from exc


def _run_all(commands: Sequence[Sequence[str]]) -> bool:
    """Run ``commands`` until one fails; they say why themselves. Return whether all succeeded."""
    try:
        return all(subprocess.run(each, check=False).returncode == 0 for each in commands)
    except OSError as exc:
        print(f"{commands[0][0]} cannot be run: {exc.strerror}.", file=sys.stderr)
        return False
