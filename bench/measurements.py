"""How long ``measure`` takes for a 12-megapixel photo on one core, the network included.

Prints the least of several runs in CPU seconds, which grow less than those of the clock when other
programs want the core. Two peers are interleaved with it: Pillow, which decodes the same photo from
JPEG, and the network alone, which took 0.45 s on the core that the limit of 1.3 s was set for. Then
the time and the memory of the process for 101 megapixels, at most 1.4 GB.

    .venv/bin/python bench/measurements.py [runs]
"""

import dataclasses
import io
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mondrian.measurements import measure
from mondrian.measurements.subject import open_network
from mondrian.models import SUBJECT_NETWORK
from mondrian.photos import Exif, Photo
from mondrian.settings import Settings

LIMIT_SECONDS, NETWORK_SECONDS, LIMIT_MEGABYTES = 1.3, 0.45, 1400.0


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


def cpu_seconds(work: Callable[[], object]) -> float:
    """Seconds of the CPU that ``work`` takes."""
    before = time.process_time()
    work()
    return time.process_time() - before


def run_network(network: Path | None) -> None:
    """Run the network on a picture of noise: its time does not depend on what is seen."""
    if network:
        noise = np.random.default_rng(0).normal(size=(1, 3, 320, 320)).astype(np.float32)
        open_network(network)(noise)


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
    works: dict[str, Callable[[], object]] = {
        "measure": lambda: measure(photo),
        "Pillow decodes JPEG": lambda: Image.open(io.BytesIO(jpeg)).load(),
        "the network alone": lambda: run_network(network),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            times[name].append(cpu_seconds(work))
    cpu, decoded, alone = (min(each) for each in times.values())
    print(f"measure, 12 MP       {cpu:6.3f} s of CPU, {cpu / LIMIT_SECONDS:.2f} of {LIMIT_SECONDS}")
    print(f"Pillow decodes JPEG  {decoded:6.3f} s, measure is {cpu / decoded:.2f} times as long")
    print(
        f"the network alone    {alone:6.3f} s, {alone / NETWORK_SECONDS:.2f} of {NETWORK_SECONDS}"
    )
    large = dataclasses.replace(photo, pixels=np.tile(photo.pixels, (3, 3, 1))[:8700, :11600])
    before = peak_megabytes()
    print(f"measure, 101 MP      {cpu_seconds(lambda: measure(large)):6.3f} s of CPU")
    peak = peak_megabytes()
    print(
        f"memory / limit       {peak / LIMIT_MEGABYTES:6.2f}     {peak:.0f} MB, {before:.0f} before"
    )
    holds = network is not None and cpu <= LIMIT_SECONDS and peak <= LIMIT_MEGABYTES
    print("holds" if holds else "MISSED")
    sys.exit(not holds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
