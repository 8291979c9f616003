"""Photos are read in processes of their own, which hostile bytes may only occupy for a while.

Decoders are written in C and in Python, and neither can be stopped in a thread. In a child they are
held to limits of time, processor and memory, and ended when the photo is not wanted any more. An
embedder who knows where its photos come from calls ``read_photo`` in its own process instead.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mondrian.errors import DamagedPhoto, PhotoReaderUnavailable, PhotoTooComplex
from mondrian.photos.decoding import MAX_HALVED_PIXELS
from mondrian.photos.reading import Answer, Reading, Size
from mondrian.process.limits import LimitPassed, Limits
from mondrian.process.parent import ChildEnded
from mondrian.process.pool import HandlerFailed, Pool

T = TypeVar("T")

SECONDS = 10.0
SECONDS_PER_MEGAPIXEL = 0.2
MEMORY_BYTES = 2 * 10**9
"""What reading a photo may take."""

_KEPT_BYTES = 400_000_000


class PhotoReaders:
    """``size`` processes that read a photo each. ``prepare``, a function of a module, imports what
    they need. For all threads."""

    def __init__(self, size: int, *, prepare: Callable[[], None]) -> None:
        self.size = size
        self._pool = Pool(
            size,
            label="photos",
            handler="mondrian.photos.reading:PhotoReader",
            options={"prepare": prepare},
            kept_bytes=_KEPT_BYTES,
        )

    @property
    def pids(self) -> list[int]:
        """Their process ids."""
        return self._pool.pids

    def warm(self) -> None:
        """Start the processes, so that the first photo finds them ready. Raise
        ``PhotoReaderUnavailable`` if that cannot be."""
        try:
            self._pool.warm()
        except OSError as exc:
            raise PhotoReaderUnavailable from exc

    def run(
        self,
        function: Callable[..., T],
        photo: bytes | Path,
        *,
        is_wanted: Callable[[], bool] = lambda: True,
        is_urgent: bool = True,
        **arguments: Any,
    ) -> T:
        """Return what ``function``, of a module, makes of ``photo`` and ``arguments``.

        One that is not urgent leaves a process to those that are. It may take 10 s and 2 s more per
        10 megapixels, of a processor and on the clock (there up to three times as long where it has
        to wait for a processor), and 2 GB of memory. Raise what it raises, ``PhotoTooComplex``
        beyond those limits, ``DamagedPhoto`` if it ends its process twice,
        ``PhotoReaderUnavailable`` where there can be none, and ``Unwanted`` soon after
        ``is_wanted`` says so.
        """
        reading = Reading(function=function, photo=photo, arguments=arguments)
        try:
            try:
                answer = self._pool.ask(reading, _limits, is_wanted, is_urgent=is_urgent)
            except ChildEnded:  # which need not be the photo's fault
                answer = self._pool.ask(reading, _limits, is_wanted, is_urgent=is_urgent)
        except LimitPassed as exc:
            raise _refusal(exc) from exc
        except (ChildEnded, HandlerFailed) as exc:
            raise DamagedPhoto from exc
        except OSError as exc:
            raise PhotoReaderUnavailable from exc
        assert isinstance(answer, Answer)
        value: T = answer.value
        return value

    def close(self) -> None:
        """End the processes, at once."""
        self._pool.close()


def _limits(item: object) -> Limits | None:
    """Return what reading may take: at first, and once its size is known."""
    if isinstance(item, Answer):
        return None
    megapixels = min(item.megapixels, MAX_HALVED_PIXELS / 1e6) if isinstance(item, Size) else 0.0
    return Limits(seconds=SECONDS + SECONDS_PER_MEGAPIXEL * megapixels, memory_bytes=MEMORY_BYTES)


def _refusal(exc: LimitPassed) -> PhotoTooComplex:
    if exc.what == "memory":
        took = f"over {exc.limits.memory_bytes / 1e9:g} GB of memory"
    else:
        took = f"over {exc.limits.seconds:.0f} seconds"
    return PhotoTooComplex(
        f"To read the photo takes {took}, more than one of its size may. Export it again as JPEG "
        "and try again."
    )
