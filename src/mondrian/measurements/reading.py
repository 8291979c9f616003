"""A photo is read and measured in one go, where its pixels are."""

from dataclasses import dataclass, field
from pathlib import Path

from mondrian.measurements import measure
from mondrian.measurements.values import Measurements
from mondrian.photos import read_photo


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredPhoto:
    """Everything that a critique needs of a photo except its pixels, which stay in the process that
    read it.

    ``width`` and ``height`` are in pixels, upright. ``view`` is the photo as an engine that sees
    gets it: a JPEG, upright, sRGB, no EXIF, at most 1320 pixels wide. The rest is as in ``Photo``.
    """

    name: str
    sha256: str
    width: int
    height: int
    view: bytes = field(repr=False)
    measurements: Measurements
    notes: tuple[str, ...] = ()


def read_measured(
    source: bytes | Path, *, name: str | None = None, home: Path | None = None
) -> MeasuredPhoto:
    """Read and measure a photo; ``home`` is that of ``measure``. Raise what ``read_photo`` does."""
    photo = read_photo(source, name=name)
    return MeasuredPhoto(
        name=photo.name,
        sha256=photo.sha256,
        width=photo.width,
        height=photo.height,
        view=photo.view,
        measurements=measure(photo, home=home),
        notes=photo.notes,
    )
