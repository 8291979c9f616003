"""Mondrian critiques photographs with a vision-language model, live.

>>> from mondrian import critique, open_engine, read_photo
>>> engine = open_engine("auto")
>>> for event in critique(read_photo("photo.jpg"), "ansel", engine):
...     print(event)

Names are imported when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mondrian.advisors import Advisor, load_advisors
    from mondrian.critiques.pacing import Text, Update
    from mondrian.critiques.single import critique
    from mondrian.engines import Engine, Progress, Request, Token, open_engine
    from mondrian.errors import MondrianError
    from mondrian.measurements import Measurements, measure
    from mondrian.photos import Photo, read_photo
    from mondrian.reports import Report

__version__ = "0.1.0"

__all__ = [
    "Advisor",
    "Engine",
    "Measurements",
    "MondrianError",
    "Photo",
    "Progress",
    "Report",
    "Request",
    "Text",
    "Token",
    "Update",
    "critique",
    "load_advisors",
    "measure",
    "open_engine",
    "read_photo",
]

# No module of the package may bear the name of something exported here: importing the module
# would put itself in the name's place.
_ROOMS = {
    "Advisor": "advisors",
    "Engine": "engines",
    "Measurements": "measurements",
    "MondrianError": "errors",
    "Photo": "photos",
    "Progress": "engines",
    "Report": "reports",
    "Request": "engines",
    "Text": "critiques.pacing",
    "Token": "engines",
    "Update": "critiques.pacing",
    "critique": "critiques",
    "load_advisors": "advisors",
    "measure": "measurements",
    "open_engine": "engines",
    "read_photo": "photos",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'mondrian' has no attribute {name!r}")
    return getattr(import_module(f"mondrian.{_ROOMS[name]}"), name)
