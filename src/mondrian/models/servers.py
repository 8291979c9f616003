"""Detect model servers that already run on this machine: Ollama and LM Studio.

Only their lists of models are fetched. A photo goes to one of them only if ``--engine`` or the
settings name it.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

OLLAMA_PORT = 11434
LM_STUDIO_PORT = 1234

_TIMEOUT_SECONDS = 0.5
_DEADLINE_SECONDS = 2.0
_MAX_BYTES = 2_000_000
_MAX_MODELS = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalServer:
    """A server at ``address`` with its ``models``; ``seeing`` are those that take a photo."""

    name: str
    address: str
    models: tuple[str, ...]
    seeing: tuple[str, ...]

    @property
    def engine(self) -> str | None:
        """Return the engine URL of its first model that sees, ``None`` without one."""
        if not self.seeing:
            return None
        return f"openai:{self.address}/v1?model={quote(self.seeing[0], safe='/:')}"


def find_servers(
    ollama: str | None = None, lm_studio: str = f"http://127.0.0.1:{LM_STUDIO_PORT}"
) -> list[LocalServer]:
    """Return the servers that answer, after at most about two seconds for each.

    ``ollama`` defaults to the address in OLLAMA_HOST, if that is this machine.
    """
    found = [_detect_ollama(ollama or ollama_address()), _detect_lm_studio(lm_studio)]
    return [server for server in found if server]


def ollama_address() -> str:
    """Return the address of this machine's Ollama: the port in OLLAMA_HOST, or 11434."""
    host = os.environ.get("OLLAMA_HOST", "")
    parts = urlsplit(host if "//" in host else f"//{host}")
    port = None
    with suppress(ValueError):
        port = parts.port if _is_local(parts.hostname or "") else None
    return f"http://127.0.0.1:{port or OLLAMA_PORT}"


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        return host in ("", "localhost")


def _detect_ollama(address: str) -> LocalServer | None:
    listed = _fetch(f"{address}/api/tags")
    if listed is None or not isinstance(listed.get("models"), list):
        return None
    models = list(_iter_names(listed["models"], "name"))
    deadline = time.monotonic() + _DEADLINE_SECONDS
    seeing = []
    for model in models:
        if time.monotonic() > deadline:
            break
        shown = _fetch(f"{address}/api/show", {"model": model}) or {}
        if "vision" in (shown.get("capabilities") or ()) or shown.get("projector_info"):
            seeing.append(model)
    return LocalServer(name="Ollama", address=address, models=(*models,), seeing=(*seeing,))


def _detect_lm_studio(address: str) -> LocalServer | None:
    listed = _fetch(f"{address}/api/v0/models")
    if listed is None or not isinstance(listed.get("data"), list):
        return None
    kinds = [each for each in listed["data"] if isinstance(each, dict)]
    models = _iter_names([each for each in kinds if each.get("type") in ("llm", "vlm")], "id")
    seeing = _iter_names([each for each in kinds if each.get("type") == "vlm"], "id")
    return LocalServer(name="LM Studio", address=address, models=(*models,), seeing=(*seeing,))


def _iter_names(listed: list[Any], key: str) -> Iterator[str]:
    """Yield the names of models in a server's response, which may hold anything."""
    for each in listed[:_MAX_MODELS]:
        name = each.get(key) if isinstance(each, dict) else None
        if isinstance(name, str) and name.isprintable() and 0 < len(name) <= 200:
            yield name


def _fetch(url: str, body: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Return the JSON object at ``url``, ``None`` on any error."""
    import httpx

    method = "POST" if body else "GET"
    try:
        with (
            httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False) as client,
            client.stream(method, url, json=body) as response,
        ):
            response.raise_for_status()
            content = b""
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > _MAX_BYTES:
                    return None
        answer = json.loads(content)
    except (httpx.HTTPError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None
