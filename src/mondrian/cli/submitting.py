"""``mondrian submit``: photos are handed to a server, those of folders each once."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mondrian import errors
from mondrian.cli.app import get_stderr

if TYPE_CHECKING:
    from mondrian.catalogue import Judgements, PhotoFile
    from mondrian.client import Client
    from mondrian.settings import Settings

_MAX_NAME = 200


def submit_folders(
    client: "Client", paths: Sequence[str], settings: "Settings", callback: str | None
) -> None:
    """Hand in the photos of folders that this server was not handed before; ``callback`` is told of
    the end of each. Print the id of each one's job, and then where the server shows the folders.
    Exit with 1 if one was refused."""
    from mondrian.catalogue import Judgements
    from mondrian.cli.files import find_paths

    judgements, failures = Judgements(settings.home), 0
    files = dict(_find(find_paths(paths)))
    for number, (file, folder) in enumerate(files.items(), start=1):
        place = f"{number} of {len(files)}: {errors.printable(file.path.name)}"
        try:
            job = _submit(client, judgements, file, folder, settings, callback)
        except errors.PhotoError as exc:
            failures += 1
            print(f"mondrian: {place}: {exc.message}", file=sys.stderr)
            continue
        if job:
            get_stderr().print(place, soft_wrap=True, markup=False, highlight=False)
            print(job, flush=True)
    for folder in dict.fromkeys(filter(None, files.values())):
        words = f"Contact sheet: {client.base_url}/sheet?folder={quote(folder)}"
        get_stderr().print(words, soft_wrap=True, markup=False, highlight=False)
    if failures:
        sys.exit(1)


def _find(paths: Sequence[Path]) -> "Iterator[tuple[PhotoFile, str]]":
    """Yield the photos, each with the name of the folder among ``paths`` that it is of."""
    from mondrian.catalogue import find_files

    for path in paths:
        name = errors.printable(path.resolve().name, _MAX_NAME) if path.is_dir() else ""
        for file in find_files([path]):
            yield file, name


def submit_photo(
    client: "Client",
    photo: Path | bytes,
    settings: "Settings",
    callback: str | None,
    folder: str = "",
) -> str:
    """Hand a photo to the server, and return its job."""
    answer = client.submit(
        photo,
        advisor=choose_advisor(settings),
        intent=settings.purpose.intent,
        genre=settings.purpose.genre,
        folder=folder,
        callback_url=callback,
    )
    return str(answer["job_id"])


def choose_advisor(settings: "Settings") -> str | None:
    """Return the advisor that the person named; ``None`` leaves it to the server."""
    return settings.advisor if "advisor" in settings.model_fields_set else None


def _submit(
    client: "Client",
    judgements: "Judgements",
    file: "PhotoFile",
    folder: str,
    settings: "Settings",
    callback: str | None,
) -> str | None:
    """Return the id of the photo's new job, ``None`` if it was handed in before."""
    from mondrian.catalogue import Judgement

    size, modified_ns, sha256 = judgements.identify(file.path)
    advisor, purpose = choose_advisor(settings) or "", str(settings.purpose)
    if judgements.find(sha256, advisor, settings.server, "", purpose):
        return None
    job = submit_photo(client, file.path, settings, callback, folder)
    handed_in = Judgement(
        path=str(file.path),
        size=size,
        modified_ns=modified_ns,
        sha256=sha256,
        advisor=advisor,
        engine=settings.server,
        version="",
        purpose=purpose,
        report={"job_id": job},
    )
    judgements.add(handed_in)
    return job
