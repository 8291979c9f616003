"""Photos: bytes become a checked, upright, sRGB ``Photo`` without GPS, and are kept.

``formats`` tells what bytes are. ``decoding`` opens what may be hostile, with what ``jpeg``,
``png``, ``tiff``, ``bmff`` and ``raw`` know of their containers, and turns it upright and to sRGB,
which ``colour`` knows. ``photo`` makes a ``Photo`` or a ``StoredPhoto`` of it, with what the camera
wrote (``exif``) and ``notes`` of how it was read. ``readers`` does so in processes of their own,
and ``storage`` keeps photos in a folder or a bucket.
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
