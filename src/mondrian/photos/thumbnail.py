"""Small versions of stored photos."""

import io

from PIL import Image


def make_thumbnail(encoded: bytes, max_width: int) -> bytes:
    """Return a stored photo as a JPEG that is at most ``max_width`` pixels wide, without EXIF."""
    with Image.open(io.BytesIO(encoded)) as image:
        height = max(1, round(image.height * max_width / image.width))
        image.draft("RGB", (max_width, height))  # libjpeg skips the pixels that are not shown
        image.thumbnail((max_width, height), Image.Resampling.LANCZOS)
        picture = io.BytesIO()
        image.convert("RGB").save(picture, "JPEG", quality=88)
    return picture.getvalue()
