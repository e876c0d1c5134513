"""The demo's two simulated people: they label in Label Studio as two browsers would.

Each has an account of their own, asks for the next task, looks at its image, presses a choice. At
the end of an epoch one of them is asked which of the good images is the best, and chooses the one
that they like most. What they think of an image is `tinyworld.annotator`'s.
"""

import io
import json
import re
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from backend.consensus import BAD, GOOD
from backend.errors import LabelStudioRefused
from backend.files import write_text
from backend.label_studio.browser_session import Member, invitation
from backend.run.comparison import TIE
from backend.tasks.best_question import question_of
from backend.tasks.gallery import BEST_CONTROL
from backend.tasks.label_config import VerdictControl, template, verdict_control
from backend.tasks.pairs import choice, pair_of
from tinyworld.annotator import Annotator, Opinion
from tinyworld.judge import Judge

NAMES = ("anna", "ben")
ERROR_RATE = 0.02
PACE_SECONDS = 0.05
_SAME_LIKING = 1.0
"""So near are the likings of two images between which they see no difference."""
_IDLE_SECONDS = 0.2
_LONGEST_CHOICE_SECONDS = 1.0
_PATIENCE = 60
"""Times Label Studio may be away before they give up; it is started again meanwhile."""


class Person:
    """One simulated annotator at their browser."""

    def __init__(
        self,
        member: Member,
        opinions: Mapping[str, Annotator],
        control: VerdictControl,
        turn: threading.Lock,
    ) -> None:
        """`opinions`: what they think, by prompt.
        `turn`: shared by all; two who ask at the same instant may be given the same task."""
        self.member = member
        self._turn = turn
        self._opinions = opinions
        self._control = control

    def label_all(self, project_id: int, stop: threading.Event) -> int:
        """Answers all that stands in the project; how many images were theirs."""
        count = 0
        while not stop.is_set():
            with self._turn:
                task = self.member.next_task(project_id)
            if task is None:
                if self._nothing_left(project_id):
                    return count
                stop.wait(_IDLE_SECONDS)  # the other one still looks at the last image
                continue
            if question_of(task["data"]):
                self._choose_best(task, stop)
                continue
            if pair_of(task["data"]):
                self._compare(task, stop)
                count += 1
                continue
            opinion = self._annotator(task).opinion(self._look(task["data"]["image"]))
            stop.wait(opinion.seconds)
            verdict = GOOD if opinion.good else BAD
            self.member.annotate(task["id"], self._choice(verdict), lead_time=opinion.seconds)
            count += 1
        return count

    def _choose_best(self, task: dict[str, Any], stop: threading.Event) -> None:
        """Looks at all that may be the best, and names the one that they like most."""
        opinions = {
            choice["value"]: self._annotator(task).opinion(self._look(_source(choice["html"])))
            for choice in task["data"]["marks"]
        }
        seconds = sum(opinion.seconds for opinion in opinions.values())
        stop.wait(min(seconds, _LONGEST_CHOICE_SECONDS))
        best = max(opinions, key=lambda key: opinions[key].liking)
        said = {"from_name": BEST_CONTROL, "to_name": self._control.to_name, "type": "choices"}
        self.member.annotate(task["id"], [{**said, "value": {"choices": [best]}}], seconds)

    def _compare(self, task: dict[str, Any], stop: threading.Event) -> None:
        """Says which of two images is better, or that there is no difference to speak of."""
        left, right = (
            self._annotator(task).opinion(self._look(_source(option["html"])))
            for option in task["data"]["options"][:2]
        )
        stop.wait(left.seconds + right.seconds)
        said = preferred(left, right)
        self.member.annotate(task["id"], choice(said), lead_time=left.seconds + right.seconds)

    def _annotator(self, task: dict[str, Any]) -> Annotator:
        return self._opinions[task["data"]["prompt"]]

    def _look(self, address: str) -> Image.Image:
        return Image.open(io.BytesIO(self.member.image(address)))

    def _nothing_left(self, project_id: int) -> bool:
        project = self.member.project(project_id)
        return int(project["num_tasks_with_annotations"]) >= int(project["task_number"])

    def _choice(self, verdict: str) -> list[dict[str, Any]]:
        return [self._control.result(verdict)]


class Annotators:
    """Both of them, labelling one epoch after another in a thread of their own."""

    def __init__(self, people: Sequence[Person]) -> None:
        self._people = people
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(len(people) + 1, thread_name_prefix="annotator")
        self._work: Any = None
        self._absences = 0

    def see_to(self, project_id: int) -> None:
        """Lets them answer what stands in the project, unless they are at it.

        Raises:
            LabelStudioRefused: what they did was not taken.
            httpx.TransportError: Label Studio has been away for too long.
        """
        if self._work is not None and self._work.done():
            work, self._work = self._work, None
            try:
                work.result()
            except httpx.TransportError:
                self._absences += 1
                if self._absences > _PATIENCE:
                    raise
                time.sleep(1)
        if self._work is None:
            self._work = self._pool.submit(self._label, project_id)

    def answer_all(self, project_id: int) -> None:
        """Lets them answer all that stands in the project, and waits for it."""
        self._label(project_id)

    def close(self) -> None:
        """Sends them home."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for person in self._people:
            person.member.close()

    def _label(self, project_id: int) -> None:
        for count in [
            self._pool.submit(person.label_all, project_id, self._stop) for person in self._people
        ]:
            count.result()


def arrive(url: str, owner_token: str, prompts: Sequence[str], accounts: Path) -> Annotators:
    """Both annotators, logged in: invited and signed up the first time.

    Args:
        url: of Label Studio.
        owner_token: a legacy token, to ask for the invitation link.
        prompts: what they judge the images by.
        accounts: a file that keeps their passwords for the next time.
    """
    control = verdict_control(template())
    judge = Judge.load()
    known = json.loads(accounts.read_text()) if accounts.exists() else {}
    people: list[Person] = []
    turn = threading.Lock()
    for seed, name in enumerate(NAMES):
        email = f"{name}@example.com"
        if email not in known:
            known[email] = secrets.token_urlsafe(9)
            write_text(accounts, json.dumps(known, indent=1), private=True)
        member = _come_in(url, owner_token, email, known[email])
        opinions = {
            prompt: Annotator(
                prompt, seed=seed, error_rate=ERROR_RATE, pace_seconds=PACE_SECONDS, judge=judge
            )
            for prompt in prompts
        }
        people.append(Person(member, opinions, control, turn))
    return Annotators(people)


def _come_in(url: str, owner_token: str, email: str, password: str) -> Member:
    try:
        return Member.log_in(url, email, password)
    except LabelStudioRefused:
        link = invitation(url, {"Authorization": f"Token {owner_token}"})
        return Member.sign_up(url, link, email, password)


def preferred(left: Opinion, right: Opinion) -> str:
    """left, right or tie: a good image is better than a bad one, and of two alike the one that
    they like clearly more."""
    if left.good != right.good:
        return "left" if left.good else "right"
    if abs(left.liking - right.liking) < _SAME_LIKING:
        return TIE
    return "left" if left.liking > right.liking else "right"


def _source(html: str) -> str:
    """The address of the image that a choice shows."""
    found = re.search(r'src="([^"]+)"', html)
    assert found is not None
    return unescape(found[1])
