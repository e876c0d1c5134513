"""What a request of Label Studio's shows to be let in: a password, or its webhooks' secret."""

import hmac
from collections.abc import Mapping

from werkzeug.datastructures import Authorization, Headers

from backend.dashboard.attempts import Attempts
from backend.errors import TooManyAttempts
from backend.run.webhook_contract import SECRET_HEADER
from backend.settings import Settings


class Door:
    """Looks at passwords and secrets, and slows down who guesses.

    Without a password or a secret, nothing was guessed and nothing is slowed down. The right secret
    of the webhooks is let in at any time: nobody guesses what is so long, and Label Studio tells us
    of a label only once.
    """

    def __init__(self, settings: Settings, attempts: Attempts) -> None:
        self._settings = settings
        self._attempts = attempts

    def password_fits(self, headers: Mapping[str, str] | Headers, address: str | None) -> bool:
        """Whether the request has the Basic auth user and password of this backend.

        Raises:
            TooManyAttempts: the address has guessed too often.
        """
        given = Authorization.from_header(headers.get("Authorization"))
        if given is None or given.type != "basic":
            return False
        self._attempts.check(address)
        user = _equal(given.username, self._settings.basic_auth_user)
        fits = _equal(given.password, self._settings.basic_auth_pass.get_secret_value()) and user
        if not fits:
            self._attempts.failed(address)
        return fits

    def secret_fits(self, headers: Mapping[str, str] | Headers, address: str | None) -> bool:
        """Whether the request has the secret that our webhooks send.

        Raises:
            TooManyAttempts: it has a wrong one, and the address has guessed too often.
        """
        given = headers.get(SECRET_HEADER)
        if not given:
            return False
        if _equal(given, self._settings.webhook_secret.get_secret_value()):
            return True
        self._attempts.check(address)
        self._attempts.failed(address)
        return False

    def known(self, headers: Mapping[str, str] | Headers, address: str | None) -> bool:
        """Whether Label Studio sent it, as far as its headers say."""
        try:
            return self.secret_fits(headers, address) or self.password_fits(headers, address)
        except TooManyAttempts:
            return False


def _equal(given: str | None, wanted: str) -> bool:
    """In a time that tells nothing; never if there is none to want."""
    found = (given or "").encode("utf-8", "replace")
    return hmac.compare_digest(found, wanted.encode()) and bool(wanted)
