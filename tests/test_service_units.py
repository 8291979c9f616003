"""The files of a service, checked by what reads them where that can be had."""

import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mondrian.cli import service
from mondrian.cli.main import app
from mondrian.errors import SettingsError
from mondrian.server import units

SERVE = (str(Path(sys.executable).with_name("mondrian")), "serve")
ODD = Path("/srv/a \"home\" with $things %h \\ and 'more'")


def verify(folder: Path, unit: str) -> str:
    """What systemd says of a unit: nothing, if it is right."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd here")
    path = folder / "mondrian.service"
    path.write_text(unit, encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=60
    )
    lines = (done.stdout + done.stderr).splitlines()
    return "\n".join(line for line in lines if "mondrian" in line)


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    assert verify(tmp_path, units.make_user_unit(SERVE, ODD)) == ""
    assert verify(tmp_path, units.make_system_unit(SERVE, Path("/etc/mondrian.toml"))) == ""
    broken = units.make_user_unit(SERVE, ODD).replace("Type=exec", "Typ=exec")
    assert "Typ" in verify(tmp_path, broken)


def test_no_word_of_a_path_is_read_by_systemd() -> None:
    unit = units.make_user_unit(("/opt/a $b %c/mondrian", "serve"), ODD)
    assert 'ExecStart="/opt/a $$b %%c/mondrian" "serve"' in unit
    escaped = r"""Environment="MONDRIAN_HOME=/srv/a \"home\" with $things %%h \\ and 'more'\""""
    assert escaped.removesuffix('\\"') + '"' in unit
    with pytest.raises(SettingsError):
        units.make_user_unit(SERVE, Path("/srv/a\nExecStart=/bin/evil"))


def test_launchd_gets_a_list_that_can_be_read_back() -> None:
    read = plistlib.loads(units.make_plist(SERVE, ODD))
    assert read["ProgramArguments"] == list(SERVE)
    assert read["EnvironmentVariables"] == {"MONDRIAN_HOME": str(ODD)}
    assert read["KeepAlive"] == {"SuccessfulExit": False}


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in place of systemctl, which notes what it is called with."""
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/called"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path / "called"


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["service", *arguments])
    return done.exit_code, done.output


def test_a_service_is_installed_and_removed(systemctl: Path, tmp_path: Path) -> None:
    unit = tmp_path / "config" / "systemd" / "user" / "mondrian.service"
    assert run("status") == (3, f"Not installed: there is no {unit}\n")
    code, said = run("install", "--home", str(tmp_path / "home"))
    assert (code, unit.read_text(encoding="utf-8")) == (
        0,
        run("show", "--home", str(tmp_path / "home"))[1],
    )
    assert str(tmp_path / "home") in said
    assert run("status")[0] == 0
    assert run("uninstall")[0] == 0
    assert not unit.exists()
    assert systemctl.read_text().splitlines() == [
        "--user daemon-reload",
        "--user enable --now mondrian",
        "--user status --no-pager mondrian",
        "--user disable --now mondrian",
    ]


def test_without_systemd_the_unit_is_written(
    systemctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (systemctl.parent / "bin" / "systemctl").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    code, said = run("install")
    assert code == 0
    assert "systemctl --user enable --now mondrian" in said


def test_a_program_that_others_cannot_read_is_no_service_of_the_system(tmp_path: Path) -> None:
    program = tmp_path / "mine" / "mondrian"
    program.parent.mkdir(mode=0o700)
    program.touch()
    with pytest.raises(SettingsError, match="cannot read"):
        service._check_readable(program)
