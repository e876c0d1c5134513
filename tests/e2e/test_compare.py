"""A blind comparison in a real Label Studio: drawn, judged by keys and by programs, counted."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect
from typer.testing import CliRunner

from backend import cli
from backend.comparing.carry_out import label_address
from backend.label_studio.browser_session import Member
from backend.run.comparison import Comparison
from backend.run.records import Run
from backend.store.rows import update
from backend.tasks.pairs import choice, pair_of
from tests.backend.learned import learned
from tests.e2e import browser
from tests.e2e.service import Service

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

PASSWORD = "passw0rd-X!"


@pytest.fixture(scope="module")
def service(label_studio) -> Iterator[Service]:
    home = label_studio.root / "compare"
    service = Service(home, label_studio, poll_seconds=3600, sample_row=0)
    yield service
    service.stop()


@pytest.fixture(scope="module")
def runs(service: Service) -> list[Run]:
    """Finished runs of the bundled model, of one prompt and of two; no worker takes them up before
    they are."""
    prompt = {"prompt": "photo of one blue rose in a vase", "negative_prompt": ""}
    verdicts = ["good", "bad", "best", "good"]
    two = {"further_prompts": ("1 hand",), "images_per_epoch": 8, "method": "hero+"}
    made = []
    try:
        for times, fields in ((1, {}), (2, two)):
            run = learned(
                service.settings, service.store, "tiny", verdicts * times, 2, **prompt, **fields
            )
            with service.store._write() as connection:
                update(connection, run.id, state="finished", labelling={"criteria": "It is blue."})
            made.append(service.store.run(run.id))
        return made
    finally:
        service.start()


@pytest.fixture
def run(runs: list[Run]) -> Run:
    return runs[0]


@pytest.fixture
def hero(service: Service, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    service.as_a_shell_knows_it(monkeypatch)
    monkeypatch.setenv("COLUMNS", "80")

    def hero(*words: object) -> str:
        answer = CliRunner().invoke(cli.app, [str(word) for word in words])
        assert answer.exit_code == 0, answer.output
        return " ".join(answer.output.split())

    return hero


def newest(service: Service, run: Run) -> Comparison:
    return service.store.comparisons(run.id)[0]


def test_two_people_judge_and_the_result_comes_by_webhook(
    service: Service, run: Run, hero, tmp_path
):
    said = hero("compare", run.id, "--pairs", 4, "--annotators-per-pair", 2)
    made = newest(service, run)
    assert label_address(service.settings, made) in said
    assert "0 of 4 pairs are judged" in said
    assert "0 of 4 pairs are judged" in hero("compare", run.id)
    assert len(service.store.comparisons(run.id)) == 1

    tasks = list(service.sdk.tasks.list(project=made.project_id))
    assert [pair_of(task.data) for task in tasks] == [(made.id, pair) for pair in range(4)]
    assert all(set(task.data) == set(tasks[0].data) for task in tasks)
    told = service.sdk.projects.get(made.project_id).model_dump_json()
    assert made.sides not in told + json.dumps([task.data for task in tasks])

    invite = service.label_studio.invitation()
    for name in ("pia", "quinn"):
        email = f"{name}@example.com"
        member = Member.sign_up(service.label_studio.url, invite, email, PASSWORD)
        times = set()
        for task in tasks:
            for option in task.data["options"][:2]:
                address = option["html"].split('src="')[1].split('"')[0]
                answer = member.http.get(address.replace("&amp;", "&"))
                assert answer.is_success
                times.add(answer.headers.get("Last-Modified"))
            pair = pair_of(task.data)[1]
            likes = made.side_of_run(pair) if name == "pia" or pair else "tie"
            member.annotate(task.id, choice(likes), lead_time=1.0)
        assert len(times) == 1, "no image tells when it was drawn"
        member.close()

    deadline = time.monotonic() + 120
    while not newest(service, run).complete and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(service.store.pair_votes(made.id)) == 8
    said = hero("compare", run.id)
    assert "The model after epoch 1 was preferred in 3 of 3 pairs, 100% (44 to 100); 1 tie" in said
    assert "pia@example.com 4 4 0 0 quinn@example.com 4 3 0 1" in said
    hero("export", run.id, "--what", "comparisons", "--out", tmp_path / "pairs.json")
    rows = json.loads((tmp_path / "pairs.json").read_text())
    assert [row["verdict"] for row in rows] == ["tie", "tie", *["run"] * 6]


def test_the_simulated_people_of_the_demo_can_judge(service: Service, run: Run, hero):
    said = hero("compare", run.id, "--new", "--pairs", 6, "--simulate")
    assert "are judged" not in said
    assert newest(service, run).complete


def test_several_prompts_take_turns(service: Service, runs: list[Run], hero):
    run = runs[1]
    said = hero("compare", run.id, "--pairs", 4, "--simulate")
    made = newest(service, run)
    assert made.complete
    tasks = service.sdk.tasks.list(project=made.project_id)
    assert [task.data["prompt"] for task in tasks] == [*run.prompts, *run.prompts]
    assert "2 prompts: photo of one blue rose in a vase; 1 hand" in said
    assert "prompt preferred share ties photo of one blue rose in a vase" in said


@pytest.mark.browser
def test_a_person_judges_by_keys(service: Service, run: Run, hero):
    hero("compare", run.id, "--new", "--pairs", 3)
    made = newest(service, run)
    service.label_studio.invite("rosa@example.com", PASSWORD)
    with browser.opened() as page:
        browser.log_in(page, service.label_studio.url, "rosa@example.com", PASSWORD)
        page.goto(label_address(service.settings, made))
        for key in "132":
            expect(page.get_by_alt_text("left image")).to_be_visible()
            expect(page.get_by_alt_text("right image")).to_be_visible()
            expect(page.get_by_text("It is blue.")).to_be_visible()
            expect(page.locator(".hero-pair input:checked")).to_have_count(0)
            page.keyboard.press(key)
            expect(page.locator(".hero-pair input:checked")).to_have_count(1)
            with browser.submitted(page):
                page.keyboard.press("Space")
            page.wait_for_timeout(300)
    hero("compare", run.id)
    votes = service.store.pair_votes(made.id)
    assert [(vote.pair, vote.choice, vote.annotator) for vote in votes] == [
        (pair, said, "rosa@example.com") for pair, said in enumerate(("left", "tie", "right"))
    ]


def test_a_project_that_somebody_deleted_keeps_its_votes(service: Service, run: Run, hero):
    hero("compare", run.id, "--new", "--pairs", 2)
    made = newest(service, run)
    (first, _) = service.sdk.tasks.list(project=made.project_id)
    service.sdk.annotations.create(first.id, result=choice("left"))
    assert "1 of 2 pairs are judged" in hero("compare", run.id)
    service.gateway.delete_project(made.project_id)
    said = hero("compare", run.id)
    assert "1 of 2 pairs are judged" in said
    assert "its project in Label Studio is gone" in said
    assert "Judge here" not in said
