"""What the system needs to run ``mondrian serve``: a unit of systemd, or a plist of launchd."""

import plistlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mondrian.errors import SettingsError

NAME = "mondrian"
LABEL = "org.mondrian.serve"
STOP_SECONDS = 15

_COMMON = f"""\
[Unit]
Description=Mondrian critiques photographs
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart={{command}}
{{environment}}
Restart=on-failure
RestartSec=2
KillMode=mixed
TimeoutStopSec={STOP_SECONDS}
UMask=0077
NoNewPrivileges=yes
RestrictSUIDSGID=yes
LockPersonality=yes
"""

# A user of its own, that exists while the service runs and can write to its home only.
_SYSTEM = """\
DynamicUser=yes
StateDirectory=mondrian
StateDirectoryMode=0700
LoadCredential=mondrian.toml:{config}
ProtectHome=yes
PrivateDevices=no
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
"""

_INSTALL = """
[Install]
WantedBy={target}
"""


def make_user_unit(command: Sequence[str], home: Path) -> str:
    """Return the unit of a user, whose data is in ``home``. Raise ``SettingsError`` for a path that
    no unit can hold."""
    return _make_unit(command, {"MONDRIAN_HOME": str(home)}, "", "default.target")


def make_system_unit(command: Sequence[str], config: Path) -> str:
    """Return the unit of the system, with its settings in ``config``, which only root has to be
    able to read, and its data in /var/lib/mondrian. Raise ``SettingsError`` as above."""
    environment = {"MONDRIAN_HOME": "%S/mondrian", "MONDRIAN_CONFIG": "%d/mondrian.toml"}
    more = _SYSTEM.format(config=_escape(str(config)))
    return _make_unit(command, environment, more, "multi-user.target", is_literal=False)


def _make_unit(
    command: Sequence[str],
    environment: Mapping[str, str],
    more: str,
    target: str,
    *,
    is_literal: bool = True,
) -> str:
    variables = [
        f"Environment={_quote(f'{name}={value}') if is_literal else f'{name}={value}'}"
        for name, value in environment.items()
    ]
    head = _COMMON.format(
        command=" ".join(_quote(word).replace("$", "$$") for word in command),
        environment="\n".join(variables),
    )
    return head + more + _INSTALL.format(target=target)


def _quote(word: str) -> str:
    """Return ``word`` as systemd reads it back (systemd.syntax(7), systemd.unit(5))."""
    escaped = _escape(word).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _escape(word: str) -> str:
    if re.search(r"[\0-\x1f\x7f]", word):
        raise SettingsError(f"A service cannot have the path {word!r}. Choose another --home.")
    return word.replace("%", "%%")


def make_plist(command: Sequence[str], home: Path) -> bytes:
    """Return the property list of a launch agent, whose data and log are in ``home``."""
    log = str(home / "mondrian.log")
    return plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": list(command),
            "EnvironmentVariables": {"MONDRIAN_HOME": str(home)},
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 10,
            "ExitTimeOut": STOP_SECONDS,
            "Umask": 0o077,
            "StandardOutPath": log,
            "StandardErrorPath": log,
            "SoftResourceLimits": {"NumberOfFiles": 10_240},
        }
    )
