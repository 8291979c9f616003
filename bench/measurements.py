"""How long ``measure`` takes for a 12-megapixel photo on one core, the network included.

Prints the least of several runs and its ratio to the limit of 1.3 s; as a peer, interleaved with
it, the time that Pillow takes to decode the same photo from JPEG; then the time and the memory of
the process for 101 megapixels, at most 1.4 GB. The limit is for CPU seconds, which grow less than
those of the clock when other programs want the core, and for the least of them.

    .venv/bin/python bench/measurements.py [runs]
"""

import dataclasses
import io
import os
import resource
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mondrian.measurements import measure
from mondrian.models import SUBJECT_NETWORK
from mondrian.photos import Exif, Photo
from mondrian.settings import Settings

LIMIT_SECONDS, LIMIT_MEGABYTES = 1.3, 1400.0


def keep_to_one_core() -> str:
    """Keep this process on one core, where the system can, and say so."""
    if not hasattr(os, "sched_setaffinity"):
        return "all cores (this system cannot pin a process to one)"
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return f"core {core} alone"


def photo_of(width: int, height: int) -> Photo:
    """A real photograph, scaled up, with the grain that a camera adds at full size."""
    from skimage import data

    real = data.astronaut()  # type: ignore[no-untyped-call]
    image = Image.fromarray(real).resize((width, height), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(1).integers(-3, 4, (256, 256, 3), np.int16)
    pixels = np.asarray(image).copy()
    for top in range(0, height, 256):
        for left in range(0, width, 256):
            tile = pixels[top : top + 256, left : left + 256]
            tile[:] = np.clip(tile + grain[: tile.shape[0], : tile.shape[1]], 0, 255)
    return Photo(pixels=pixels, sha256="", format="JPEG", name="astronaut.jpg", exif=Exif())


def jpeg_of(pixels: NDArray[np.uint8]) -> bytes:
    """``pixels`` as a JPEG of quality 90."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of the CPU that ``work`` takes."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def peak_megabytes() -> float:
    """The most memory that this process has held so far (Linux counts kilobytes, macOS bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if _is_mac() else 1e3)


def _is_mac() -> bool:
    return sys.platform == "darwin"


def main(runs: int) -> None:
    """Measure and print."""
    network = SUBJECT_NETWORK.find(Settings.read().home)
    print(f"on {keep_to_one_core()}, {runs} runs, {'with' if network else 'WITHOUT'} the network")
    photo = photo_of(4000, 3000)
    jpeg = jpeg_of(photo.pixels)
    measure(photo)  # imports, once
    measured, decoded = [], []
    for _ in range(runs):
        measured.append(seconds_of(lambda: measure(photo)))
        decoded.append(seconds_of(lambda: Image.open(io.BytesIO(jpeg)).load()))
    clock, cpu = (min(times) for times in zip(*measured, strict=True))
    peer, peer_cpu = (min(times) for times in zip(*decoded, strict=True))
    print(f"measure, 12 MP      {clock:6.3f} s   CPU {cpu:6.3f} s")
    print(f"Pillow decodes JPEG {peer:6.3f} s   CPU {peer_cpu:6.3f} s")
    print(f"measure / limit     {clock / LIMIT_SECONDS:6.2f}     CPU {cpu / LIMIT_SECONDS:6.2f}")
    print(f"measure / decode    {clock / peer:6.2f}     CPU {cpu / peer_cpu:6.2f}")
    large = dataclasses.replace(photo, pixels=np.tile(photo.pixels, (3, 3, 1))[:8700, :11600])
    before = peak_megabytes()
    clock, large_cpu = seconds_of(lambda: measure(large))
    peak = peak_megabytes()
    print(f"measure, 101 MP     {clock:6.3f} s   CPU {large_cpu:6.3f} s")
    print(
        f"memory / limit      {peak / LIMIT_MEGABYTES:6.2f}     {peak:.0f} MB, {before:.0f} before"
    )
    holds = network is not None and cpu <= LIMIT_SECONDS and peak <= LIMIT_MEGABYTES
    print("holds" if holds else "MISSED")
    sys.exit(not holds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
