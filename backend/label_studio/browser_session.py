"""A person at Label Studio, as the server sees one: what a browser sends while somebody labels.

This is no second gateway: it holds no rights of ours, only an account with a password, a session
cookie and a CSRF token. The simulated annotators of the demo and the tests come in through it.
"""

import json
from collections.abc import Mapping
from typing import Any, Self

import httpx
from label_studio_sdk.core.api_error import ApiError

from backend import addresses
from backend.errors import LabelStudioRefused
from backend.label_studio import filters


def _send_csrf_token(cookies: httpx.Cookies, request: httpx.Request) -> None:
    token = cookies.get("csrftoken")
    if token and request.method not in ("GET", "HEAD"):
        request.headers["X-CSRFToken"] = token
        request.headers["Referer"] = str(request.url)


class Member:
    """One logged-in account; `http` is its browser session, with `base_url` set."""

    def __init__(self, url: str, email: str) -> None:
        self.url, self.email, self.user_id = url.rstrip("/"), email, 0
        self.http = addresses.client(self.url, base_url=self.url, timeout=60, follow_redirects=True)
        self.http.event_hooks["request"].append(
            lambda request: _send_csrf_token(self.http.cookies, request)
        )

    @classmethod
    def log_in(cls, url: str, email: str, password: str) -> Self:
        """By the login page, with e-mail and password."""
        member = cls(url, email)
        member._submit_form("/user/login/", password)
        return member

    @classmethod
    def sign_up(cls, url: str, invite: str, email: str, password: str) -> Self:
        """By an invitation link (`/user/signup/?token=...`): makes the account and logs it in."""
        member = cls(url, email)
        member._submit_form(invite, password)
        return member

    def _submit_form(self, page: str, password: str) -> None:
        self.http.get(page).raise_for_status()
        form = {
            "email": self.email,
            "password": password,
            "csrfmiddlewaretoken": self.http.cookies.get("csrftoken", ""),
        }
        self.http.post(page, data=form, headers={"Referer": f"{self.url}{page}"})
        me = self.http.get("/api/current-user/whoami")
        if not me.is_success:
            raise LabelStudioRefused(
                f"Label Studio at {self.url} did not let {self.email} in: "
                "check e-mail and password."
            )
        self.user_id = int(me.json()["id"])

    def close(self) -> None:
        """Closes the connections; the account stays."""
        self.http.close()

    def next_task(self, project_id: int) -> dict[str, Any] | None:
        """The task Label Studio gives this person next; None when there is none at present."""
        answer = self.http.get(f"/api/projects/{project_id}/next")
        if answer.status_code == 404:
            return None
        return self._json(answer)

    def project(self, project_id: int) -> dict[str, Any]:
        """The project, with its numbers of tasks."""
        return self._json(self.http.get(f"/api/projects/{project_id}"))

    def tasks(self, project_id: int, epoch: int) -> list[dict[str, Any]]:
        """An epoch's tasks (0-based) with their annotations, as the Data Manager shows them."""
        query = {"filters": filters.all_of(filters.by_key("contains", f"/{epoch}/"))}
        parameters: dict[str, str | int] = {
            "project": project_id,
            "query": json.dumps(query),
            "fields": "all",
            "page_size": 1000,
        }
        found: list[dict[str, Any]]
        found = self._json(self.http.get("/api/tasks", params=parameters))["tasks"]
        return found

    def image(self, address: str) -> bytes:
        """The image of a task, fetched from where the labelling page would fetch it."""
        answer = self.http.get(address)
        answer.raise_for_status()
        return answer.content

    def annotate(
        self, task_id: int, result: list[dict[str, Any]], lead_time: float
    ) -> dict[str, Any]:
        """Submits an annotation; the answer has its `id`."""
        body = {"result": result, "lead_time": lead_time, "draft_id": 0}
        return self._json(self.http.post(f"/api/tasks/{task_id}/annotations/", json=body))

    def change(self, annotation_id: int, result: list[dict[str, Any]]) -> dict[str, Any]:
        """Updates an annotation, as the button of that name does."""
        return self._json(
            self.http.patch(f"/api/annotations/{annotation_id}/", json={"result": result})
        )

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        if not answer.is_success:
            raise LabelStudioRefused(
                f"Label Studio answered {answer.status_code} to {self.email} at "
                f"{answer.request.method} {answer.request.url.path}: {answer.text[:300]}"
            )
        body: dict[str, Any] = answer.json()
        return body


def invitation(url: str, headers: Mapping[str, str]) -> str:
    """The organization's invitation link (a path).

    Args:
        headers: of a member who is logged in.

    Raises:
        ApiError: Label Studio refuses them.
    """
    answer = addresses.get(f"{url}/api/invite", headers=dict(headers))
    if not answer.is_success:
        raise ApiError(status_code=answer.status_code, body=answer.text)
    return str(answer.json()["invite_url"])
