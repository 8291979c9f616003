"""Everything that can go wrong, as one tree.

::

    MondrianError
    ├── SettingsError
    ├── PhotoError
    │   ├── EmptyPhoto
    │   ├── UnsupportedPhoto
    │   ├── DamagedPhoto
    │   ├── PhotoTooLarge
    │   ├── TooManyPixels
    │   └── PhotoTooComplex
    ├── PhotoReaderUnavailable
    ├── AdvisorError
    │   ├── UnknownAdvisor
    │   └── InvalidAdvisor
    ├── EngineError
    │   ├── UnknownEngine
    │   ├── ModelNotFound
    │   ├── EngineFailed
    │   │   └── EngineStalled
    │   ├── EngineCrashed
    │   └── EngineClosed
    ├── AnswerError
    ├── JobError
    │   ├── JobNotFound
    │   ├── JobConflict
    │   └── AttemptSuperseded
    ├── RequestError
    │   ├── InvalidRequest
    │   ├── BodyTooLarge
    │   ├── UploadTooSlow
    │   ├── HeadTooLarge
    │   ├── TooManyRequests
    │   ├── ServerBusy
    │   ├── NotAllowed
    │   ├── ForeignRequest
    │   ├── NotReady
    │   └── ServerUnavailable
    └── StorageError
        ├── DatabaseUnavailable
        ├── PhotoStoreUnavailable
        └── StorageFull
            └── QuotaExceeded

The docstring of a class is its default message, written for the person who reads it: what
happened, and what to do next. ``code`` is the word that clients see. ``http_status``, ``exit_code``
(of BSD's sysexits) and ``retry_policy`` are what the error costs; a class has those of its base
unless it says otherwise. docs/errors.md is the table of them.
"""

import inspect
import re
from enum import Enum
from typing import ClassVar

MAX_MESSAGE = 4000


def without_secrets(url: str) -> str:
    """Return ``url`` without the name and password before its host."""
    return re.sub(r"(?<=://)[^?]*@", "", url)


def printable(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return ``text`` as one line of at most ``limit`` characters, without terminal escapes and
    other control characters, marks that turn the direction of writing, and lone surrogates."""
    letters = (" " if letter.isspace() else letter for letter in text[: 10 * limit])
    return "".join(letter for letter in letters if letter.isprintable())[:limit]


class RetryPolicy(Enum):
    """What becomes of a job whose attempt failed with an error."""

    AGAIN = "another attempt, up to three"
    END = "the job ends with the error"
    FORGET = "another worker has the job, or will when the lease has expired"


class MondrianError(Exception):
    """Something went wrong in Mondrian."""

    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 70
    retry_policy: ClassVar[RetryPolicy] = RetryPolicy.END

    def __init__(self, message: str | None = None) -> None:
        # Here, once for every exit: engines, servers and files have words in messages.
        super().__init__(printable(message or inspect.cleandoc(type(self).__doc__ or "")))

    @property
    def message(self) -> str:
        """What happened and what to do next, for a person."""
        return str(self)

    @property
    def code(self) -> str:
        """The class name as one word for programs: ``EmptyPhoto`` is ``empty_photo``."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()


class SettingsError(MondrianError):
    """A setting has a value that cannot be used. See docs/settings.md for what it may be."""

    exit_code = 78


class PhotoError(MondrianError):
    """The photo cannot be used. Try another one, as JPEG, HEIC, AVIF, PNG, WebP or TIFF."""

    http_status = 400
    exit_code = 65


class EmptyPhoto(PhotoError):
    """The file is empty. Choose the photo again: its upload or copy may have been cut off."""


class UnsupportedPhoto(PhotoError):
    """The file is not a photo that Mondrian reads. Export it as JPEG or HEIC and try again."""

    http_status = 415


class DamagedPhoto(PhotoError):
    """The photo is damaged or cut off. Copy or export it again from its source."""


class PhotoTooLarge(PhotoError):
    """The file is over 50 MB. Export it as JPEG or HEIC at a lower quality and try again."""

    http_status = 413


class TooManyPixels(PhotoError):
    """The photo has over 100 megapixels, or 200 as JPEG. Scale it down and try again."""

    http_status = 413


class PhotoTooComplex(PhotoError):
    """To read the photo takes too much time or memory. Export it again as JPEG and try again."""


class PhotoReaderUnavailable(MondrianError):
    """Photos cannot be read at the moment: no process can be started. Free memory and try again."""

    http_status = 503
    exit_code = 69
    retry_policy = RetryPolicy.AGAIN


class AdvisorError(MondrianError):
    """The advisor cannot be used. `mondrian advisors` lists those that can."""

    http_status = 400
    exit_code = 64


class UnknownAdvisor(AdvisorError):
    """There is no such advisor. `mondrian advisors` lists them."""


class InvalidAdvisor(AdvisorError):
    """An advisor's file cannot be read. docs/advisors.md shows what one looks like."""

    http_status = 500
    exit_code = 65


class EngineError(MondrianError):
    """The engine could not do its work."""

    http_status = 502
    exit_code = 69
    retry_policy = RetryPolicy.AGAIN


class UnknownEngine(EngineError):
    """The engine's URL is not understood. docs/engines.md shows the forms there are."""

    http_status = 500
    exit_code = 64
    retry_policy = RetryPolicy.END


class ModelNotFound(EngineError):
    """The model is not on this machine. `mondrian pull smollm2-135m` fetches the embedded one."""

    http_status = 503
    retry_policy = RetryPolicy.END


class EngineFailed(EngineError):
    """The engine reported an error. Try again; if it stays, try another model."""

    exit_code = 70


class EngineStalled(EngineFailed):
    """The engine made no progress for too long. Try again; if it stays, try another model."""


class EngineCrashed(EngineError):
    """The engine's process ended unexpectedly. It starts anew with the next photo."""

    exit_code = 70


class EngineClosed(EngineError):
    """The engine has been closed. Open another one with open_engine()."""

    http_status = 503
    retry_policy = RetryPolicy.FORGET


class AnswerError(MondrianError):
    """The model's answer cannot be read as a critique. Try again, or try another model."""

    http_status = 502


class JobError(MondrianError):
    """The job cannot do that."""

    http_status = 409
    exit_code = 69


class JobNotFound(JobError):
    """There is no such job. It may have been deleted, or its time may have run out."""

    http_status = 404


class JobConflict(JobError):
    """The job's state does not allow that."""


class AttemptSuperseded(JobError):
    """Another attempt at this job has begun, or the job has ended: this one may write no more."""

    exit_code = 70
    retry_policy = RetryPolicy.FORGET


class RequestError(MondrianError):
    """The request cannot be answered."""

    http_status = 400
    exit_code = 64


class InvalidRequest(RequestError):
    """The request is not understood. docs/http.md shows what it may hold."""


class BodyTooLarge(RequestError):
    """The request is over its limit of bytes. Export the photo smaller and try again."""

    http_status = 413
    exit_code = 65


class UploadTooSlow(RequestError):
    """No byte of the upload came for 30 seconds. Check the connection and send the photo again."""

    http_status = 408
    exit_code = 75


class HeadTooLarge(RequestError):
    """The head of the request is over 64 KB or 100 fields. Send fewer or shorter ones."""

    http_status = 431


class TooManyRequests(RequestError):
    """Too much is asked for at once. Wait a moment and try again."""

    http_status = 429
    exit_code = 75


class ServerBusy(RequestError):
    """Too many clients are connected. Try again in a moment."""

    http_status = 503
    exit_code = 75


class NotAllowed(RequestError):
    """This needs the server's key. Send it as `Authorization: Bearer KEY`."""

    http_status = 401
    exit_code = 77


class ForeignRequest(RequestError):
    """The server answers only to its own machine. Start it with a key to open it to others."""

    http_status = 403
    exit_code = 77


class NotReady(RequestError):
    """The server is not ready. Ask another one, or this one in a moment."""

    http_status = 503
    exit_code = 75


class ServerUnavailable(RequestError):
    """No server answers. Start one with `mondrian serve`, or check its address."""

    http_status = 503
    exit_code = 69


class StorageError(MondrianError):
    """The job could not be stored. Try again in a moment."""

    http_status = 503
    exit_code = 74
    retry_policy = RetryPolicy.AGAIN


class DatabaseUnavailable(StorageError):
    """The database does not answer at the moment. Nothing is lost; try again in a moment."""

    exit_code = 69
    retry_policy = RetryPolicy.FORGET


class PhotoStoreUnavailable(StorageError):
    """The photo store cannot be written at the moment. Check its folder or bucket and try again."""


class StorageFull(StorageError):
    """There is no room left to store the photo. Free some space and try again."""

    http_status = 507
    retry_policy = RetryPolicy.FORGET


class QuotaExceeded(StorageFull):
    """The room for photos is full. Delete some critiques, or ask for a larger quota."""

    exit_code = 75


def list_errors(root: type[MondrianError] = MondrianError) -> list[type[MondrianError]]:
    """Return ``root`` and every error below it, in the order of the tree."""
    found = [root]
    for error in root.__subclasses__():
        if error.__module__ == __name__:
            found += list_errors(error)
    return found


def find_error(code: str) -> type[MondrianError] | None:
    """Return the error that clients see as ``code``, if there is one."""
    return next((error for error in list_errors() if error().code == code), None)
