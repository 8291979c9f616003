"""How far a run over many photos is, in a line: which photo, how many, how long still."""

import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mondrian import errors
from mondrian.cli.app import INTERRUPTED, get_stderr

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from mondrian.catalogue import Judgement, Judgements, PhotoFile, Sidecars
    from mondrian.catalogue.judge import Judged, Skipped, Step, Working
    from mondrian.catalogue.judgements import Key
    from mondrian.critiques.pacing import Update


@dataclass(kw_only=True)
class Run:
    """Follows the judging of ``files`` and says how far it is: the photos, the time of all."""

    files: "Sequence[PhotoFile]"
    names: Sequence[str]
    judgements: "Judgements"
    sidecars: "Sidecars | None" = None
    judged: "dict[PhotoFile, list[Key]]" = field(default_factory=dict)
    seen: "set[PhotoFile]" = field(default_factory=set)
    failures: int = 0
    _seconds: list[float] = field(default_factory=list)
    _done: int = 0
    _fresh: int = 0

    def read(self) -> "Iterator[tuple[PhotoFile, list[Judgement]]]":
        """Yield what was judged, read anew: reports are large, and there may be thousands."""
        for file, keys in self.judged.items():
            if found := list(filter(None, (self.judgements.find(*key) for key in keys))):
                yield file, found

    def follow(self, steps: "Generator[Step, None, None]") -> None:
        """Show all steps. Ctrl-C ends the process, and says how to go on."""
        from mondrian.catalogue import Failed, Judged, Working

        self._done = 0
        self._fresh = sum(not self.judgements.is_known(file.path) for file in self.files)
        began = time.monotonic()
        with _open_line(get_stderr()) as line:
            try:
                for step in steps:
                    if isinstance(step, Working):
                        self._show(line, step)
                        continue
                    self._done += 1
                    self._fresh -= not self.judgements.is_known(step.file.path)
                    if isinstance(step, Failed):
                        self._fail(line, step.file, step.error)
                    else:
                        self._note(line, step)
                    if isinstance(step, Judged):
                        self._seconds.append(time.monotonic() - began)
                        self._fresh -= 1
                        line.print(self._describe(step))
                    began = time.monotonic()
            except KeyboardInterrupt:
                steps.close()
                line.print(
                    f"Stopped: {self._done} of {len(self.files)} photos are done. The same command "
                    "goes on from there."
                )
                sys.exit(INTERRUPTED)
            for sentence in self.sidecars.written.describe() if self.sidecars else ():
                line.print(sentence)

    def _note(self, line: "_Line", step: "Judged | Skipped") -> None:
        """Note what is known of a photo now, and write its sidecar."""
        judgements = step.judgements
        if self.sidecars:
            try:
                judgements = self.sidecars.write(step.file, judgements)
            except errors.MondrianError as exc:
                self._fail(line, step.file, exc)
        self.judged[step.file] = [each.key for each in judgements]

    def _fail(self, line: "_Line", file: "PhotoFile", error: errors.MondrianError) -> None:
        self.failures += 1
        line.warn(f"mondrian: {errors.printable(str(file.path))}: {error.message}")

    def _show(self, line: "_Line", step: "Working") -> None:
        from mondrian.cli.live import describe_seconds, describe_step
        from mondrian.critiques.pacing import Update

        if not isinstance(step.item, Update):
            return
        left = self._estimate(step.item)
        words = [f"{self._done + 1} of {len(self.files)}"]
        words += [f"{describe_seconds(left)} left"] if left is not None else []
        who = f"{self.names[step.place - 1]}: " if step.place and len(self.names) > 1 else ""
        name = errors.printable(step.file.path.name)
        line.update(f"{', '.join(words)}: {name}: {who}{describe_step(asdict(step.item))}")

    def _describe(self, step: Any) -> str:
        scores = [each.report["overall_score"] for each in step.judgements]
        name = errors.printable(step.file.path.name)
        return f"{self._done} of {len(self.files)}: {fmean(scores):.1f}  {name}"

    def _estimate(self, update: "Update") -> float | None:
        """Return the seconds until all photos are judged, as far as they can be known."""
        eta, elapsed = update.eta_seconds, update.elapsed_seconds
        each = fmean(self._seconds) if self._seconds else eta and elapsed + eta
        if each is None:
            return None
        current = max(0.0, each - elapsed) if eta is None else eta
        return current + each * max(0, self._fresh - 1)


class _Line:
    """The line that tells how far a run is: alive on a terminal, else one at each update."""

    def __init__(self, console: "Console", live: "Live | None") -> None:
        self._console = console
        self._live = live

    def update(self, words: str) -> None:
        """Show what happens now."""
        if self._live is None:
            self.print(words)
            return
        from rich.spinner import Spinner
        from rich.text import Text

        self._live.update(Spinner("dots", Text(f" {words}"), style="yellow"))

    def warn(self, words: str) -> None:
        """Show what stays, also where no progress is wanted."""
        if self._console.quiet:
            print(words, file=sys.stderr)
        else:
            self.print(words)

    def print(self, words: str) -> None:
        """Show what stays."""
        self._console.print(words, soft_wrap=True, markup=False, highlight=False)


@contextmanager
def _open_line(console: "Console") -> Iterator[_Line]:
    from rich.live import Live

    if not console.is_terminal:
        yield _Line(console, None)
        return
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        yield _Line(console, live)
