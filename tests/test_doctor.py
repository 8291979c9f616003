"""``mondrian doctor`` says what there is, and what is wrong with it."""

import json
from pathlib import Path
from typing import Any

from support.processes import run
from support.working import recording


def examine(*options: object, code: int) -> dict[str, dict[str, Any]]:
    done = run("doctor", "--json", *options, OLLAMA_HOST="127.0.0.1:9")
    assert done.returncode == code, done.stderr + done.stdout
    return {each["part"]: each for each in json.loads(done.stdout)}


def test_a_machine_that_is_well(tmp_path: Path) -> None:
    found = examine("--home", tmp_path, "-e", recording(tmp_path), code=0)
    assert found["engine"]["is_well"]
    assert "sees the photo" in found["engine"]["words"]
    assert found["database"]["is_well"] is None
    assert found["server"]["is_well"] is None
    assert not (tmp_path / "postgres").exists(), "looking changes nothing"


def test_what_is_wrong_is_said_with_what_to_do(tmp_path: Path) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:9/none"
    options = ("--home", tmp_path, "--database", nowhere, "--server", "http://127.0.0.1:9")
    found = examine(*options, code=1)
    assert found["engine"]["is_well"] is False
    assert "mondrian pull smollm2-135m" in found["engine"]["words"]
    assert found["database"]["is_well"] is False
    assert found["server"]["is_well"] is False
    shown = run("doctor", *options)
    assert shown.returncode == 1
    assert "✗ wrong" in shown.stdout
    assert "Traceback" not in shown.stderr


def test_the_database_that_is_there(tmp_path: Path, database: str) -> None:
    found = examine("--home", tmp_path, "--database", database, code=1)
    assert found["database"]["is_well"], found["database"]
    assert "PostgreSQL 1" in found["database"]["words"]
