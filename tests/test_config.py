"""The file of settings: which wins, what it may hold, and what is shown of it."""

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mondrian import settings as settings_module
from mondrian.cli.main import app
from mondrian.errors import SettingsError
from mondrian.settings import Settings

SECRET = "a-secret-of-the-config-tests"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which a file of settings may lie."""
    monkeypatch.delenv("MONDRIAN_CONFIG", raising=False)
    monkeypatch.setenv("MONDRIAN_HOME", str(tmp_path))
    monkeypatch.setattr(settings_module, "SYSTEM_CONFIG", tmp_path / "etc" / "mondrian.toml")
    return tmp_path


def write(home: Path, text: str) -> None:
    (home / "mondrian.toml").write_text(text, encoding="utf-8")


def test_an_option_wins_over_a_variable_over_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, 'port = 1\nhost = "10.0.0.1"\nadvisor = "okeefe"\nhosts = ["a.example", "b"]\n')
    monkeypatch.setenv("MONDRIAN_PORT", "2")
    monkeypatch.setenv("mondrian_host", "10.0.0.2")
    read = Settings.read(port=3)
    assert (read.port, read.host, read.advisor) == (3, "10.0.0.2", "okeefe")
    assert read.hosts == ("a.example", "b")
    assert Settings.read().port == 2
    assert Settings().advisor == "ansel"  # the library reads no files


def test_values_are_as_in_the_environment(home: Path) -> None:
    write(home, 'quota = "10GB"\nopen = true\nupdate_interval = 2\nalso = [5100]\n')
    read = Settings.read()
    assert (read.quota, read.open, read.update_interval, read.also) == (10**10, True, 2.0, (5100,))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "no setting 'prot'. Is 'port' meant?"),
        ("interval = 2", "Is 'update_interval' meant?"),
        ("update-interval = 2", "Is 'update_interval' meant?"),
        ("[serving]\nport = 1", "no setting 'serving'"),
        ("zzzzzz = 1", "`mondrian config` lists them all"),
        ("port = 70000", "port in "),
        ("port = ", "is not TOML"),
        ('port = "\udcff"', "is not TOML"),
    ],
)
def test_what_is_wrong_is_said(home: Path, text: str, words: str) -> None:
    (home / "mondrian.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert words in caught.value.message
    assert str(home) in caught.value.message


def test_a_secret_is_in_no_message(home: Path) -> None:
    write(home, f'key = ["{SECRET}"]\n')
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert SECRET not in caught.value.message


def test_which_file_is_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = home / "etc" / "mondrian.toml"
    system.parent.mkdir()
    system.write_text("port = 1\n", encoding="utf-8")
    assert Settings.read().port == 1
    write(home, "port = 2\n")
    assert Settings.read().port == 2
    (home / "named.toml").write_text("port = 3\n", encoding="utf-8")
    monkeypatch.setenv("MONDRIAN_CONFIG", str(home / "named.toml"))
    assert Settings.read().port == 3
    monkeypatch.setenv("MONDRIAN_CONFIG", "")
    assert Settings.read().port == 5005
    monkeypatch.setenv("MONDRIAN_CONFIG", str(home / "nothing.toml"))
    with pytest.raises(SettingsError, match="cannot be read"):
        Settings.read()


def test_none_of_the_working_directory_is_read(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere", 'engine = "openai:http://evil.example/v1"\n')
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Settings.read().engine == "auto"


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["config", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_config_tells_where_each_value_comes_from(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, f'port = 1\nkey = "{SECRET}"\nwebhook = "https://example.org/{SECRET}"\n')
    monkeypatch.setenv("MONDRIAN_ADVISOR", "okeefe")
    told = json.loads(run("--json"))
    found = told["settings"]
    assert told["file"] == str(home / "mondrian.toml")
    assert found["port"] == {"value": 1, "from": told["file"]}
    assert found["advisor"] == {"value": "okeefe", "from": "MONDRIAN_ADVISOR"}
    assert found["host"]["from"] == "default"
    assert found["key"] == {"value": "set, not shown", "from": told["file"]}
    shown = run()
    assert SECRET not in shown + json.dumps(told)
    assert "MONDRIAN_ADVISOR" in shown
    assert found.keys() == Settings.model_fields.keys()


def test_the_example_is_a_file_that_can_be_read(home: Path) -> None:
    example = run("--example")
    write(home, example)
    assert Settings.read() == Settings()
    uncommented = [
        line.removeprefix("#")
        for line in example.splitlines()
        if line.startswith("#") and not line.startswith("# ") and not line.endswith("...")
    ]
    write(home, "\n".join(uncommented))
    assert Settings.read() == Settings()
    assert len(tomllib.loads("\n".join(uncommented))) > 20
