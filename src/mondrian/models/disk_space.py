"""Check free disk space for a model, and explain a disk's errors."""

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mondrian.errors import ModelNotFound

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
_CLOSED = frozenset((errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR))


def check_room(folder: Path, total: int) -> None:
    """Raise ``ModelNotFound`` unless ``total`` bytes, less those already in ``folder``, fit on its
    disk."""
    present = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    missing = total - present - shutil.disk_usage(folder).free
    if missing > 0:
        raise _make_full_error(folder.parent, f": {missing / 1e9:.1f} GB are missing")


def is_of_disk(exc: BaseException) -> bool:
    """Return whether ``exc`` is a disk's error rather than a network's."""
    return isinstance(exc, OSError) and exc.errno in _FULL | _CLOSED


@contextmanager
def explain_disk(folder: Path) -> Generator[None, None, None]:
    """Convert errors of the disk of ``folder`` to ``ModelNotFound`` with what to do."""
    try:
        yield
    except OSError as exc:
        if not is_of_disk(exc):
            raise
        if exc.errno in _FULL:
            raise _make_full_error(folder) from exc
        raise ModelNotFound(
            f"The model cannot be written to {folder}: {exc.strerror}. Change who may write there, "
            "or choose another --home."
        ) from exc


def _make_full_error(folder: Path, missing: str = "") -> ModelNotFound:
    return ModelNotFound(
        f"There is no room for the model in {folder}{missing}. Free some space, or choose another "
        "--home."
    )
