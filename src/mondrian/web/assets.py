"""Scripts and styles under names with a hash, so that browsers may cache them permanently.

One hash covers all files: the scripts import each other, and a page must load one version of all.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
"""The folder of the scripts, styles and the icon."""

# A contact sheet is a file of its own as well as a page.
_SHEET = Path(__file__).parents[1] / "catalogue" / "templates"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_IMPORT = re.compile(rb'(?<=from "\./)(\w+)\.js(?=")')


@dataclass(frozen=True, slots=True)
class Asset:
    """A script, style or icon of the pages."""

    content: bytes
    media_type: str


def asset_url(name: str) -> str:
    """Return the path of the file ``name`` of ``static/``, such as ``job.js``. Raise ``KeyError``
    if there is none."""
    stem, dot, ending = name.rpartition(".")
    hashed = f"{stem}.{_compute_digest()}{dot}{ending}"
    return f"/web/{hashed}" if hashed in _build_assets() else _raise_missing(name)


def find_asset(hashed_name: str) -> Asset | None:
    """Return the file of that name with its hash, such as ``job.1b2c3d4e5f60.js``."""
    return _build_assets().get(hashed_name)


def list_assets(ending: str) -> list[str]:
    """Return the paths of all files with that ending, such as ``.js``."""
    return [asset_url(name) for name in _read_files() if name.endswith(ending)]


def _raise_missing(name: str) -> str:
    raise KeyError(name)


@cache
def _read_files() -> Mapping[str, bytes]:
    found = sorted([*STATIC.iterdir(), *_SHEET.iterdir()], key=lambda path: path.name)
    return {path.name: path.read_bytes() for path in found if path.suffix in _TYPES}


@cache
def _compute_digest() -> str:
    digest = hashlib.sha256()
    for name, content in _read_files().items():
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:12]


@cache
def _build_assets() -> Mapping[str, Asset]:
    digest, found = _compute_digest(), {}
    for name, content in _read_files().items():
        path = Path(name)
        content = _IMPORT.sub(rb"\1." + digest.encode() + rb".js", content)
        found[f"{path.stem}.{digest}{path.suffix}"] = Asset(content, _TYPES[path.suffix])
    return found
