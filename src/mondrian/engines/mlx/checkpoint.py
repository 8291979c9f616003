"""What ``mlx:`` needs before it loads: mlx-vlm, a checkpoint that is whole, and an adapter."""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from mondrian.errors import ModelNotFound, UnknownEngine
from mondrian.models import NAMES
from mondrian.models.local import find_code, find_folder, find_missing

LEAST_VERSION = "0.7.10"
"""Below it mlx-vlm misreads a photo behind the first chunk of a prompt, and does not say so."""


def find_checkpoint(target: str, home: Path) -> Path:
    """The folder of ``target``: a path, or a name of the catalogue or of the Hugging Face hub whose
    files are in ``home``/models or in the hub's own cache. Nothing is fetched.

    Raises ``UnknownEngine`` without an mlx-vlm that is new enough and for a checkpoint that brings
    code of its own, and ``ModelNotFound``.
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
            "run. Use one of a kind that mlx-vlm knows by itself."
        )
    if found:
        return found
    name = f"mlx:{target}" if target in NAMES else target
    raise ModelNotFound(
        f"The model {target} is not on this machine. Fetch it with `mondrian pull {name}`, "
        "or give the path of its folder."
    )


def check_adapter(path: Path) -> Path:
    """The weights of the LoRA adapter at ``path``: that file, or the one in that folder, with
    ``adapter_config.json`` beside it. Raises ``ModelNotFound``."""
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
    except PackageNotFoundError:  # a checkout of it, which has no version
        return
    if _numbers(found) < _numbers(LEAST_VERSION):
        raise UnknownEngine(
            f"mlx-vlm {found} is too old: it misreads photos. Install it anew with "
            f"`{install_command()}`."
        )


def _numbers(version: str) -> list[int]:
    return [*map(int, re.findall(r"\d+", version)[:3])]


def install_command() -> str:
    """What installs mlx-vlm on this machine."""
    return f"pip install 'mlx-vlm>={LEAST_VERSION}'" + (
        " 'mlx[cpu]'" if sys.platform == "linux" else ""
    )
