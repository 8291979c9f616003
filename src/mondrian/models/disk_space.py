"""The disk that a model is to come to: whether there is room, and what it may refuse."""

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mondrian.errors import ModelNotFound

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
_CLOSED = frozenset((errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR))


def check_room(folder: Path, total: int) -> None:
    """See that ``total`` bytes, less those that are in ``folder``, still fit on its disk. Raises
    ``ModelNotFound``."""
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    missing = total - there - shutil.disk_usage(folder).free
    if missing > 0:
        raise _no_room(folder.parent, f": {missing / 1e9:.1f} GB are missing")


def is_of_disk(exc: BaseException) -> bool:
    """Whether ``exc`` is a disk's refusal, and not a network's."""
    return isinstance(exc, OSError) and exc.errno in _FULL | _CLOSED


@contextmanager
def explained(folder: Path) -> Generator[None, None, None]:
    """Turn what the disk of ``folder`` refuses into a sentence that says what to do."""
    try:
        yield
    except OSError as exc:
        if not is_of_disk(exc):
            raise
        if exc.errno in _FULL:
            raise _no_room(folder) from exc
        raise ModelNotFound(
            f"The model cannot be written to {folder}: {exc.strerror}. Change who may write there, "
            "or choose another --home."
        ) from exc


def _no_room(folder: Path, missing: str = "") -> ModelNotFound:
    return ModelNotFound(
        f"There is no room for the model in {folder}{missing}. Free some space, or choose another "
        "--home."
    )
