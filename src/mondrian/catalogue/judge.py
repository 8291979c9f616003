"""Critiques the photos of a folder that have not been judged yet, one after the other.

1. While the engine works at a photo the next one is read and measured, in a process of its own.
2. Each judgement is stored at once: stopping loses no more than the photo at work.
3. A photo that cannot be judged is told, and does not stop the others.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event

from mondrian.advisors import Advisor
from mondrian.catalogue.duplicates import hash_picture
from mondrian.catalogue.folder import PhotoFile
from mondrian.catalogue.judgements import Judgement, Judgements
from mondrian.catalogue.thumbnails import save_thumbnail
from mondrian.critiques.history import TimingRecord
from mondrian.critiques.pacing import Text, Update
from mondrian.critiques.panel import run_panel
from mondrian.engines.base import Engine
from mondrian.engines.watched import Meter, WatchedEngine
from mondrian.errors import EngineClosed, MondrianError, PhotoError, StorageError
from mondrian.measurements.reading import MeasuredPhoto, read_measured
from mondrian.photos.readers import PhotoReaders
from mondrian.purpose import NO_PURPOSE, Purpose
from mondrian.reports import Report

_HISTORY = 60


@dataclass(frozen=True, slots=True)
class Skipped:
    """A photo that all advisors have judged."""

    file: PhotoFile
    judgements: Sequence[Judgement]


@dataclass(frozen=True, slots=True)
class Working:
    """What happens with a photo: ``place`` is that of the advisor, from 1 on, 0 before."""

    file: PhotoFile
    place: int
    item: Update | Text | Report


@dataclass(frozen=True, slots=True)
class Judged:
    """A photo that has been judged by all advisors."""

    file: PhotoFile
    judgements: Sequence[Judgement]


@dataclass(frozen=True, slots=True)
class Failed:
    """A photo that could not be judged."""

    file: PhotoFile
    error: MondrianError


Step = Skipped | Working | Judged | Failed


@dataclass(frozen=True, slots=True)
class _Task:
    """A photo and those who have not judged it."""

    file: PhotoFile
    size: int
    modified_ns: int
    sha256: str
    known: dict[str, Judgement]
    missing: list[Advisor]


class Judge:
    """Lets ``advisors`` judge photos on ``engine``, which ``version`` of Mondrian runs. ``purpose``
    is what the photographer meant with each of them. Photos are read by ``readers``; thumbnails go
    to ``thumbnails``. Times are in seconds."""

    def __init__(
        self,
        judgements: Judgements,
        advisors: Sequence[Advisor],
        engine: Engine,
        readers: PhotoReaders,
        *,
        version: str,
        thumbnails: Path,
        interval_seconds: float,
        stall_seconds: float,
        purpose: Purpose = NO_PURPOSE,
        home: Path | None = None,
    ) -> None:
        self._judgements = judgements
        self._advisors = advisors
        self._url = engine.url
        self.sees = engine.sees
        self._engine = WatchedEngine(
            engine, Meter(), lambda: None, stall_seconds=stall_seconds, mode="lora"
        )
        self._readers = readers
        self._version = version
        self._purpose = purpose
        self._home = home
        self._thumbnails = thumbnails
        self._interval_seconds = interval_seconds
        self._history: list[TimingRecord] = []

    def run(self, files: Sequence[PhotoFile]) -> Generator[Step, None, None]:
        """Yield what happens with each of ``files``, in order.

        Closing the generator stops the work. Raise ``StorageError`` where judgements cannot be
        written, and ``EngineClosed``.
        """
        threads, stopped = ThreadPoolExecutor(1), Event()
        try:
            for step, photo in self._look_ahead(files, threads, stopped):
                if photo is None:
                    assert not isinstance(step, _Task)
                    yield step
                else:
                    assert isinstance(step, _Task)
                    yield from self._attempt(step, photo)
        finally:
            stopped.set()
            threads.shutdown(cancel_futures=True)

    def _look_ahead(
        self, files: Sequence[PhotoFile], threads: ThreadPoolExecutor, stopped: Event
    ) -> Iterator[tuple["_Task | Skipped | Failed", "Future[MeasuredPhoto] | None"]]:
        """Yield what is to be done, each with its photo, while the next photo is read already."""
        before = None
        for step in map(self._plan_task, files):
            photo = None
            if isinstance(step, _Task):
                photo = threads.submit(self._look, step.file, stopped)
            if before:
                yield before
            before = step, photo
        if before:
            yield before

    def _plan_task(self, file: PhotoFile) -> "_Task | Skipped | Failed":
        try:
            size, modified_ns, sha256 = self._judgements.identify(file.path)
        except PhotoError as exc:
            return Failed(file, exc)
        known, missing = dict[str, Judgement](), list[Advisor]()
        for advisor in self._advisors:
            key = (sha256, advisor.id, self._url, self._version, str(self._purpose))
            if found := self._judgements.find(*key):
                known[advisor.id] = found
            else:
                missing.append(advisor)
        if missing:
            return _Task(file, size, modified_ns, sha256, known, missing)
        for each in known.values():
            if (each.path, each.size, each.modified_ns) != (str(file.path), size, modified_ns):
                moved = replace(each, path=str(file.path), size=size, modified_ns=modified_ns)
                self._judgements.add(moved)
                known[each.advisor] = moved
        return Skipped(file, self._sort(known))

    def _look(self, file: PhotoFile, stopped: Event) -> MeasuredPhoto:
        run = partial(self._readers.run, read_measured, name=file.path.name, home=self._home)
        photo: MeasuredPhoto = run(file.path, is_wanted=lambda: not stopped.is_set())
        return photo

    def _attempt(self, task: _Task, photo: "Future[MeasuredPhoto]") -> Iterator[Step]:
        """Yield the critique of one photo; a failure is an event too."""
        try:
            for place, item in self._critique(task, photo):
                yield Working(task.file, place, item)
        except (StorageError, EngineClosed):
            raise
        except MondrianError as exc:
            yield Failed(task.file, exc)
        else:
            yield Judged(task.file, self._sort(task.known))

    def _critique(
        self, task: _Task, photo: "Future[MeasuredPhoto]"
    ) -> Iterator[tuple[int, Update | Text | Report]]:
        panel = run_panel(
            lambda _: photo.result(),
            task.missing,
            self._engine,
            interval_seconds=self._interval_seconds,
            purpose=self._purpose,
            history=self._history,
        )
        with closing(panel) as items:
            for place, item in items:
                if isinstance(item, TimingRecord):
                    self._history = [item, *self._history[: _HISTORY - 1]]
                    continue
                if isinstance(item, Report):
                    self._keep(task, photo.result(), item)
                yield place, item

    def _keep(self, task: _Task, photo: MeasuredPhoto, report: Report) -> None:
        save_thumbnail(self._thumbnails, task.sha256, photo.view)
        judgement = Judgement(
            path=str(task.file.path),
            size=task.size,
            modified_ns=task.modified_ns,
            sha256=task.sha256,
            advisor=report.advisor,
            engine=self._url,
            version=self._version,
            purpose=str(self._purpose),
            report=report.model_dump(mode="json"),
            hash=hash_picture(photo.view),
            taken_at=photo.measurements.exif.taken_at,
        )
        self._judgements.add(judgement)
        task.known[report.advisor] = judgement

    def _sort(self, known: Mapping[str, Judgement]) -> list[Judgement]:
        return [known[advisor.id] for advisor in self._advisors]
