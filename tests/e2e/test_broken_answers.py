"""A real Label Studio behind a proxy that breaks its answers: a run waits, and then goes on."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.errors import HeroServiceError, LabelStudioUnreachable
from backend.label_studio import Gateway
from backend.outcomes import Way, outcome_of
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.run.states import State
from backend.starting.start_run import start_run
from backend.worker.loop import Worker
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FakeEngine
from tests.chaos.faulty_proxy import STATUSES, Breaking, FaultyProxy
from tests.e2e.service import Service

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

VALUES = ["good", "bad", "best", "bad"]
BREAKINGS = [*(how for how in Breaking if how is not Breaking.slow), *STATUSES]
ONE_OF_EACH = [how for how in BREAKINGS if how not in STATUSES or how in (404, 429, 503)]
"""Kinds of trouble: the client tries some statuses again and again, which takes time."""
BY_PEOPLE = (Breaking.html, Breaking.null, Breaking.login)
"""What looks like another program at Label Studio's address: somebody has to mend it."""


@pytest.fixture
def service(label_studio: Any, request: pytest.FixtureRequest) -> Iterator[Service]:
    service = Service(label_studio.root / request.node.name, label_studio, poll_seconds=0.001)
    yield service.start(worker=False)
    service.stop()


@pytest.fixture
def proxy(label_studio: Any) -> Iterator[FaultyProxy]:
    with FaultyProxy(label_studio.url) as proxy:
        yield proxy


@pytest.fixture
def gateway(service: Service, proxy: FaultyProxy) -> Gateway:
    return Gateway(service.settings.model_copy(update={"label_studio_url": proxy.url}))


@pytest.fixture
def run(service: Service) -> Run:
    return start_run(service.settings, service.store, CONFIG, labelling=Labelling())


@pytest.fixture
def worker(service: Service, gateway: Gateway) -> Worker:
    engine: Any = FakeEngine(service.settings)
    return Worker(service.settings, service.store, engine=engine, gateway=lambda: gateway)


def later(service: Service, seconds: float = 0) -> None:
    """Let what was put off be due."""
    service.store._now = lambda: datetime.now(UTC) + timedelta(seconds=seconds)


def test_null_is_no_answer_whatever_was_asked(run: Run, gateway: Gateway, proxy: FaultyProxy):
    project = gateway.ensure_project(run.id, "one rose", "one rose", run.labelling).id
    asked = [
        gateway.ping,
        gateway.emails,
        gateway.invitation,
        lambda: gateway.has_project(project),
        lambda: gateway.ensure_project("other", "one rose", "one rose", run.labelling),
        lambda: gateway.check_page(project, "image"),
        lambda: gateway.connect_storage(project, run.id),
        lambda: gateway.connect_backend(project),
        lambda: gateway.is_connected(project),
        lambda: gateway.labels(project, run.id, 0),
        lambda: gateway.exported(project),
        lambda: gateway.put_away(project, run.id, 0),
        lambda: gateway.describe(project, run.id, "It waits."),
    ]
    proxy.break_answers(Breaking.null)
    for number, ask in enumerate(asked):
        with pytest.raises(HeroServiceError) as caught:
            ask()
        assert outcome_of(caught.value).way is Way.person, (number, caught.value)
    proxy.heal()


def test_each_broken_answer_is_in_the_table(run: Run, gateway: Gateway, proxy: FaultyProxy):
    for how in BREAKINGS:
        proxy.break_answers(how)
        with pytest.raises(HeroServiceError) as caught:
            gateway.labels(run.project_id or 0, run.id, 0)
        found = outcome_of(caught.value)
        assert found.way is (Way.person if how in BY_PEOPLE else Way.wait), (how, caught.value)
        if how == 429:
            assert isinstance(caught.value, LabelStudioUnreachable)
            assert caught.value.retry_after == 1
    proxy.heal()
    assert gateway.labels(run.project_id or 0, run.id, 0) == []
    assert len(proxy.broken) == len(BREAKINGS)


def test_a_run_is_published_whatever_was_answered_before(
    service: Service, run: Run, worker: Worker, proxy: FaultyProxy
):
    for hour, how in enumerate(ONE_OF_EACH):
        later(service, 3600 * hour)
        proxy.break_answers(how)
        worker.work_once()
        waiting = service.store.run(run.id)
        assert waiting.state in (State.generating, State.publishing), (how, waiting.error)
        assert waiting.error and "by itself" in waiting.error
        assert proxy.broken[str(how)], "it was tried again"
        assert waiting.project_id == run.project_id and not waiting.project_gone
    proxy.heal()
    later(service, 3600 * len(ONE_OF_EACH))
    worker.work_once()
    assert service.store.run(run.id).state is State.labelling
    tasks = list(service.sdk.tasks.list(project=run.project_id))
    assert len(tasks) == len({task.data["hero_image_id"] for task in tasks}) == 4


def test_an_import_whose_answer_was_lost_makes_no_task_twice(
    service: Service, run: Run, worker: Worker, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
):
    ask = proxy._ask

    def lose_imports(request: Any, body: bytes) -> Any:
        answer = ask(request, body)
        proxy.break_answers(Breaking.lost) if "/import" in request.path else None
        return answer

    monkeypatch.setattr(proxy, "_ask", lose_imports)
    worker.work_once()
    assert len(list(service.sdk.tasks.list(project=run.project_id))) == 4
    monkeypatch.undo()
    proxy.heal()
    later(service, 3600)
    worker.work_once()
    assert service.store.run(run.id).state is State.labelling
    assert len(list(service.sdk.tasks.list(project=run.project_id))) == 4


def test_labels_are_fetched_whatever_was_answered_before(
    service: Service, run: Run, worker: Worker, proxy: FaultyProxy
):
    worker.work_once()
    run = service.store.run(run.id)
    assert run.state is State.labelling
    service.label(run, VALUES)
    for how in ONE_OF_EACH:
        proxy.break_answers(how)
        assert not worker.poll_once()
        waiting = service.store.run(run.id)
        assert (waiting.state, waiting.project_gone) == (State.labelling, False), how
        assert waiting.error
    proxy.heal()
    assert worker.poll_once()
    assert service.store.run(run.id).state is State.learning
    assert [row.value for row in service.store.annotations(run.id)] == VALUES


def test_a_slow_label_studio_is_waited_for(
    service: Service, run: Run, worker: Worker, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tests.chaos.faulty_proxy.SLOW_SECONDS", 0.2)
    proxy.break_answers(Breaking.slow)
    worker.work_once()
    assert service.store.run(run.id).state is State.labelling
