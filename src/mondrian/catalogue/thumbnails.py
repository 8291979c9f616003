"""Small pictures of judged photos, so that a contact sheet reads no photo again."""

import io
import shutil
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

WIDTH = 400
_QUALITY = 78
_DARKEST = 200  # of 255


def save_thumbnail(folder: Path, sha256: str, jpeg: bytes) -> None:
    """Write the thumbnail of a JPEG, unless it is there. One that cannot be written is done
    without."""
    from PIL import Image

    path = find_thumbnail_path(folder, sha256)
    if path.exists():
        return
    with Image.open(io.BytesIO(jpeg)) as image:
        image.draft("RGB", (WIDTH, WIDTH))
        image.thumbnail((WIDTH, WIDTH))
        encoded = io.BytesIO()
        image.convert("RGB").save(encoded, "JPEG", quality=_QUALITY)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(encoded.getvalue())
        part.replace(path)
    except OSError:
        return


def copy_thumbnail(folder: Path, sha256: str, other_sha256: str) -> None:
    """Give the photo with another content the same thumbnail, if it can be done."""
    with suppress(OSError):
        shutil.copyfile(
            find_thumbnail_path(folder, sha256), find_thumbnail_path(folder, other_sha256)
        )


def read_thumbnail(folder: Path, sha256: str) -> bytes | None:
    """Return the thumbnail of a photo, if there is one."""
    try:
        return find_thumbnail_path(folder, sha256).read_bytes()
    except OSError:
        return None


def draw_softness(sharpness: Sequence[Sequence[float]]) -> str:
    """Return the URL of a picture to lay over a photo, which darkens what is soft: a PNG with a
    pixel for each value from 0 to 1. It is empty if there are none."""
    from PIL import Image

    if not sharpness or not sharpness[0]:
        return ""
    pixels = bytes(
        level for row in sharpness for value in row for level in (10, round(_DARKEST * (1 - value)))
    )
    encoded = io.BytesIO()
    Image.frombytes("LA", (len(sharpness[0]), len(sharpness)), pixels).save(encoded, "PNG")
    return f"data:image/png;base64,{b64encode(encoded.getvalue()).decode()}"


def find_thumbnail_path(folder: Path, sha256: str) -> Path:
    """Return the path of a photo's thumbnail."""
    return folder / f"{sha256}.jpg"
