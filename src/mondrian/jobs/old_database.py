"""Read the jobs in the SQLite database of the old system, whose columns vary.

The file is another's: it is opened to be read only, no view or trigger of it is run, and each value
is cut in SQLite before it gets here.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from mondrian.errors import SettingsError

MAX_JOBS = 1_000_000
MAX_TEXT = 1_000_000
"""The most characters read of one value."""

_MAGIC = b"SQLite format 3\0"
_WAIT_SECONDS = 2.0
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "job_id"),
    "filename": ("filename",),
    "advisors": ("advisor", "advisors"),
    "mode": ("mode",),
    "enable_rag": ("enable_rag",),
    "status": ("status",),
    "current_step": ("current_step",),
    "created_at": ("created_at",),
    "started_at": ("started_at",),
    "completed_at": ("completed_at",),
    "html": ("analysis_html", "html", "analysis"),
    "llm_outputs": ("llm_outputs",),
    "llm_thinking": ("llm_thinking",),
    "error": ("error", "error_message"),
}
"""The fields of a job and the columns that may have them; of several, the first that is not
empty."""

_SHORT = 10_000
_LONG = frozenset({"html", "llm_outputs"})


@dataclass(frozen=True, kw_only=True, slots=True)
class OldJob:
    """A job of the old system with its unchanged texts, empty if missing. Times are in UTC."""

    id: str
    filename: str
    advisors: str
    mode: str
    enable_rag: bool
    status: str
    current_step: str
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    html: str
    llm_outputs: str
    llm_thinking: str
    error: str


class OldDatabase:
    """The old system's database at ``path``, open to be read. One thread may use it.

    Raise ``SettingsError`` that says what to give where there is no such database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._check_file()
        self._connection = self._connect()
        try:
            self._columns = self._find_columns()
            [[count]] = self._run("SELECT count(*) FROM jobs")
            self.count = min(int(str(count)), MAX_JOBS)
            """The number of jobs."""
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def read_jobs(self) -> Iterator[OldJob]:
        """Yield at most ``MAX_JOBS`` jobs. Raise ``SettingsError`` if the file is damaged."""
        parts = [
            f'substr("{column}", 1, {MAX_TEXT if name in _LONG else _SHORT})'
            for name, columns in self._columns.items()
            for column in columns
        ]
        names = [name for name, columns in self._columns.items() for _ in columns]
        for row in self._run(f"SELECT {', '.join(parts)} FROM jobs LIMIT {MAX_JOBS}"):
            texts = dict.fromkeys(_COLUMNS, "")
            for name, value in zip(names, row, strict=True):
                texts[name] = texts[name] or _decode(value)
            yield _make(texts)

    def _check_file(self) -> None:
        try:
            with self._path.open("rb") as file:
                head = file.read(len(_MAGIC))
        except OSError as exc:
            raise SettingsError(
                f"{self._path} cannot be read: {exc.strerror}. Give the SQLite file of the old "
                "system, such as mondrian.db."
            ) from exc
        if head != _MAGIC:
            raise SettingsError(
                f"{self._path} is no SQLite database. Give the one of the old system, such as "
                "mondrian.db."
            )

    def _connect(self) -> sqlite3.Connection:
        """Return a connection. A file that is locked, or in a folder that SQLite cannot write to,
        is opened as if no other process used it."""
        address = f"file:{quote(str(self._path.absolute()))}?mode=ro"
        failure = sqlite3.Error()
        for more in ("", "&immutable=1"):
            connection = sqlite3.connect(address + more, uri=True, timeout=_WAIT_SECONDS)
            connection.text_factory = _decode
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000_000)
            try:
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
            except sqlite3.Error as exc:
                connection.close()
                failure = exc
            else:
                return connection
        raise self._describe_damage(failure)

    def _find_columns(self) -> dict[str, list[str]]:
        kinds = self._run("SELECT type FROM sqlite_master WHERE name = 'jobs' COLLATE NOCASE")
        if ("table",) not in list(kinds):
            raise SettingsError(
                f"{self._path} has no table `jobs`: it is not the old system's database. Give that "
                "one, such as mondrian.db."
            )
        there = {str(row[1]).casefold() for row in self._run("PRAGMA table_info(jobs)")}
        found = {
            name: [column for column in columns if column in there]
            for name, columns in _COLUMNS.items()
        }
        if not found["id"]:
            raise SettingsError(
                f"The table `jobs` in {self._path} has no column `id` or `job_id`: it is not the "
                "old system's database. Give that one, such as mondrian.db."
            )
        return found

    def _run(self, statement: str) -> Iterator[tuple[object, ...]]:
        try:
            with closing(self._connection.execute(statement)) as cursor:
                yield from cursor
        except sqlite3.Error as exc:
            raise self._describe_damage(exc) from exc

    def _describe_damage(self, exc: sqlite3.Error) -> SettingsError:
        return SettingsError(
            f"{self._path} cannot be read: {exc}. Stop the old system and import again: what is "
            f"here already is passed over. Of a damaged file `sqlite3 {self._path} .recover | "
            "sqlite3 saved.db` saves what can be saved."
        )


def parse_time(text: str) -> datetime | None:
    """Return the time in ``text``, ``None`` if it has none or one outside of this century.

    It is a number of seconds or milliseconds since 1970, or ISO 8601. Without a zone it is UTC as
    SQLite writes it (``2025-06-01 09:30:00``), and else the local time of this machine.
    """
    text = text.strip()
    try:
        if re.fullmatch(r"\d{1,15}(\.\d*)?", text):
            number = float(text)
            found = datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
        else:
            found = datetime.fromisoformat(text)
            if re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text):
                found = found.replace(tzinfo=UTC)
            found = found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    is_likely = found.year >= 2000 and found <= datetime.now(UTC) + timedelta(days=1)
    return found if is_likely else None


def _make(texts: Mapping[str, str]) -> OldJob:
    times = {name: parse_time(texts[name]) for name in ("created_at", "started_at", "completed_at")}
    is_rag = texts["enable_rag"].strip().casefold() in ("1", "true", "yes", "on")
    return OldJob(**{**texts, **times, "enable_rag": is_rag})  # type: ignore[arg-type]


def _decode(value: object) -> str:
    """Return a value of SQLite as text that PostgreSQL can store."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
    return text.replace("\0", "\ufffd")
