"""``PhotoStore`` stores encoded photos, in a folder or a bucket."""

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
"""Patterns of errors that waiting does not solve, and the message for each."""


class PhotoStore:
    """Encoded photos by key, in a folder or a bucket. Thread-safe.

    Keys are our own: letters, digits, ``.``, ``_``, ``-``, in parts separated by slashes.
    """

    def __init__(self, store: "LocalStore | S3Store", folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder

    @classmethod
    def open(cls, url: str) -> "PhotoStore":
        """Open ``file:///folder``, created if it does not exist, or ``s3://bucket/prefix``.

        Credentials, region and endpoint of S3 are read from the usual ``AWS_…`` variables.

        Raise ``SettingsError`` for another URL and for variables that are not understood,
        ``PhotoStoreUnavailable`` if the folder cannot be created.
        """
        from obstore.exceptions import BaseError
        from obstore.store import LocalStore, S3Store

        if re.match(r"s3://[^/]", url):
            patience: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
            try:
                return cls(S3Store.from_url(url, retry_config=patience))
            except BaseError as exc:
                raise SettingsError(_explain_config(str(exc))) from exc
        folder = Path(unquote(url.removeprefix("file://")))
        if not url.startswith("file://") or not folder.is_absolute():
            raise SettingsError(
                f"{shorten(url, 300)} is no photo store. Use file:///folder or s3://bucket/prefix."
            )
        with _translate_errors(f"The photo folder {folder}"):
            store = LocalStore(folder, mkdir=True)
            if folder.stat().st_uid == os.geteuid():
                folder.chmod(0o700)
            return cls(store, folder)

    def check(self) -> None:
        """Put, get and delete an object, to check the permissions.

        Raise ``SettingsError``, with the cause, if retrying would not help, and
        ``PhotoStoreUnavailable`` otherwise.
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
        """Store a photo atomically and durably: it survives a power cut after this returns.

        Raise ``StorageFull`` or ``PhotoStoreUnavailable``.
        """
        with _translate_errors():
            self._store.put(_check_key(key), encoded, use_multipart=False)
            if self._folder:
                (self._folder / key).chmod(0o600)
                _sync(self._folder / key)

    def get(self, key: str) -> bytes:
        """Return a stored photo.

        Raise ``JobNotFound`` if it does not exist (a photo is deleted with its job), and
        ``PhotoStoreUnavailable``.
        """
        with _translate_errors():
            try:
                return bytes(self._store.get(_check_key(key)).bytes())
            except FileNotFoundError as exc:
                raise JobNotFound(
                    "The photo is no longer stored: its job may have been deleted. Send it again."
                ) from exc

    @property
    def batch_size(self) -> int:
        """Return how many photos to delete at once: 1 in a folder, where one that cannot be deleted
        must not block the others."""
        return 1 if self._folder else 100

    def delete(self, *keys: str) -> None:
        """Delete photos, in a bucket with one request; ignore those that do not exist. Raise
        ``PhotoStoreUnavailable``."""
        with _translate_errors(), suppress(FileNotFoundError):
            self._store.delete(list(map(_check_key, keys)))


def _check_key(key: str) -> str:
    if ".." in key or not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", key, re.ASCII):
        raise ValueError(f"not a key of a photo store: {key!r}")
    return key


def _sync(path: Path) -> None:
    """Sync a file and its folder to the disk, which neither the put nor its rename does."""
    for part in (path, path.parent):
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _explain_config(error: str) -> str:
    """Return what is wrong with the variables of S3: obstore tells the value, not whose it is."""
    if value := re.search(r'failed to parse "(.*)" as', error):
        names = [name for name, text in os.environ.items() if text == value[1] and "AWS_" in name]
        state = "is empty" if not value[1] else "is not understood"
        return (
            f"{' or '.join(names) or 'An AWS_… variable'} {state}. Set it to true or false, or "
            "unset it; an endpoint with http:// needs AWS_ALLOW_HTTP=true."
        )
    reason = shorten(error.partition("\n")[0], 300)
    return f"The photo store cannot be opened ({reason}). Check MONDRIAN_PHOTOS and AWS_…"


@contextmanager
def _translate_errors(what: str = "The photo store") -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except (OSError, BaseError) as exc:
        # obstore has one error for all failures of a file system; its text names Rust's kind.
        if any(word in str(exc) for word in ("os error 28", "StorageFull", "QuotaExceeded")):
            raise StorageFull from exc
        raise PhotoStoreUnavailable(
            f"{what} cannot be used at the moment. Check its folder or bucket and try again."
        ) from exc
