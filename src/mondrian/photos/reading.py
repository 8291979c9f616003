"""The handler that runs in the child processes of ``readers.PhotoReaders``."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mondrian.photos.decoding import read_size
from mondrian.photos.formats import identify
from mondrian.process.child import Port
from mondrian.process.limits import confine


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A request to call ``function`` with a photo (its bytes or its path) and ``arguments``."""

    function: Callable[..., Any]
    photo: bytes | Path
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """The number of megapixels that the photo's header declares."""

    megapixels: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The return value of the function."""

    value: Any


class PhotoReader:
    """Emits, for each ``Reading``, the ``Size`` as soon as it is known, then the ``Answer``.

    ``prepare`` imports the modules that reading needs, before the first photo.
    """

    def __init__(self, *, prepare: Callable[[], None]) -> None:
        self._prepare: Callable[[], None] | None = prepare

    def load(self, port: Port) -> None:
        """See ``Handler.load``."""
        if self._prepare:
            confine()
            self._prepare()
            self._prepare = None

    def run(self, request: Reading, port: Port) -> None:
        """See ``Handler.run``."""
        port.emit(Size(megapixels=_read_megapixels(request.photo)))
        port.emit(Answer(value=request.function(request.photo, **request.arguments)))


def _read_megapixels(photo: bytes | Path) -> float:
    """Return the megapixels in the header, 0 if it is unreadable: reading will raise the error."""
    with suppress(Exception):
        content = photo if isinstance(photo, bytes) else photo.read_bytes()
        width, height = read_size(content, identify(content, ""))
        return width * height / 1e6
    return 0.0
