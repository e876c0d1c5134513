"""Log lines of the service's processes; secrets never get into them."""

import logging

_CHATTY = ("httpx", "httpcore", "alembic", "werkzeug", "PIL", "matplotlib", "urllib3")


def configure(level: str) -> None:
    """Log to stderr from `level` on; libraries only their warnings.

    Bodies and headers of requests are never logged, whatever the level: they hold tokens.
    """
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
