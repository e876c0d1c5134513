"""What is told when a run is started: whom it would wait for in vain, an unknown Label Studio."""

import pytest

from backend.errors import LabelStudioUnreachable
from backend.label_studio import Server
from backend.run.labelling import Labelling
from backend.settings import LABEL_STUDIO_VERSION, Settings
from backend.starting import start_run


class Members:
    """A Label Studio with one account."""

    def __init__(self, settings: Settings) -> None:
        pass

    def emails(self) -> dict[int, str]:
        return {1: "Ann@x.org"}


class Nobody(Members):
    def emails(self) -> dict[int, str]:
        raise LabelStudioUnreachable("it does not answer")


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({}, None),
        ({"annotators": "ann@x.org"}, None),
        ({"annotators": "ann@x.org,ben@x.org"}, "`hero invite ben@x.org`"),
        ({"adjudicators": "lead@x.org"}, "lead@x.org has no account"),
        ({"annotators_per_image": 3}, "waits for 3 people, and Label Studio has 1 account"),
    ],
)
def test_people_without_an_account_are_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, plan: dict, said: str | None
):
    monkeypatch.setattr(start_run, "Gateway", Members)
    lacking = start_run.missing_people(settings, Labelling(**plan))
    assert lacking == said if said is None else said in str(lacking)


def test_a_run_that_has_started_does_not_fail_for_want_of_the_list(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(start_run, "Gateway", Nobody)
    assert start_run.missing_people(settings, Labelling(annotators_per_image=2)) is None


@pytest.mark.parametrize(("version", "known"), [(LABEL_STUDIO_VERSION, True), ("1.24.0", False)])
def test_a_label_studio_of_another_version_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, version: str, known: bool
):
    monkeypatch.setattr(Members, "ping", lambda self: Server(version, "ann@x.org"), raising=False)
    monkeypatch.setattr(start_run, "Gateway", Members)
    said = start_run.untested_version(settings)
    assert said is None if known else f"1.24.0 answers, not the {LABEL_STUDIO_VERSION}" in str(said)
