"""What runs in the processes that read photos: the handler of ``readers.PhotoReaders``."""

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
    """A question: what ``function`` makes of a photo, its bytes or the path of its file, and of the
    other arguments."""

    function: Callable[..., Any]
    photo: bytes | Path
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How many megapixels the photo says that it has."""

    megapixels: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came of it."""

    value: Any


class PhotoReader:
    """Answers a ``Reading`` by the ``Size``, as soon as that is known, and the ``Answer``.

    ``prepare`` imports what reading needs, before the first photo comes.
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
        port.emit(Size(megapixels=_megapixels(request.photo)))
        port.emit(Answer(value=request.function(request.photo, **request.arguments)))


def _megapixels(photo: bytes | Path) -> float:
    """Return what the header says, 0 where it says nothing: the reading itself tells why."""
    with suppress(Exception):
        content = photo if isinstance(photo, bytes) else photo.read_bytes()
        width, height = read_size(content, identify(content, ""))
        return width * height / 1e6
    return 0.0
