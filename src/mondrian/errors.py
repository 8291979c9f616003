"""Everything that can go wrong, as one tree.

::

    MondrianError
    ├── SettingsError
    ├── PhotoError
    │   ├── EmptyPhoto
    │   ├── UnsupportedPhoto
    │   ├── DamagedPhoto
    │   ├── PhotoTooLarge
    │   └── TooManyPixels
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
    │   ├── NotAllowed
    │   ├── ForeignRequest
    │   └── ServerUnavailable
    └── StorageError
        ├── DatabaseUnavailable
        ├── PhotoStoreUnavailable
        └── StorageFull

The docstring of a class is its default message, written for the person who reads it: what
happened, and what to do next. ``code`` is the word that clients see.

What an error costs is decided in three tables elsewhere: the HTTP status (``api.py``), whether a
job is tried again (``worker.py``) and the exit code (``cli.py``). A test demands a row for each.
"""

import inspect
import re


class MondrianError(Exception):
    """Something went wrong in Mondrian."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or "").replace("\n", " "))

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


class PhotoError(MondrianError):
    """The photo cannot be used. Try another one, as JPEG, HEIC, PNG, WebP or TIFF."""


class EmptyPhoto(PhotoError):
    """The file is empty. Choose the photo again: its upload or copy may have been cut off."""


class UnsupportedPhoto(PhotoError):
    """The file is not a photo that Mondrian reads. Export it as JPEG or HEIC and try again."""


class DamagedPhoto(PhotoError):
    """The photo is damaged or cut off. Copy or export it again from its source."""


class PhotoTooLarge(PhotoError):
    """The file is over 50 MB. Export it as JPEG or HEIC at a lower quality and try again."""


class TooManyPixels(PhotoError):
    """The photo has more than 100 megapixels. Scale it down and try again."""


class AdvisorError(MondrianError):
    """The advisor cannot be used. `mondrian advisors` lists those that can."""


class UnknownAdvisor(AdvisorError):
    """There is no such advisor. `mondrian advisors` lists them."""


class InvalidAdvisor(AdvisorError):
    """An advisor's file cannot be read. CONTRIBUTING.md shows what one looks like."""


class EngineError(MondrianError):
    """The engine could not do its work."""


class UnknownEngine(EngineError):
    """The engine's URL is not understood. docs/engines.md shows the forms there are."""


class ModelNotFound(EngineError):
    """The model is not on this machine. `mondrian pull smollm2-135m` fetches the embedded one."""


class EngineFailed(EngineError):
    """The engine reported an error. Try again; if it stays, try another model."""


class EngineStalled(EngineFailed):
    """The engine made no progress for too long. Try again; if it stays, try another model."""


class EngineCrashed(EngineError):
    """The engine's process ended unexpectedly. It starts anew with the next photo."""


class EngineClosed(EngineError):
    """The engine has been closed. Open another one with open_engine()."""


class AnswerError(MondrianError):
    """The model's answer cannot be read as a critique. Try again, or try another model."""


class JobError(MondrianError):
    """The job cannot do that."""


class JobNotFound(JobError):
    """There is no such job. It may have been deleted, or its time may have run out."""


class JobConflict(JobError):
    """The job's state does not allow that."""


class AttemptSuperseded(JobError):
    """Another attempt at this job has begun, or the job has ended: this one may write no more."""


class RequestError(MondrianError):
    """The request cannot be answered."""


class InvalidRequest(RequestError):
    """The request is not understood. /openapi.json shows what it may hold."""


class BodyTooLarge(RequestError):
    """The request is over its limit of bytes. Export the photo smaller and try again."""


class UploadTooSlow(RequestError):
    """No byte of the upload came for 30 seconds. Check the connection and send the photo again."""


class NotAllowed(RequestError):
    """This needs the server's key. Send it as `Authorization: Bearer KEY`."""


class ForeignRequest(RequestError):
    """The server answers only to its own machine. Start it with a key to open it to others."""


class ServerUnavailable(RequestError):
    """No server answers. Start one with `mondrian serve`, or check its address."""


class StorageError(MondrianError):
    """The job could not be stored. Try again in a moment."""


class DatabaseUnavailable(StorageError):
    """The database does not answer at the moment. Nothing is lost; try again in a moment."""


class PhotoStoreUnavailable(StorageError):
    """The photo store cannot be written at the moment. Check its folder or bucket and try again."""


class StorageFull(StorageError):
    """There is no room left to store the photo. Free some space and try again."""
