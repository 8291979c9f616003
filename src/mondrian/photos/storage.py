"""``PhotoStore`` keeps encoded photos, in a folder or a bucket."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote
from uuid import uuid4

from mondrian.errors import JobNotFound, PhotoStoreUnavailable, SettingsError, StorageFull
from mondrian.photos.exif import shorten

if TYPE_CHECKING:
    from obstore.store import LocalStore, RetryConfig, S3Store


log = logging.getLogger(__name__)

_REFUSALS = (
    (r"scheme is not allowed|HTTPS|BadScheme|insecure",
     "The photo store's endpoint is http://, in the clear: set AWS_ALLOW_HTTP=true if that is "
     "meant."),
    (r"NoSuchBucket|bucket does not exist|404 Not Found",
     "The bucket of the photo store is not there. Create it, or check MONDRIAN_PHOTOS."),
    (r"credential|169\.254\.169\.254|InstanceMetadata",
     "There are no credentials for the photo store. Set AWS_ACCESS_KEY_ID and "
     "AWS_SECRET_ACCESS_KEY."),
    (r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|Forbidden|Unauthorized",
     "The photo store refuses these credentials. They need the rights to put, get and delete "
     "objects (s3:PutObject, s3:GetObject, s3:DeleteObject)."),
)  # fmt: skip
"""What a store says where waiting does not help, and what that means."""


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

    def check(self) -> None:
        """Put, get and delete an object, as whoever works here must be able to.

        Raise ``SettingsError`` that says what is the matter where waiting would not help, and
        ``PhotoStoreUnavailable``.
        """
        key = f"probe-{uuid4().hex}"
        try:
            self.put(key, b"probe")
            self.get(key)
            self.delete(key)
        except PhotoStoreUnavailable as exc:
            cause = shorten(" ".join(str(exc.__cause__).split()), 300)
            for pattern, meaning in _REFUSALS:
                if re.search(pattern, str(exc.__cause__), re.IGNORECASE):
                    log.error("the photo store cannot be used: %s", cause)
                    raise SettingsError(meaning) from exc
            raise PhotoStoreUnavailable(
                f"The photo store cannot be used at the moment ({cause}). Check MONDRIAN_PHOTOS."
            ) from exc

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

    @property
    def batch_size(self) -> int:
        """How many photos to delete at once: of a folder each by itself, since one that cannot be
        deleted must not keep the others."""
        return 1 if self._folder else 100

    def delete(self, *keys: str) -> None:
        """Delete photos, of a bucket by one request; does nothing for those that are not there.
        Raises ``PhotoStoreUnavailable``."""
        with _translated(), suppress(FileNotFoundError):
            self._store.delete(list(map(_checked, keys)))


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
