"""The people who have an account, and how others get one."""

import time
from collections.abc import Collection

from backend.addresses import below
from backend.label_studio.browser_session import invitation
from backend.label_studio.connection import Connection
from backend.settings import Settings


class People(Connection):
    """Accounts: their addresses, the link that makes new ones."""

    def __init__(self, settings: Settings) -> None:
        """See `Connection`."""
        super().__init__(settings)
        self._emails: tuple[float, dict[int, str]] = (0.0, {})

    def emails(self, wanted: Collection[int] = ()) -> dict[int, str]:
        """E-mail address of each user, by id; looked up once in five minutes.

        Args:
            wanted: users to look for again if they are not known: somebody may just have signed up.
        """
        at, emails = self._emails
        age = time.monotonic() - at
        if not emails or age > 300 or (age > 5 and not emails.keys() >= set(wanted)):
            with self._asking("list the users"):
                users = self._client.users.list()
            emails = {user.id: user.email for user in users if user.id and user.email}
            self._emails = (time.monotonic(), emails)
        return emails

    def invitation(self) -> str:
        """The link by which new people make an account in the organization."""
        with self._asking("ask for the invitation link"):
            headers = self._client._client_wrapper.get_headers()
            path = invitation(self.url, headers)
        return below(self._settings.public_label_studio_url, path)

    def remove_member(self, user_id: int) -> None:
        """Delete a trial annotator's account."""
        with self._asking("delete the trial annotator"):
            self._client.users.delete(user_id)
