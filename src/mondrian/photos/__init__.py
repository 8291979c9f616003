"""Photos: bytes become a checked, upright, sRGB ``Photo`` without GPS, and are kept.

``decoding`` opens what may be hostile and turns it upright and to sRGB; ``photo`` makes a
``Photo`` or a ``StoredPhoto`` of it; ``storage`` keeps photos in a folder or a bucket. ``formats``
tells what bytes are, and ``exif`` what the camera wrote.
"""

from mondrian.photos.decoding import MAX_PIXELS, MAX_SIDE
from mondrian.photos.exif import Exif
from mondrian.photos.photo import MAX_BYTES, Photo, StoredPhoto, prepare_photo, read_photo
from mondrian.photos.storage import PhotoStore

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
