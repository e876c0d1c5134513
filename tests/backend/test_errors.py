"""The tree of errors is the one that its file draws."""

import inspect
import re

from backend import errors

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, errors.HeroServiceError)
}


def test_every_error_is_drawn():
    assert errors.__doc__ is not None
    drawn = set(re.findall(r"[*\-·] ([A-Z]\w+)", errors.__doc__))
    assert drawn == set(CLASSES)


def test_every_error_says_what_to_do_and_how_it_ends():
    for error in CLASSES.values():
        assert error.__doc__
        assert error.exit_status in (1, 2)
        assert 400 <= error.http_status < 600


def test_bad_input_is_exit_status_2():
    bad = [error for error in CLASSES.values() if issubclass(error, errors.BadInput)]
    assert {error.exit_status for error in bad} == {2}
