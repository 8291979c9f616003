"""All errors of Mondrian."""

from collections.abc import Iterator

from mondrian import errors
from mondrian.errors import MondrianError


def tree(root: type[MondrianError] = MondrianError) -> Iterator[type[MondrianError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)
