"""Log lines, as text or JSON: foreign text is escaped and kept on one line."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from mondrian.errors import printable
from mondrian.jobs.log_context import read_log_context


class PlainFormatter(logging.Formatter):
    """Formats records so that foreign text cannot start a line or move the terminal's cursor.

    The lines of a traceback are indented, so that none looks like a record.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the first line."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return the traceback."""
        lines = super().formatException(ei).splitlines()
        return "\n".join(f"  {printable(line)}" for line in lines)


class JsonFormatter(logging.Formatter):
    """Formats records as JSON objects, one a line, in ASCII: ``time`` (ISO 8601, UTC), ``level``,
    ``logger``, ``message``, and where there is one ``job_id``, ``request_id`` and ``exception`` (a
    traceback)."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage()),
            **read_log_context(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)
