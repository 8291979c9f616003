"""``mondrian import``: import the jobs of the old system."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from mondrian.cli.app import get_stderr
from mondrian.cli.options import Group, JsonOption, command
from mondrian.errors import InvalidRequest, PhotoError, SettingsError

if TYPE_CHECKING:
    from mondrian.advisors import Advisor
    from mondrian.jobs.job import Job
    from mondrian.jobs.old_database import OldJob
    from mondrian.jobs.store import Store
    from mondrian.photos import PhotoStore
    from mondrian.photos.readers import PhotoReaders
    from mondrian.settings import Settings

MAX_FILES = 500_000
_SAY_SECONDS = 1.0


@command(
    *("database", "key", "home"),
    photo_store="photos",
    group=Group.SERVICE,
    examples=["import mondrian.db", "import mondrian.db --photos uploads/"],
)
def import_(
    settings: "Settings",
    old: Annotated[Path, typer.Argument(metavar="OLD.db", help="The old system's SQLite file.")],
    folder: Annotated[
        Path | None,
        typer.Option("--photos", metavar="FOLDER", help="The old photos, found by their names."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the jobs of the old system here, as jobs that have ended.

    A job that is here already is passed over: an import that was broken off is run again. With a
    key the jobs are that key's.
    """
    from mondrian.advisors import load_advisors
    from mondrian.api.auth import make_owner
    from mondrian.database.postgres import open_database
    from mondrian.jobs.old_database import OldDatabase
    from mondrian.jobs.store import Store
    from mondrian.photos import PhotoStore
    from mondrian.photos.readers import PhotoReaders

    with ExitStack() as stack:
        jobs = stack.enter_context(closing(OldDatabase(old)))
        files = _list_files(folder) if folder else {}
        opened = open_database(settings.database, settings.home, max_connections=2)
        store = Store(stack.enter_context(closing(opened)).pool)
        readers = stack.enter_context(closing(PhotoReaders(1, prepare=_prepare)))
        importer = Importer(
            store=store,
            photos=PhotoStore.open(settings.photos_url),
            readers=readers,
            files=files,
            advisors=load_advisors(settings.home),
            owner=make_owner(settings.keys[0]) if settings.keys else "import",
            dated=datetime.fromtimestamp(old.stat().st_mtime, UTC),
        )
        for done, total in _import_jobs(importer, jobs.read_jobs(), jobs.count):
            get_stderr().print(f"{done} of {total} jobs", highlight=False)
    print(json.dumps(asdict(importer.counts)) if as_json else importer.counts)


@dataclass(kw_only=True, slots=True)
class Counts:
    """What an import did: how many jobs were ``imported``, of these ``done``, ``failed``,
    ``cancelled``, and ``unreadable`` among the failed; ``skipped`` were there before. Photos are
    those of the imported jobs."""

    imported: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    unreadable: int = 0
    skipped: int = 0
    photos: int = 0
    photos_missing: int = 0
    photos_refused: int = 0

    def __str__(self) -> str:
        return (
            f"Imported {self.imported} jobs: {self.done} done, {self.failed} failed (of "
            f"{self.unreadable} the scores could not be read), {self.cancelled} cancelled.\n"
            f"Skipped {self.skipped} jobs that were here already.\n"
            f"Stored {self.photos} photos; {self.photos_missing} were not found, "
            f"{self.photos_refused} could not be read."
        )


@dataclass(kw_only=True)
class Importer:
    """Import old jobs into ``store``, with their photos of ``files`` (paths by name)."""

    store: "Store"
    photos: "PhotoStore"
    readers: "PhotoReaders"
    files: Mapping[str, Path]
    advisors: "Mapping[str, Advisor]"
    owner: str
    dated: datetime
    counts: Counts = field(default_factory=Counts)

    def add(self, old: "OldJob") -> None:
        """Import one job, unless it is here. Raise ``StorageError``; then it is not."""
        from mondrian.jobs.old_jobs import convert, make_id

        if self.store.list_jobs(1, ids=[make_id(old)]):
            self.counts.skipped += 1
            return
        imported = convert(
            old, self.advisors, owner=self.owner, mode=_read_mode(old.mode), dated=self.dated
        )
        job, photo_count = self._store_photo(old, imported.job)
        # If that fails, the photo is noted as one without a job, and goes with a prune.
        if not self.store.import_ended(job, imported.entries, imported.reports):
            self.counts.skipped += 1
            return
        self._count(photo_count)
        self._count("imported")
        self._count({"error": "failed"}.get(job.status, job.status))
        if imported.is_unreadable:
            self._count("unreadable")

    def _count(self, name: str) -> None:
        if name:
            setattr(self.counts, name, getattr(self.counts, name) + 1)

    def _store_photo(self, old: "OldJob", job: "Job") -> "tuple[Job, str]":
        """Return ``job`` with its photo stored, if there is one, and what that counts as."""
        from mondrian.jobs.old_jobs import strip_folders
        from mondrian.photos.photo import prepare_photo

        if not self.files or not old.filename:
            return job, ""
        path = self.files.get(strip_folders(old.filename))
        if path is None:
            return job, "photos_missing"
        try:
            photo = self.readers.run(prepare_photo, path)
        except PhotoError:
            return job, "photos_refused"
        key = f"{uuid4()}.jpg"  # of an import that was broken off another may be left
        self.store.expect_photo(key)
        self.photos.put(key, photo.encoded)
        stored = replace(
            job,
            photo_key=key,
            photo_sha256=photo.sha256,
            photo_bytes=len(photo.encoded),
            width=photo.width,
            height=photo.height,
        )
        return stored, "photos"


def _import_jobs(
    importer: Importer, jobs: "Iterator[OldJob]", total: int
) -> Iterator[tuple[int, int]]:
    """Import ``jobs``; yield how many of ``total`` are seen to, once a second and at the end."""
    said = time.monotonic()
    done = 0
    for done, job in enumerate(jobs, start=1):
        importer.add(job)
        if time.monotonic() - said >= _SAY_SECONDS:
            said = time.monotonic()
            yield done, total
    yield done, total


def _read_mode(text: str) -> str:
    from mondrian.api.uploads.options import BASELINE, parse_mode

    with suppress(InvalidRequest):
        return parse_mode(text)
    return BASELINE


def _list_files(folder: Path) -> dict[str, Path]:
    """Return the files in and below ``folder`` by their names. Raise ``SettingsError``."""
    from mondrian.jobs.old_jobs import strip_folders

    if not folder.is_dir():
        raise SettingsError(f"{folder} is no folder. Give --photos the folder of the old photos.")
    found: dict[str, Path] = {}
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if not path.is_symlink():
                found.setdefault(strip_folders(name), path)
        if len(found) > MAX_FILES:
            raise SettingsError(
                f"{folder} has more than {MAX_FILES:,} files. Give --photos the folder of the old "
                "photos alone."
            )
    return found


def _prepare() -> None:
    import mondrian.photos.photo  # noqa: F401
