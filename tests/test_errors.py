import re
from collections.abc import Mapping

import pytest

from mondrian import errors
from mondrian.cli.app import EXIT_CODES
from mondrian.errors import MondrianError
from support.error_tree import tree


@pytest.mark.parametrize("table", [EXIT_CODES], ids=["exit codes"])
def test_every_error_has_its_row(table: Mapping[type[MondrianError], int]) -> None:
    assert set(table) == set(tree())


@pytest.mark.parametrize("error", list(tree()))
def test_the_docstring_is_the_message(error: type[MondrianError]) -> None:
    message = error().message
    assert message.endswith(".")
    assert "\n" not in message
    assert error("Other words.").message == "Other words."


def test_codes_are_words() -> None:
    assert errors.EmptyPhoto().code == "empty_photo"
    assert all(re.fullmatch(r"[a-z_]+", error().code) for error in tree())


def test_the_tree_is_drawn() -> None:
    drawn = re.findall(r"[│ ]*[├└]── (\w+)", errors.__doc__ or "")
    assert ["MondrianError", *drawn] == [error.__name__ for error in tree()]
