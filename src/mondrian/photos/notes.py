"""Notes for the reader of a critique on how its photo was read."""

from enum import StrEnum


class Note(StrEnum):
    """A sentence about how a photo was read. Its name is stored in the photo's EXIF."""

    RAW_PREVIEW = (
        "Judged by the preview that the camera put into its RAW file, not by the sensor's own data."
    )
    HALF_SIZE = "Read at half its size: it has over 102 megapixels."
    TONE_MAPPED = "An HDR photo: its brightest light was brought into the range of a usual screen."
