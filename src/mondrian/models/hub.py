"""Fetch models from the Hugging Face hub with its own library, and resume interrupted downloads.

The library cannot resume a download whose process ended, so the partial files are ours: they are
in a folder beside the model's, each named by its expected checksum. A file is complete when it has
the checksum that the hub lists, a model when all its files are: only then the folder gets its name.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mondrian.errors import ModelNotFound
from mondrian.models.disk_space import check_room, is_of_disk
from mondrian.models.known import Hub

if TYPE_CHECKING:
    from huggingface_hub import RepoSibling

PullProgress = Callable[[str, int, int | None], None]
"""Called with the step's name, the bytes done, and the total (``None`` if unknown)."""

LISTING = "mondrian.json"
_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file in the hub's listing. ``digest`` is its SHA-256, for small files git's SHA-1."""

    name: str
    bytes: int
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """The record of a first pull: the commit of the repository, and its files."""

    commit: str
    files: list[Entry]


_CHANGED = (
    "{repo} has other files on the Hugging Face hub than when it was first pulled (commit "
    "{commit}). Look at what changed there, and add --update to pull what it has now."
)


def fetch(
    source: Hub, folder: Path, progress: PullProgress, *, should_update: bool = False
) -> None:
    """Fetch the files of ``source`` into ``folder``, unless they are complete there.

    The first pull records the commit and the checksums beside the folder; later ones accept only
    these, unless they ``should_update``. Raise ``ModelNotFound``, with what to do, if they cannot
    be fetched.
    """
    if not should_update and is_whole(folder, progress):
        return
    part = folder.with_name(f".pull-{folder.name}")
    record = folder.with_name(f".{folder.name}.json")
    pinned = _read_pin(record)
    with _explain_hub(source.repo):
        commit, entries = _list(source, pinned.commit if pinned and not should_update else None)
        is_same = pinned is not None and pinned.files == entries
        if pinned and not (is_same or should_update):
            raise ModelNotFound(_CHANGED.format(repo=source.repo, commit=pinned.commit[:12]))
        if is_same and should_update and is_whole(folder, progress):
            return
        part.mkdir(parents=True, exist_ok=True)
        total, done = sum(entry.bytes for entry in entries), 0
        check_room(part, total)
        for entry in entries:
            _fetch_file(source.repo, commit, entry, part, _shift(progress, done, total))
            done += entry.bytes
    _remove_others(part, entries)
    listing = json.dumps([asdict(entry) for entry in entries])
    (part / LISTING).write_text(listing, encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
    pin = json.dumps(asdict(Pin(commit=commit, files=entries)))
    record.write_text(pin, encoding="utf-8")


def _read_pin(record: Path) -> Pin | None:
    if not record.exists():
        return None
    try:
        read = json.loads(record.read_text(encoding="utf-8"))
        return Pin(commit=read["commit"], files=[Entry(**fields) for fields in read["files"]])
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise ModelNotFound(
            f"{record}, which records what was pulled first, cannot be read. Remove it to pull "
            "what the hub has now."
        ) from exc


def _remove_others(folder: Path, entries: list[Entry]) -> None:
    """Remove files that are not in ``entries``, left by a pull of another commit."""
    names = {entry.name for entry in entries}
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in names:
            path.unlink()


def is_whole(folder: Path, progress: PullProgress) -> bool:
    """Return whether all files are in ``folder`` with the checksums recorded at the pull."""
    try:
        listing = json.loads((folder / LISTING).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    entries, done = [Entry(**fields) for fields in listing], 0
    total = sum(entry.bytes for entry in entries)
    for entry in entries:
        progress("Checking", done, total)
        path = folder / entry.name
        if not path.is_file() or _digest(path, entry) != entry.digest:
            return False
        done += entry.bytes
    progress("Checking", done, total)
    return True


def _list(source: Hub, commit: str | None) -> tuple[str, list[Entry]]:
    """Return ``commit``, or the newest one, and its files that match the patterns."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError

    api = HfApi(endpoint=_endpoint(), library_name="mondrian")
    try:
        found = api.model_info(
            source.repo, revision=commit, files_metadata=True, timeout=_TIMEOUT_SECONDS
        )
    except RevisionNotFoundError as exc:
        message = _CHANGED.format(repo=source.repo, commit=(commit or "")[:12])
        raise ModelNotFound(message) from exc
    siblings = [
        sibling
        for sibling in found.siblings or ()
        if any(fnmatch(sibling.rfilename, pattern) for pattern in source.patterns)
    ]
    missing = [
        pattern
        for pattern in source.patterns
        if "*" not in pattern and pattern not in {sibling.rfilename for sibling in siblings}
    ]
    if missing or not siblings:
        raise ModelNotFound(
            f"{source.repo} has no {(missing or source.patterns)[0]} on the Hugging Face hub any "
            "more. Upgrade Mondrian, or choose another model: `mondrian models` lists them."
        )
    return found.sha or "main", [_make_entry(sibling) for sibling in siblings]


def _make_entry(sibling: "RepoSibling") -> Entry:
    digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
    if digest is None or sibling.size is None or Path(sibling.rfilename).is_absolute():
        raise ValueError(f"{sibling.rfilename} is listed without a checksum")
    if ".." in Path(sibling.rfilename).parts:
        raise ValueError(f"{sibling.rfilename} would lie outside of the model's folder")
    return Entry(name=sibling.rfilename, bytes=sibling.size, digest=digest)


def _fetch_file(
    repo: str, commit: str, entry: Entry, folder: Path, progress: Callable[[int], None]
) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    path = folder / entry.name
    part = path.with_name(f"{path.name}.{entry.digest[:16]}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and _digest(path, entry) == entry.digest:
        progress(entry.bytes)
        return
    url = hf_hub_url(repo, entry.name, revision=commit, endpoint=_endpoint())
    with part.open("ab") as file:
        if file.tell() > entry.bytes:
            file.seek(0)
            file.truncate()
        progress(file.tell())
        http_get(
            url,
            file,
            resume_size=file.tell(),
            headers=build_hf_headers(library_name="mondrian"),
            expected_size=entry.bytes,
            tqdm_class=_make_bar(lambda: progress(file.tell())),
        )
    progress(entry.bytes)
    if _digest(part, entry) != entry.digest:
        part.unlink()
        raise ModelNotFound(
            f"The file {entry.name} that came is not the one that the hub lists: its checksum "
            "differs. Run the command again; if that fails too, a proxy may change the file."
        )
    part.replace(path)


def _make_bar(on_update: Callable[[], None]) -> Any:
    """Return a tqdm class that shows nothing and calls ``on_update`` at each update."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*arguments, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            on_update()
            return None

    return Bar


def _shift(progress: PullProgress, before: int, total: int) -> Callable[[int], None]:
    return lambda done: progress("Downloading", before + done, total)


def _digest(path: Path, entry: Entry) -> str:
    """Return the checksum of the file at ``path``, of the same kind as that of ``entry``."""
    with path.open("rb") as file:
        if len(entry.digest) == 64:
            return hashlib.file_digest(file, "sha256").hexdigest()
        head = f"blob {path.stat().st_size}\0".encode()  # the hash of a git object
        return hashlib.sha1(head + file.read(), usedforsecurity=False).hexdigest()


@contextmanager
def _explain_hub(repo: str) -> Generator[None, None, None]:
    """Convert errors of the hub's library to ``ModelNotFound`` with what to do."""
    import httpx2
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        yield
    except GatedRepoError as exc:
        raise ModelNotFound(
            f"{repo} wants its licence accepted at https://huggingface.co/{repo} first; then set "
            "HF_TOKEN to a token of yours and run the command again."
        ) from exc
    except RepositoryNotFoundError as exc:
        raise ModelNotFound(
            f"There is no {repo} on the Hugging Face hub. `mondrian models` lists what there is."
        ) from exc
    except (OSError, ValueError, httpx2.HTTPError) as exc:
        if is_of_disk(exc):
            raise
        lines = str(exc).strip().splitlines() or [type(exc).__name__]
        raise ModelNotFound(
            f"{repo} could not be fetched from the Hugging Face hub: {lines[0].rstrip('.')}. "
            "Check the connection and run the command again: it goes on where it stopped."
        ) from exc


def _endpoint() -> str | None:
    """Return the hub's address from ``HF_ENDPOINT``, which the library reads only at its import."""
    return os.environ.get("HF_ENDPOINT")
