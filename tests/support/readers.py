"""The processes that read photos, shared by all tests of a run."""

import atexit
from functools import cache

from mondrian.measurements import prepare
from mondrian.photos.readers import PhotoReaders


@cache
def photo_readers() -> PhotoReaders:
    """Processes that read photos; each starts when it is first needed."""
    readers = PhotoReaders(2, prepare=prepare)
    atexit.register(readers.close)
    return readers
