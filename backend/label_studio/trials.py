"""Trials for `hero doctor`: what Label Studio does when it is really asked."""

import httpx

from backend.addresses import below, get, path_of
from backend.label_studio.connection import ONCE, Connection
from backend.tasks import label_config


class Trials(Connection):
    """Images fetched and labels made, to see that both work."""

    def can_see(self, address: str) -> bool:
        """Whether an image's address, as tasks carry it, gives an image to a logged-in user."""
        headers = None
        if address.startswith("/"):
            public = path_of(self._settings.public_label_studio_url)
            address = below(self.url, address.removeprefix(public))
            with self._asking("log in"):
                headers = self._client._client_wrapper.get_headers()
        try:
            answer = get(address, headers=headers)
        except httpx.TransportError as error:
            raise self._errors.unreachable(error) from error
        return answer.is_success and answer.headers.get("content-type", "").startswith("image/")

    def try_a_webhook(self, project_id: int) -> None:
        """Label something in a trial project, so that Label Studio tells its webhooks."""
        texts = dict.fromkeys(("image", "prompt", "criteria", "reference"), "")
        data = {**texts, "marks": [], "epoch": 0, "index": 0}
        control = label_config.verdict_control(label_config.template())
        with self._asking("label in the trial project"):
            made = self._client.tasks.create(project=project_id, data=data)
            self._client.annotations.create(
                made.id, result=[control.result("good")], request_options=ONCE
            )
