"""What the other end-to-end tests stand on: the server is ours, and people can come in."""

import httpx
import pytest

from backend.errors import LabelStudioRefused
from backend.label_studio.browser_session import Member
from tests.label_studio_data import version

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]


def test_is_the_pinned_version_and_says_nothing_home(label_studio):
    said = httpx.get(f"{label_studio.url}/api/version", trust_env=False).json()
    assert said["release"] == version()
    page = label_studio.login().get("/projects").text
    assert "sentry.io" not in page


def test_both_kinds_of_token_and_a_session_name_the_owner(label_studio):
    def whoami(authorization: str) -> httpx.Response:
        headers = {"Authorization": authorization}
        address = f"{label_studio.url}/api/current-user/whoami"
        return httpx.get(address, headers=headers, trust_env=False)

    assert whoami(f"Token {label_studio.token}").json()["email"] == label_studio.email
    refresh = httpx.post(
        f"{label_studio.url}/api/token/refresh/",
        json={"refresh": label_studio.pat()},
        trust_env=False,
    )
    assert whoami(f"Bearer {refresh.json()['access']}").json()["email"] == label_studio.email
    own = label_studio.login().get("/api/current-user/whoami").json()
    assert own["email"] == label_studio.email


def test_an_invited_member_labels_like_a_browser(label_studio):
    owner = label_studio.login()
    config = (
        '<View><Text name="t" value="$text"/>'
        '<Choices name="c" toName="t"><Choice value="a"/></Choices></View>'
    )
    project = owner.post("/api/projects/", json={"title": "fixture", "label_config": config})
    number = project.json()["id"]
    owner.post(f"/api/projects/{number}/import", json=[{"text": "x"}]).raise_for_status()
    label_studio.invite("member@example.com", "a-password-1")
    member = Member.log_in(label_studio.url, "member@example.com", "a-password-1")
    try:
        task = member.next_task(number)
        assert task is not None
        choice = [
            {"from_name": "c", "to_name": "t", "type": "choices", "value": {"choices": ["a"]}}
        ]
        annotation = member.annotate(task["id"], choice, lead_time=1.5)
        assert member.change(annotation["id"], choice)["id"] == annotation["id"]
        assert member.next_task(number) is None
    finally:
        member.close()


def test_a_wrong_password_is_said_in_one_sentence(label_studio):
    with pytest.raises(LabelStudioRefused, match="did not let nobody@example"):
        Member.log_in(label_studio.url, "nobody@example.com", "wrong-password")
