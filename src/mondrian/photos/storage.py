"""``PhotoStore`` keeps encoded photos, in a folder or a bucket."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from mondrian.errors import JobNotFound, PhotoStoreUnavailable, SettingsError, StorageFull
from mondrian.photos.exif import shorten

if TYPE_CHECKING:
    from obstore.store import LocalStore, RetryConfig, S3Store


class PhotoStore:
    """Encoded photos by key, in a folder or a bucket. May be used from any thread.

    A key is made by us: letters, digits, ``.``, ``_``, ``-``, in parts between slashes.
    """

    def __init__(self, store: "LocalStore | S3Store", folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder

    @classmethod
    def open(cls, url: str) -> "PhotoStore":
        """Open ``file:///folder``, which is created if need be, or ``s3://bucket/prefix``.

        Credentials, region and endpoint of S3 come from the usual ``AWS_…`` variables.

        Raises ``SettingsError`` for another URL, ``PhotoStoreUnavailable`` if there can be no such
        folder.
        """
        from obstore.store import LocalStore, S3Store

        if re.match(r"s3://[^/]", url):
            patience: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
            with _translated(f"The photo store {shorten(url, 300)}"):
                return cls(S3Store.from_url(url, retry_config=patience))
        folder = Path(unquote(url.removeprefix("file://")))
        if not url.startswith("file://") or not folder.is_absolute():
            raise SettingsError(
                f"{shorten(url, 300)} is no photo store. Use file:///folder or s3://bucket/prefix."
            )
        with _translated(f"The photo folder {folder}"):
            store = LocalStore(folder, mkdir=True)
            if folder.stat().st_uid == os.geteuid():
                folder.chmod(0o700)
            return cls(store, folder)

    def put(self, key: str, encoded: bytes) -> None:
        """Store a photo, whole or not at all, and return when it would survive a power cut.

        Raises ``StorageFull`` or ``PhotoStoreUnavailable``.
        """
        with _translated():
            self._store.put(_checked(key), encoded, use_multipart=False)
            if self._folder:
                (self._folder / key).chmod(0o600)
                _sync(self._folder / key)

    def get(self, key: str) -> bytes:
        """Return a stored photo.

        Raises ``JobNotFound`` if it is not there (a photo lives as long as its job), and
        ``PhotoStoreUnavailable``.
        """
        with _translated():
            try:
                return bytes(self._store.get(_checked(key)).bytes())
            except FileNotFoundError as exc:
                raise JobNotFound(
                    "The photo is no longer stored: its job may have been deleted. Send it again."
                ) from exc

    def delete(self, key: str) -> None:
        """Delete a photo; does nothing if it is not there. Raises ``PhotoStoreUnavailable``."""
        with _translated(), suppress(FileNotFoundError):
            self._store.delete(_checked(key))


def _checked(key: str) -> str:
    if ".." in key or not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", key, re.ASCII):
        raise ValueError(f"not a key of a photo store: {key!r}")
    return key


def _sync(path: Path) -> None:
    """Push a file and its name to the disk, which neither the put nor its rename does."""
    for part in (path, path.parent):
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _translated(what: str = "The photo store") -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except (OSError, BaseError) as exc:
        # obstore has one error for all that a file system refuses; its text names Rust's kind.
        if any(word in str(exc) for word in ("os error 28", "StorageFull", "QuotaExceeded")):
            raise StorageFull from exc
        raise PhotoStoreUnavailable(
            f"{what} cannot be used at the moment. Check its folder or bucket and try again."
        ) from exc
