"""``python -m mondrian.jobs.sql [NAME]`` prints each statement, or one, for psql.

What a statement is given stands before it as ``\\set``, with an example of each value.
"""

import re
import sys
from collections.abc import Iterator
from uuid import UUID

from mondrian.jobs.sql import (
    advisors,
    claims,
    history,
    imports,
    jobs,
    log,
    retention,
    sessions,
    webhooks,
    workers,
)

_EXAMPLES: dict[str, object] = {
    "id": UUID(int=1),
    "first": UUID(int=1),
    "last": UUID(int=2),
    "ids": "{}",
    "retry_of": UUID(int=2),
    "status": "processing",
    "step_phase": "advisor_analysis",
    "before_id": UUID(int=1),
    "before": "2026-01-01 00:00:00+00",
    "created_at": "2026-01-01 00:00:00+00",
    "error": '{"code": "engine_failed", "message": "The engine failed.", "retryable": true}',
    "types": "token",
    "appends": '[{"id": "00000000-0000-0000-0000-000000000001", "attempt": 1, "seen": 1, '
    '"types": "token", "payloads": "{}", "lines": ""}]',
    "payloads": "{}",
    "channels": "{x}",
    "photo_keys": "{x}",
    "versions": "{x}",
    "encoded": "{x}",
    "advisor_versions": "{x}",
    "attempts": "{1}",
    "statuses": "{queued}",
    "advisors": "{ansel}",
    "report_advisors": "{ansel}",
    "started_at": "2026-01-01 00:00:00+00",
    "completed_at": "2026-01-01 00:00:00+00",
    "reports": '{"{}"}',
    "texts": '{""}',
    "marks": "{}",
    "hook_urls": "{}",
    "hook_hosts": "{}",
    "hook_bases": "{}",
    "hook_kinds": "{}",
}
"""Examples of what is neither a number nor a word; numbers and flags are 1, words are ``x``."""

_WORDS = {
    "owner", "filename", "photo_key", "photo_sha256", "mode", "mode_used", "base_url", "search",
    "current_step", "idempotency_key", "fingerprint", "worker", "reason", "llm_thinking",
    "name", "state", "thinking", "version", "told", "advisor", "engine", "model", "value",
    "session_id", "outcome", "lines",
}  # fmt: skip
_QUOTED = re.compile(r"('[^']*')")
_CLAUSES = re.compile(r" (?=(?:FROM|WHERE|SET|VALUES|RETURNING|ORDER BY|UNION ALL|LEFT JOIN)\b)")


def list_statements() -> Iterator[tuple[str, bytes]]:
    """Yield the name of each statement, and the statement as it is sent, with placeholders."""
    roles = (jobs, claims, log, advisors, workers, webhooks, retention, sessions, history, imports)
    for module in roles:
        role = module.__name__.rpartition(".")[2]
        for name, value in vars(module).items():
            if isinstance(value, bytes):
                yield f"{role}.{name}", value
    yield "jobs.list_jobs", jobs.list_jobs(("before", "status", "advisor", "owner"))
    yield "log.read_events", log.read_events(of_types=True)
    yield "history.select_history", history.select_history(of_others=False)


def format_for_psql(statement: bytes) -> str:
    """Return the statement with psql's variables, set before it, a clause a line."""
    text = statement.decode()
    names = dict.fromkeys(re.findall(r"%\((\w+)\)s", text))
    values = {name: _EXAMPLES.get(name, "x" if name in _WORDS else 1) for name in names}
    settings = [f"\\set {name} '{value}'" for name, value in values.items()]
    text = re.sub(r"%\((\w+)\)s", r":'\1'", text).replace("%%", "%")
    parts = _QUOTED.split(text)  # a line break inside of quotes would change what is written
    parts[::2] = [_CLAUSES.sub("\n", part) for part in parts[::2]]
    return "\n".join([*settings, "".join(parts) + ";"])


def main() -> None:
    """Print the statement named, or all."""
    wanted = sys.argv[1:]
    for name, statement in list_statements():
        if not wanted or name in wanted or name.partition(".")[2] in wanted:
            print(f"-- {name}\n{format_for_psql(statement)}\n")


if __name__ == "__main__":
    main()
