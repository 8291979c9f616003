"""Where an MLX checkpoint lies, and what can be told of it without loading it."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mondrian.errors import ModelNotFound, UnknownEngine
from mondrian.models import NAMES


def find_checkpoint(target: str, home: Path) -> Path:
    """The folder of ``target``: a path, or a name of the catalogue or of the Hugging Face hub whose
    files are in ``home``/models or in the hub's own cache. Nothing is fetched.

    Raises ``UnknownEngine`` without mlx-vlm, and ``ModelNotFound``.
    """
    if find_spec("mlx_vlm") is None:
        raise UnknownEngine(
            f"The engine mlx: needs mlx-vlm. Install it with `{install_command()}`."
        )
    for folder in (Path(target).expanduser(), home / "models" / target, _cached(target)):
        if folder and folder.is_dir():
            _check_complete(folder)
            return folder
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


def sees(folder: Path) -> bool:
    """Whether the checkpoint has a part for photos."""
    return bool(_read_json(folder / "config.json").get("vision_config"))


def install_command() -> str:
    """What installs mlx-vlm on this machine."""
    return "pip install mlx-vlm" + (" 'mlx[cpu]'" if sys.platform == "linux" else "")


def _cached(target: str) -> Path | None:
    """The folder of ``target`` in the hub's cache, which other programs may have filled."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(target, local_files_only=True))
    except (OSError, ValueError):  # not there; not a name
        return None


def _check_complete(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    shards = set(_read_json(index).get("weight_map", {}).values()) if index.is_file() else set()
    missing = [name for name in ["config.json", *sorted(shards)] if not (folder / name).is_file()]
    if not missing and not any(folder.glob("*.safetensors")):
        missing = ["*.safetensors"]
    if missing:
        raise ModelNotFound(
            f"The model in {folder} is not complete: {missing[0]} is missing. Fetch it again."
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ModelNotFound(f"{path} cannot be read: {exc}. Fetch the model again.") from exc
    return content
