"""What is in a log line is of one event, whatever text it carries."""

import io
import logging
import sys

import pytest

from backend.logs import OneLine, printable


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(OneLine("%(levelname)s %(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    return logger, written


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("photo of a rose, caf\u00e9 \u30d0\u30e9 \U0001f339", None),
        ("a\nERROR forged", "a\\nERROR forged"),
        ("a\r\x1b[31mred\x00", "a\\r\\x1b[31mred\\x00"),
        ("\x85\u2028\u2029", "\\x85\\u2028\\u2029"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_does_not_print_is_shown_as_its_code(text: str, shown: str | None):
    assert printable(text) == (shown or text)


def test_a_message_is_one_line(log):
    logger, written = log
    logger.warning("%s %s", "GET", "/x\nERROR forged")
    assert written.getvalue() == "WARNING GET /x\\nERROR forged\n"


def test_no_line_of_a_traceback_looks_like_one_of_the_log(log):
    logger, written = log
    try:
        raise ValueError("broken\nERROR forged")
    except ValueError:
        logger.error("failed", exc_info=sys.exc_info(), stack_info=True)
    first, *others = written.getvalue().splitlines()
    assert first == "ERROR failed"
    assert "    ERROR forged" in others
    assert all(line.startswith("    ") for line in others)
