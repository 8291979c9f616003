"""Find models on this machine: in Mondrian's home, and in the Hugging Face hub's own cache, which
other programs fill."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mondrian.errors import ModelNotFound
from mondrian.models.known import CATALOGUE, Hub, Model, hub_model

_SHARED = "mlx-community"
"""Owner on the hub whose models are all for MLX."""

_TABLES = (".index.json", "tokenizer.json", "vocab.json", "added_tokens.json")
"""Files of words or tensor names, which cannot name code."""


def find_folder(name: str, home: Path) -> Path | None:
    """Return the folder of the MLX checkpoint ``name``, of the catalogue or of the hub
    (``owner/name``). It may be incomplete."""
    names = [name, *(_find_repo(model) for model in CATALOGUE if model.url == f"mlx:{name}")]
    for folder in [home / "models" / each for each in names]:
        if folder.is_dir():
            return folder
    return next(filter(None, map(_find_cached, names)), None)


def find_path(model: Model, home: Path) -> Path | None:
    """Return the path that the engine of ``model`` opens, ``None`` unless it is complete here."""
    if model.engine != "mlx":
        return model.path(home) if model.is_on_disk(home) else None
    folder = find_folder(model.name, home)
    return folder if folder and _is_whole(folder) else None


def find_missing(folder: Path) -> str | None:
    """Return the first file that the checkpoint in ``folder`` lacks. Raise ``ModelNotFound`` if
    one cannot be read."""
    index = folder / "model.safetensors.index.json"
    listed = _read_json(index).get("weight_map", {}) if index.is_file() else {}
    shards: set[str] = set(listed.values())
    for name in ["config.json", *sorted(shards)]:
        if not (folder / name).is_file():
            return name
    return None if any(folder.glob("*.safetensors")) else "*.safetensors"


def find_code(folder: Path) -> str | None:
    """Return where the checkpoint in ``folder`` names Python code, which would run when it is
    loaded, such as ``model_file in config.json``. Raise ``ModelNotFound`` if a file cannot be
    read."""
    for path in sorted(folder.glob("*.json")):
        if not path.name.endswith(_TABLES):
            for key in _iter_keys(_read_json(path)):
                if key in ("model_file", "auto_map"):
                    return f"{key} in {path.name}"
    return None


def _iter_keys(value: Any) -> Iterator[str]:
    """Yield the keys of all objects in ``value`` whose value is not empty."""
    if isinstance(value, dict):
        yield from (key for key, inner in value.items() if inner)
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _iter_keys(inner)


def sees(folder: Path) -> bool:
    """Return whether the checkpoint in ``folder`` has a vision part."""
    return bool(_read_json(folder / "config.json").get("vision_config"))


def list_pulled(home: Path) -> list[Model]:
    """Return the MLX checkpoints in ``home`` that are not in the catalogue."""
    folders = [path.parent for path in (home / "models").glob("*/[!.]*/config.json")]
    return _load_models({f"{folder.parent.name}/{folder.name}" for folder in folders}, home)


def list_cached(home: Path) -> list[Model]:
    """Return the MLX checkpoints in the hub's cache that see and are neither in the catalogue nor
    in ``home``."""
    from huggingface_hub import constants

    prefix = f"models--{_SHARED}--"
    folders = Path(constants.HF_HUB_CACHE).glob(f"{prefix}*")
    names = {f"{_SHARED}/{folder.name.removeprefix(prefix)}" for folder in folders}
    pulled = {model.name for model in list_pulled(home)}
    return [model for model in _load_models(names - pulled, home) if model.sees]


def _load_models(names: set[str], home: Path) -> list[Model]:
    models = []
    for name in sorted(names - {_find_repo(model) for model in CATALOGUE}):
        folder = find_folder(name, home)
        if folder and _is_whole(folder):
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            models.append(hub_model(name, size, sees=sees(folder)))
    return models


def _is_whole(folder: Path) -> bool:
    try:
        _read_json(folder / "config.json")
        return find_missing(folder) is None and find_code(folder) is None
    except ModelNotFound:
        return False


def _find_repo(model: Model) -> str:
    return model.source.repo if isinstance(model.source, Hub) else model.name


def _find_cached(name: str) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError):  # not in the cache; not a valid name
        return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ModelNotFound(f"{path} cannot be read: {exc}. Fetch the model again.") from exc
    return content
