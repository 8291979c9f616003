"""Scripts and styles under names with a hash in them, so that browsers may keep them for ever.

One hash covers all files: the scripts import each other, and a page gets all of one version or all
of another.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_IMPORT = re.compile(rb'(?<=from "\./)(\w+)\.js(?=")')


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages load."""

    content: bytes
    media_type: str


def asset_url(name: str) -> str:
    """Return the path of the file ``name`` of ``static/``, such as ``job.js``. Raise ``KeyError``
    if there is none."""
    stem, dot, ending = name.rpartition(".")
    hashed = f"{stem}.{_digest()}{dot}{ending}"
    return f"/web/{hashed}" if hashed in _assets() else _missing(name)


def find_asset(hashed_name: str) -> Asset | None:
    """Return the file of that name with its hash, such as ``job.1b2c3d4e5f60.js``."""
    return _assets().get(hashed_name)


def list_assets(ending: str) -> list[str]:
    """Return the paths of all files with that ending, such as ``.js``."""
    return [asset_url(name) for name in _files() if name.endswith(ending)]


def _missing(name: str) -> str:
    raise KeyError(name)


@cache
def _files() -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.is_file()}


@cache
def _digest() -> str:
    digest = hashlib.sha256()
    for name, content in _files().items():
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:12]


@cache
def _assets() -> Mapping[str, Asset]:
    digest, found = _digest(), {}
    for name, content in _files().items():
        path = Path(name)
        content = _IMPORT.sub(rb"\1." + digest.encode() + rb".js", content)
        found[f"{path.stem}.{digest}{path.suffix}"] = Asset(content, _TYPES[path.suffix])
    return found
