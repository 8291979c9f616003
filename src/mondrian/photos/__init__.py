"""Photos: read untrusted bytes into an upright sRGB ``Photo`` without GPS, and store it.

``formats`` identifies the file format. ``decoding`` opens untrusted bytes, with parsers for each
container (``jpeg``, ``png``, ``tiff``, ``bmff``, ``raw``), and converts the pixels to upright sRGB
(``colour``). ``photo`` builds a ``Photo`` or a ``StoredPhoto``, with the camera's metadata
(``exif``) and ``notes`` on how it was read. ``readers`` does this in child processes with limits,
and ``storage`` stores photos in a folder or a bucket.
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
