"""Choose the model of ``auto`` on this machine, and suggest a better one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mondrian.errors import ModelNotFound
from mondrian.models.known import CATALOGUE, Model
from mondrian.models.local import find_path, list_pulled
from mondrian.models.machine import Machine
from mondrian.models.servers import LocalServer


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The chosen ``model``. ``better`` is the best one that this machine could run but does not
    have; ``unused`` is on disk and better, but this machine cannot run it."""

    model: Model
    better: Model | None = None
    unused: Model | None = None
    machine: Machine

    @property
    def summary(self) -> str:
        """Return the choice as one line."""
        sees = "sees the photo" if self.model.sees else "does not see the photo"
        return f"Engine: {self.model.url} ({self.model.description}; {sees})."

    def __str__(self) -> str:
        sentences = [
            f"{self.summary[:-1]}, the best model that is on this machine and that it can run."
        ]
        if self.unused:
            sentences.append(
                f"{self.unused.url} is here too, but {self.unused.obstacle(self.machine)}."
            )
        if self.better:
            slow = ", slow without a GPU" if not self.machine.has_metal else ""
            sentences.append(
                f"Better: {self.better.url} (about {self.better.size}{slow}): "
                f"`{self.better.command}`."
            )
        return " ".join(sentences)


def choose(home: Path, machine: Machine | None = None) -> Choice:
    """Return the choice of ``auto``: the best model on disk that ``machine`` (default: this one)
    can run. Checkpoints pulled by their full name rank after the catalogue's models that see.
    Raise ``ModelNotFound``, with what to do, if there is none."""
    machine = machine or Machine.read()
    better: Model | None = None
    unused: Model | None = None
    for model in sorted([*CATALOGUE, *list_pulled(home)], key=lambda model: not model.sees):
        is_able = model.obstacle(machine) is None
        if is_able and find_path(model, home):
            return Choice(model=model, better=better, unused=unused, machine=machine)
        if is_able:
            better = better or model
        elif model.is_on_disk(home):
            unused = unused or model
    raise ModelNotFound(
        "There is no model on this machine yet that it can run. Fetch the embedded one (98 MB) "
        "with `mondrian pull smollm2-135m`" + _suggest_better(better)
    )


def _suggest_better(better: Model | None) -> str:
    if better is None or not better.sees:
        return "."
    return f", or one that sees the photo (about {better.size}) with `{better.command}`."


def suggest_seeing(choice: Choice | None, servers: Sequence[LocalServer]) -> str:
    """Return a sentence on how to get an engine that sees: a server's on this machine, else the
    best model that the machine could run."""
    for server in servers:
        if server.engine:
            return (
                f"{server.name} on this machine has {server.seeing[0]}, which sees photos: it gets "
                f"yours only if you say so, with --engine '{server.engine}'."
            )
    better = choice and choice.better
    if better and better.sees:
        return f"One that sees: `{better.command}` (about {better.size}), then once more."
    return "One that sees may be on another machine: docs/engines.md shows how to name it."
