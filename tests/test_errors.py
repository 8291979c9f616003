import re

import pytest

from mondrian import errors
from mondrian.errors import MondrianError, RetryPolicy, find_error, list_errors


@pytest.mark.parametrize("error", list_errors())
def test_each_error_says_what_it_costs(error: type[MondrianError]) -> None:
    assert 400 <= error.http_status < 600
    assert error.exit_code in range(64, 79)  # BSD's sysexits
    assert isinstance(error.retry_policy, RetryPolicy)


def test_costs_are_inherited() -> None:
    assert errors.EngineStalled.retry_policy is errors.EngineError.retry_policy is RetryPolicy.AGAIN
    assert errors.EmptyPhoto.http_status == errors.PhotoError.http_status == 400
    assert (errors.StorageFull.http_status, errors.StorageFull.exit_code) == (507, 74)


def test_an_error_is_found_by_its_code() -> None:
    assert all(find_error(error().code) is error for error in list_errors())
    assert find_error("no_such_error") is None


@pytest.mark.parametrize("error", list_errors())
def test_the_docstring_is_the_message(error: type[MondrianError]) -> None:
    message = error().message
    assert message.endswith(".")
    assert "\n" not in message
    assert error("Other words.").message == "Other words."


def test_codes_are_words() -> None:
    assert errors.EmptyPhoto().code == "empty_photo"
    assert all(re.fullmatch(r"[a-z_]+", error().code) for error in list_errors())


def test_the_tree_is_drawn() -> None:
    drawn = re.findall(r"[│ ]*[├└]── (\w+)", errors.__doc__ or "")
    assert ["MondrianError", *drawn] == [error.__name__ for error in list_errors()]
