"""Read untrusted photos in child processes with limits.

Decoders are written in C and Python, and cannot be stopped in a thread. In a child they have limits
of time, CPU and memory, and are killed when the photo is no longer wanted. An embedder that trusts
its photos calls ``read_photo`` in its own process instead.
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
"""The limits of reading a photo."""

_KEPT_BYTES = 400_000_000


class PhotoReaders:
    """A pool of ``size`` processes that read one photo each at a time. ``prepare``, a module-level
    function, imports the modules that they need. Thread-safe."""

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
        """Return the process ids."""
        return self._pool.pids

    def warm(self) -> None:
        """Start the processes, so that they are ready for the first photo. Raise
        ``PhotoReaderUnavailable`` if they cannot be started."""
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
        """Return the result of ``function``, a module-level one, for ``photo`` and ``arguments``.

        A call that is not urgent leaves one process to those that are. The limits are 10 s plus 2 s
        per 10 megapixels, of CPU time and of elapsed time (up to three times as long unless it is
        idle), and 2 GB of memory. Raise the errors of ``function``, ``PhotoTooComplex`` beyond
        the limits, ``DamagedPhoto`` if the process dies twice, ``PhotoReaderUnavailable`` if no
        process can be started, and ``Unwanted`` soon after ``is_wanted`` returns false.
        """
        reading = Reading(function=function, photo=photo, arguments=arguments)
        try:
            try:
                result = self._pool.ask(reading, _choose_limits, is_wanted, is_urgent=is_urgent)
            except ChildEnded:  # not necessarily because of the photo
                result = self._pool.ask(reading, _choose_limits, is_wanted, is_urgent=is_urgent)
        except LimitPassed as exc:
            raise _refusal(exc) from exc
        except (ChildEnded, HandlerFailed) as exc:
            raise DamagedPhoto from exc
        except OSError as exc:
            raise PhotoReaderUnavailable from exc
        assert isinstance(result, Answer)
        value: T = result.value
        return value

    def close(self) -> None:
        """Kill the processes."""
        self._pool.close()


def _choose_limits(item: object) -> Limits | None:
    """Return the limits of reading: the initial ones, and those of a ``Size``."""
    if isinstance(item, Answer):
        return None
    megapixels = min(item.megapixels, MAX_HALVED_PIXELS / 1e6) if isinstance(item, Size) else 0.0
    return Limits(seconds=SECONDS + SECONDS_PER_MEGAPIXEL * megapixels, memory_bytes=MEMORY_BYTES)


def _refusal(exc: LimitPassed) -> PhotoTooComplex:
    if exc.what == "memory":
        used = f"over {exc.limits.memory_bytes / 1e9:g} GB of memory"
    else:
        used = f"over {exc.limits.seconds:.0f} seconds"
    return PhotoTooComplex(
        f"Reading the photo takes {used}, the limit for its size. Export it again as JPEG and try "
        "again."
    )
