"""Log lines of the service's processes; secrets never get into them, and nobody forges them."""

import logging
import re
from types import TracebackType

_CHATTY = ("httpx", "httpcore", "alembic", "werkzeug", "PIL", "matplotlib", "urllib3")
_TracebackOf = tuple[type[BaseException], BaseException, TracebackType | None]


def configure(level: str) -> None:
    """Log to stderr from `level` on; libraries only their warnings.

    Bodies and headers of requests are never logged, whatever the level: they hold tokens.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("waitress").setLevel(logging.ERROR)  # it warns of each request that waits


class OneLine(logging.Formatter):
    """One line for each message, whatever text of somebody else's is in it.

    What does not print (line ends, colours and cursor movements of terminals, signs that turn the
    direction of writing) is shown as its code. A traceback follows in indented lines.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without a traceback."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: _TracebackOf | tuple[None, None, None]) -> str:
        """The traceback, so that no line of it looks like one of the log."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        """The stack, likewise."""
        return _indented(super().formatStack(stack_info))


def printable(text: str) -> str:
    """The text in one line, with the code in place of what does not print."""
    if text.isprintable():
        return text
    return re.sub(r"[^ -~]", _code, text)


def _code(match: re.Match[str]) -> str:
    sign = match[0]
    return sign if sign.isprintable() else sign.encode("unicode_escape").decode()


def _indented(text: str) -> str:
    return "\n".join(f"    {printable(line)}" for line in text.split("\n"))
