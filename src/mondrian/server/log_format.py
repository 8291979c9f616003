"""The lines of the log: what others wrote is one line of plain words there too."""

import logging
from typing import Any

from mondrian.errors import printable


class PlainFormatter(logging.Formatter):
    """Writes a record so that no foreign word in it begins a line or moves a terminal's cursor.

    The lines of a traceback stay lines, indented, so that none looks like a record.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the first line."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return the traceback."""
        lines = super().formatException(ei).splitlines()
        return "\n".join(f"  {printable(line)}" for line in lines)
