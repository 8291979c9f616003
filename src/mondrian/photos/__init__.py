"""Photos: bytes become a checked, upright, sRGB ``Photo`` without GPS, and are kept.

``decoding`` opens what may be hostile and turns it upright and to sRGB; ``reading`` makes a
``Photo`` or a ``StoredPhoto`` of it; ``store`` keeps photos in a folder or a bucket.
"""

from mondrian.exif import Exif
from mondrian.photos.decoding import MAX_PIXELS, MAX_SIDE
from mondrian.photos.reading import MAX_BYTES, Photo, StoredPhoto, prepare_photo, read_photo
from mondrian.photos.store import PhotoStore

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "Exif",
    "Photo",
    "PhotoStore",
    "StoredPhoto",
    "prepare_photo",
    "read_photo",
]
