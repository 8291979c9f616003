"""Check what ``mlx:`` needs: mlx-vlm, a complete checkpoint, and an adapter."""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from mondrian.errors import ModelNotFound, UnknownEngine
from mondrian.models import NAMES
from mondrian.models.local import find_code, find_folder, find_missing

LEAST_VERSION = "0.7.10"
"""Older mlx-vlm silently misreads a photo after the first chunk of a prompt."""


def find_checkpoint(target: str, home: Path) -> Path:
    """Return the folder of ``target``: a path, or a name in the catalogue or on the Hugging Face
    hub whose files are in ``home``/models or in the hub's own cache. Fetches nothing.

    Raise ``UnknownEngine`` if mlx-vlm is missing or too old, or the checkpoint contains code, and
    ``ModelNotFound``.
    """
    if find_spec("mlx_vlm") is None:
        raise UnknownEngine(
            f"The engine mlx: needs mlx-vlm. Install it with `{install_command()}`."
        )
    check_version()
    folder = Path(target).expanduser()
    found = folder if folder.is_dir() else find_folder(target, home)
    if found and (missing := find_missing(found)):
        raise ModelNotFound(
            f"The model in {found} is not complete: {missing} is missing. Fetch it again."
        )
    if found and (code := find_code(found)):
        raise UnknownEngine(
            f"The checkpoint in {found} brings code of its own ({code}), which Mondrian does not "
            "run. Use a model type that mlx-vlm supports itself."
        )
    if found:
        return found
    name = f"mlx:{target}" if target in NAMES else target
    raise ModelNotFound(
        f"The model {target} is not on this machine. Fetch it with `mondrian pull {name}`, "
        "or give the path of its folder."
    )


def check_adapter(path: Path) -> Path:
    """Return the weights of the LoRA adapter at ``path``: that file, or the one in that folder,
    with ``adapter_config.json`` beside it. Raise ``ModelNotFound``."""
    path = path.expanduser()
    for weights in (path, path / "adapters.safetensors", path / "weights.safetensors"):
        if weights.is_file() and weights.with_name("adapter_config.json").is_file():
            return weights
    raise ModelNotFound(
        f"There is no adapter at {path}. Give the folder that holds adapter_config.json and "
        "adapters.safetensors."
    )


def check_version() -> None:
    """Raise ``UnknownEngine`` if mlx-vlm is older than ``LEAST_VERSION``."""
    try:
        found = version("mlx-vlm")
    except PackageNotFoundError:  # a checkout without a version
        return
    if _parse_version(found) < _parse_version(LEAST_VERSION):
        raise UnknownEngine(
            f"mlx-vlm {found} is too old: it misreads photos. Upgrade it with "
            f"`{install_command()}`."
        )


def _parse_version(version: str) -> list[int]:
    return [*map(int, re.findall(r"\d+", version)[:3])]


def install_command() -> str:
    """Return the command that installs mlx-vlm on this machine."""
    return f"pip install 'mlx-vlm>={LEAST_VERSION}'" + (
        " 'mlx[cpu]'" if sys.platform == "linux" else ""
    )
