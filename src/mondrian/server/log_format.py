"""Log lines: foreign text is escaped and kept on one line."""

import logging
from typing import Any

from mondrian.errors import printable


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
