"""Open engines by URL."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from mondrian.engines.base import Engine
from mondrian.errors import UnknownEngine, without_secrets


def open_engine(
    url: str = "auto", *, home: Path | None = None, adapter: Path | None = None
) -> Engine:
    """Open the engine that ``url`` names (docs/engines.md lists the forms), without loading it.

    ``home`` is the folder with the pulled models, by default that of the settings. ``adapter`` is
    the path of a LoRA adapter, for engines that take one.

    Raise ``UnknownEngine`` for an invalid URL, and ``ModelNotFound``.
    """
    from mondrian.models import choose

    home = home or _find_home()
    if url == "auto":
        url = choose(home).model.url
    if adapter:
        url += f"{'&' if '?' in url else '?'}{urlencode({'adapter': adapter})}"
    scheme, _, rest = url.partition(":")
    if scheme not in _OPENERS or not rest:
        forms, shown = ", ".join(f"{name}:…" for name in _OPENERS), without_secrets(url)
        raise UnknownEngine(
            f"The engine {shown!r} is not understood. {_suggest(shown)}Give auto, {forms}."
        )
    target, _, query = rest.partition("?")
    return _OPENERS[scheme](without_secrets(url), target, query, home)


def _suggest(url: str) -> str:
    """Return a sentence that suggests a valid URL for an invalid one, or an empty string."""
    from mondrian.models import CATALOGUE, Machine

    scheme, _, rest = url.partition(":")
    meant = ""
    if port := _PORTS.get(scheme.casefold().replace("-", "").replace("_", "").replace(".", "")):
        meant = f"openai:http://127.0.0.1:{port}/v1" + (f"?model={quote(rest)}" if rest else "")
    elif scheme in ("http", "https"):
        meant = f"openai:{url}"
    elif url.lower().endswith(".gguf"):
        meant = f"llamacpp:{url}"
    elif models := [model for model in CATALOGUE if model.name == url]:
        machine = Machine.read()
        meant = next((each for each in models if not each.obstacle(machine)), models[-1]).url
    elif "/" in url and ":" not in url:
        meant = f"mlx:{url}"
    elif near := get_close_matches(scheme, _OPENERS, n=1):
        meant = f"{near[0]}:{rest or '…'}"
    return f"Did you mean {meant}? " if meant else ""


def _open_llamacpp(url: str, target: str, query: str, home: Path) -> Engine:
    from mondrian.engines.native.engine import HostedEngine
    from mondrian.models import find_gguf

    known = {
        "mmproj": _parse_file,
        "ctx": _parse_count,
        "threads": _parse_count,
        "slots": _parse_slots,
    }
    options = _parse_options(url, query, {**_COMMON, **known})
    path, mmproj = find_gguf(target, home)
    if mmproj:
        options = {"mmproj": mmproj, **options}
    return HostedEngine(
        url=url,
        model=path.stem,
        sees="mmproj" in options,
        native="mondrian.engines.llamacpp:LlamaCpp",
        options={"path": path, **options},
        slots=options.get("slots", 1),
    )


def _open_mlx(url: str, target: str, query: str, home: Path) -> Engine:
    from mondrian.engines.mlx.checkpoint import check_adapter, find_checkpoint
    from mondrian.engines.native.engine import HostedEngine
    from mondrian.models.local import sees

    options = _parse_options(url, query, {**_COMMON, "adapter": Path, "stream": _parse_bool})
    path = find_checkpoint(target, home)
    if "adapter" in options:
        options["adapter"] = check_adapter(options["adapter"])
    return HostedEngine(
        url=url,
        model=target.rstrip("/").rpartition("/")[2],
        sees=sees(path),
        native="mondrian.engines.mlx.engine:Mlx",
        options={"path": path, **options},
        has_adapter="adapter" in options,
    )


def _open_replay(url: str, target: str, query: str, home: Path) -> Engine:
    from mondrian.engines.native.engine import HostedEngine

    known = {
        "speed": _parse_speed,
        "max_tokens": _parse_count,
        "sees": _parse_bool,
        "slots": _parse_slots,
    }
    options = _parse_options(url, query, known)
    path = Path(target)
    if not path.is_file():
        raise UnknownEngine(f"There is no recording {target}. Give the path of a JSON Lines file.")
    return HostedEngine(
        url=url,
        model=path.stem,
        sees=options.pop("sees", True),
        slots=options.pop("slots", 1),
        native="mondrian.engines.replay:Replay",
        options={"path": path, **options},
    )


def _open_openai(url: str, target: str, query: str, home: Path) -> Engine:
    from mondrian.engines.openai.engine import OpenAIServer

    if not target.startswith(("http://", "https://")):
        raise UnknownEngine(f"The engine {url!r} needs an address: openai:http://host:8000/v1.")
    options = _parse_options(url, query, {**_COMMON, "model": str, "sees": _parse_bool})
    return OpenAIServer(url=url, base_url=target, **options)


def _parse_options(
    url: str, query: str, known: Mapping[str, Callable[[str], Any]]
) -> dict[str, Any]:
    """Return the options of ``query``, converted by ``known``. Raise ``UnknownEngine`` for any
    other option and for an invalid value."""
    options, engine = {}, url.partition("?")[0]  # the rest may be a key
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            names = ", ".join(sorted(known))
            raise UnknownEngine(f"The engine {engine!r} has no option {name!r}. It knows {names}.")
        try:
            options[name] = known[name](text)
        except ValueError as exc:
            raise UnknownEngine(f"The engine {engine!r} cannot take {name}={text}: {exc}.") from exc
    return options


def _parse_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError("it must be a whole number from 1")
    return int(text)


def _parse_slots(text: str) -> int:
    if (value := _parse_count(text)) > _MOST_SLOTS:
        raise ValueError(f"it must be a whole number from 1 to {_MOST_SLOTS}")
    return value


def _parse_file(text: str) -> Path:
    if not (path := Path(text)).is_file():
        raise ValueError("there is no such file")
    return path


def _parse_speed(text: str) -> float:
    if not 0 < (value := float(text)) < float("inf"):
        raise ValueError("it must be a number above 0")
    return value


def _parse_temperature(text: str) -> float:
    if not 0 <= (value := float(text)) <= 5:
        raise ValueError("it must be a number from 0 to 5")
    return value


def _parse_bool(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("it must be true or false")
    return text == "true"


def _find_home() -> Path:
    from mondrian.settings import Settings

    return Settings.read().home


# llama.cpp's own limit is 256 sequences
_MOST_SLOTS = 64

# default ports of OpenAI-compatible servers, by their usual names
_PORTS = {"ollama": 11434, "lmstudio": 1234, "vllm": 8000, "llamaserver": 8080}

_COMMON: dict[str, Callable[[str], Any]] = {
    "max_tokens": _parse_count,
    "temperature": _parse_temperature,
}

_OPENERS: dict[str, Callable[[str, str, str, Path], Engine]] = {
    "llamacpp": _open_llamacpp,
    "mlx": _open_mlx,
    "openai": _open_openai,
    "replay": _open_replay,
}
