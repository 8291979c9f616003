"""The files for containers, as far as they can be checked without an engine that runs them."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from mondrian.cli.main import app
from mondrian.settings import Settings, variable

ROOT = Path(__file__).parents[1]
FILES = ("compose.yaml", "compose.fleet.yaml")
VARIABLES = {variable(name) for name in Settings.model_fields} | {"MONDRIAN_CONFIG"}
INSTRUCTIONS = {
    *("ARG", "FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "VOLUME", "EXPOSE", "HEALTHCHECK"),
    *("STOPSIGNAL", "CMD"),
}


def services(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    found: dict[str, Any] = read["services"]
    return found


def instructions() -> list[tuple[str, str]]:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    found = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in found]


def check_command(words: list[str]) -> None:
    """Have the command line read ``words``."""
    program, name, *rest = words
    assert program == "mondrian"
    found = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    found.make_context(name, rest, resilient_parsing=False)


@pytest.mark.parametrize("name", FILES)
def test_what_a_compose_file_sets_is_there(name: str) -> None:
    for service in services(name).values():
        for each in service.get("environment", {}):
            assert not each.startswith("MONDRIAN_") or each in VARIABLES, each
        command = service.get("command", [])
        if command and command[0] == "mondrian":
            check_command(command)
        for needed in service.get("depends_on", {}):
            assert needed in services(name)


@pytest.mark.parametrize("name", FILES)
def test_no_secret_has_a_default(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for secret in ("MONDRIAN_KEY", "POSTGRES_PASSWORD", "S3_SECRET"):
        for use in re.findall(rf"\$\{{{secret}([^}}]*)\}}", text):
            assert use.startswith(":?"), secret


def test_the_image_is_made_of_what_is_there() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for word, rest in instructions():
        assert word in INSTRUCTIONS, word
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source.removeprefix("./")).exists(), source
                assert f"!{source.removeprefix('./')}" in ignored, source
        if word == "RUN" and rest.startswith("mondrian "):
            check_command(shlex.split(rest))
        if word == "ENV":
            names = re.findall(r"(MONDRIAN_\w+)=", rest)
            assert set(names) <= VARIABLES
    assert ("CMD", '["mondrian", "serve"]') in instructions()
    assert ("USER", "mondrian") in instructions()
