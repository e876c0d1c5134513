"""The command line: one call a command, one sentence an error, an exit status for scripts."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend import cli, engine
from backend.cli.shared import PANELS
from backend.errors import EngineFailed, LabelStudioUnreachable
from backend.run.records import Run
from backend.run.states import Event, State
from backend.store import Store
from backend.store.rows import update
from tests.backend.fake_engine import FORECAST
from tests.backend.votes import annotations

COMMANDS = [
    "up", "start", "runs", "status", "watch", "stop", "pause", "resume", "extend", "advance",
    "generate", "compare", "export", "doctor", "demo", "invite", "agreement", "import-labels",
]  # fmt: skip


@pytest.fixture
def hero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HERO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(cli.out, "_width", 200)
    return lambda *arguments: CliRunner().invoke(cli.app, [str(item) for item in arguments])


@pytest.fixture
def known(tmp_path: Path, config):
    """The store of the same home, and a run in it."""
    store = Store.connect(f"sqlite:///{tmp_path / 'home' / 'hero.db'}")
    yield store, store.create_run(config, project_url="http://label-studio/projects/7")
    store.close()


def labelled(store: Store, run: Run, *images: str) -> None:
    store.merge_annotations(run.id, 0, lambda *_: annotations(run.id, *images))


def test_the_version_is_that_of_the_installed_package(hero):
    result = hero("--version")
    assert result.exit_code == 0
    assert result.stdout == f"hero {version('hero-label-studio')}\n"


def test_help_names_every_command(hero):
    text = hero("--help").output
    assert [command for command in COMMANDS if f" {command} " not in text] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(hero, command):
    answer = hero(command, "--help")
    assert answer.exit_code == 0
    assert len(answer.output.split()) > 20


def test_status_without_a_run_says_how_to_start_one(hero):
    answer = hero("status")
    assert answer.exit_code == 0
    assert "hero start" in answer.output


def test_status_shows_all_runs_and_one(hero, known):
    _, run = known
    assert run.id in hero("runs").output
    assert hero("status").output == hero("runs").output
    one = hero("status", run.id[:6]).output
    assert "epoch 1 of 2" in one
    assert "the model draws images" in one
    assert "http://label-studio/projects/7" in one


@pytest.mark.parametrize("command", ["status", "pause", "advance", "generate", "export", "watch"])
def test_an_unknown_run_is_told_with_the_known_ones(hero, known, command):
    _, run = known
    answer = hero(command, "no-such-run")
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert run.id in answer.stderr
    assert "no-such-run" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_pause_resume_and_stop(hero, known):
    store, run = known
    for command, state in (("pause", "paused"), ("resume", "generating"), ("stop", "stopped")):
        answer = hero(command, run.id)
        assert answer.exit_code == 0
        assert f"is {state} now" in answer.output
        assert store.run(run.id).state == state
    refused = hero("resume", run.id)
    assert refused.exit_code == 2
    assert "stopped" in refused.stderr


def test_a_finished_run_goes_on(hero, known):
    store, run = known
    refused = hero("extend", run.id)
    assert refused.exit_code == 2
    assert "Cannot extend a run that is generating" in refused.stderr
    with store._write() as connection:
        update(connection, run.id, state=State.finished, epoch=run.epochs)
    answer = hero("extend", run.id, "--epochs", "2")
    assert answer.exit_code == 0
    assert f"{run.id} goes on: 2 more epochs" in answer.output
    assert store.run(run.id).epochs == run.epochs + 2


def test_advance_of_a_run_that_is_not_labelled_is_refused(hero, known, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
    answer = hero("advance", known[1].id)
    assert answer.exit_code == 2
    assert "generating" in answer.stderr


def test_help_goes_from_the_beginning_to_the_team(hero):
    text = hero("--help").output
    places = [text.index(f" {panel} ─") for panel in PANELS]
    assert places == sorted(places)


def test_only_an_email_address_is_invited(hero, monkeypatch):
    answer = hero("invite", "ada@example.com", "bert")
    assert answer.exit_code == 2
    assert "'bert'" in answer.stderr


def test_watch_ends_with_the_run(hero, known):
    store, run = known
    store.transition(run, Event.stop)
    for answer in (hero("watch", run.id), hero("watch")):
        assert answer.exit_code == 0
        assert "stopped" in answer.output


@pytest.mark.parametrize("command", ["export", "agreement", "repair"])
def test_the_newest_run_is_taken_where_none_is_named(hero, known, command):
    _, run = known
    assert run.id in hero(command).stderr


@pytest.mark.parametrize("command", ["pause", "resume", "stop"])
def test_a_run_is_named_where_that_ends_or_holds_it(hero, known, command):
    assert "RUN" in hero(command).stderr


def test_a_link_leads_to_the_page_to_label_on(hero, known):
    answer = hero("link", "--label")
    assert answer.exit_code == 0
    assert "/login?token=" in answer.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--prompt"),
        (["--prompt", "  "], "prompt"),
        (["--prompt", "x", "--images", "1"], "images_per_epoch"),
        (["--prompt", "x", "--images", "0"], "images_per_epoch"),
        (["--prompt", "x", "--trained-steps", "51"], "trained_steps"),
        (["--prompt", "x", "--method", "sgd"], "Correct --method"),
        (["--prompt", "x", "--preset", "nothing"], "blue-rose"),
        (["--prompt", "x", "--set", "margin"], "field=value"),
        (["--prompt", "x", "--set", "margni=1"], "margni"),
        (["--prompt", "x", "--layout", "list"], "'image', 'gallery'"),
        (["--prompt", "x", "--consensus", "median"], "dawid-skene"),
        (["--prompt", "x", "--annotators-per-image", "0"], "--annotators-per-image"),
        (["--prompt", "x", "--annotators-per-image", "many"], "--annotators-per-image"),
        (["--prompt", "x", "--annotators", "ada"], "'ada' is no e-mail address"),
        (["--prompt", "x", "--annotators", "a@x", "--annotators-per-image", 2], "1 people's"),
        (["--prompt", "x", "--label-budget", "65"], "only 64 images"),
        (["--prompt", "x", "--budget", "65"], "hero start --help"),
        (["--config", "no-such.yaml"], "no-such.yaml"),
    ],
)
def test_bad_input_to_start_is_one_sentence_and_starts_nothing(hero, known, arguments, words):
    store, run = known
    answer = hero("start", *arguments)
    assert answer.exit_code == 2
    assert words in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1
    assert [each.id for each in store.runs()] == [run.id]


def _started(monkeypatch, config) -> list[dict]:
    """Lets `hero start` get as far as starting; the configurations it asked for."""
    asked = []

    def start_run(
        settings, store, config, title, *, labelling, project_id, forecast, parent, judged
    ):
        said = {"title": title, "forecast": forecast, "parent": parent, "judged": judged}
        asked.append({**config, **said})
        url = "http://label-studio/projects/1"
        return store.create_run(
            config, labelling=labelling, project_url=url, forecast=forecast, parent=parent
        )

    def try_out(config):
        sampling = config.sampling.model_copy(update={"sample_batch_size": 4})
        return config.replaced(sampling=sampling), FORECAST

    monkeypatch.setattr("backend.starting.start_run.reach", lambda settings: None)
    monkeypatch.setattr("backend.starting.start_run.start_run", start_run)
    monkeypatch.setattr("backend.engine.try_out", try_out)
    monkeypatch.setattr("backend.engine.check", lambda config: ["prompt cut after 'vase'"])
    return asked


def test_start_without_a_model_takes_the_bundled_one(hero, monkeypatch, config):
    asked = _started(monkeypatch, config)
    answer = hero(
        "start", "--prompt", "photo of one red rose", "--images", 8, "--epochs", 3, "--seed", 5,
        "--set", "margin=0.4", "--title", "red",
    )  # fmt: skip
    assert answer.exit_code == 0, answer.stderr
    (run,) = asked
    assert run["model"] == "tiny"
    assert (run["images_per_epoch"], run["epochs"], run["seed"]) == (8, 3, 5)
    assert (run["margin"], run["title"]) == (0.4, "red")
    assert "24 labels in all" in answer.stdout
    assert "Labelling: one task per image.\nMethod: hero+.\n" in answer.stdout
    assert "prompt cut after 'vase'" in answer.stderr


def test_start_says_what_an_epoch_takes_and_keeps_it(hero, monkeypatch, config):
    asked = _started(monkeypatch, config)
    answer = hero("start", "--prompt", "a cat", "--model", "some/hub-model")
    assert (asked[0]["sample_batch_size"], asked[0]["forecast"]) == (4, FORECAST)
    assert (
        "Drawing and learning take about 6 min an epoch, 9.1 GB of 12 (4 images and 20 latents at "
        "once).\n" in answer.stdout
    )
    assert "about 6 min an epoch, 9.1 GB of 12" in hero("status", "latest").output


def test_start_without_a_trial_leaves_it_to_the_worker(hero, monkeypatch, config):
    asked = _started(monkeypatch, config)
    answer = hero("start", "--prompt", "a cat", "--model", "some/hub-model", "--no-trial")
    assert (asked[0]["sample_batch_size"], asked[0]["forecast"]) == ("auto", None)
    assert "an epoch, " not in answer.stdout


def test_start_makes_no_trial_where_the_worker_is_elsewhere(hero, monkeypatch, config, tmp_path):
    asked = _started(monkeypatch, config)
    (tmp_path / "home" / "workers").mkdir(parents=True)
    (tmp_path / "home" / "workers" / "gpu-server").touch()
    answer = hero("start", "--prompt", "a cat", "--model", "some/hub-model")
    assert asked[0]["sample_batch_size"] == "auto"
    assert "not tried here, since the worker runs on gpu-server: it is tried by" in answer.stderr
    answer = hero("start", "a cat")
    assert asked[1]["sample_batch_size"] == 32
    assert "so what an epoch takes is not known" in answer.stderr


def test_a_trial_that_fails_starts_nothing(hero, known, monkeypatch, config):
    store, run = known
    asked = _started(monkeypatch, config)

    def too_little(config):
        raise EngineFailed("The model's memory does not suffice.")

    monkeypatch.setattr("backend.engine.try_out", too_little)
    answer = hero("start", "--prompt", "a cat")
    assert answer.exit_code == 1
    assert "memory does not suffice" in answer.stderr
    assert asked == []
    assert [each.id for each in store.runs()] == [run.id]


def test_start_takes_a_method_by_name_or_as_any_other_hyper_parameter(hero, monkeypatch, config):
    asked = _started(monkeypatch, config)
    hero("start", "--prompt", "a cat", "--method", "hero")
    hero("start", "--prompt", "a cat", "--set", "method=d3po")
    hero("start", "--prompt", "a cat")
    assert [run["method"] for run in asked] == ["hero", "d3po", "hero+"]
    assert [run.get("inner_epochs") for run in asked] == [2, 2, None]


def test_start_takes_the_default_model_of_the_settings(hero, monkeypatch, config):
    asked = _started(monkeypatch, config)
    monkeypatch.setenv("HERO_MODEL", "some/hub-model")
    hero("start", "--prompt", "a cat")
    hero("start", "--preset", "hand", "--model", ".")
    assert asked[0]["model"] == "some/hub-model"
    assert asked[0]["guidance_scale"] == 5.0
    assert asked[1]["model"] == str(Path.cwd())
    assert asked[1]["prompt"] == "1 hand"


def test_start_goes_on_from_another_run(hero, known, monkeypatch, config):
    store, _ = known
    asked = _started(monkeypatch, config)
    before = store.create_run(engine.make_config("tiny", seed=3).flat())
    with store._write() as connection:
        update(connection, before.id, epoch=2)
    said = hero("start", "--no-trial", "--from", f"{before.id}:1", "--criteria", "It is red.")
    assert said.exit_code == 0, said.output
    assert f"It goes on from the model of {before.id} after epoch 1.\n" in said.stdout
    assert asked[0]["seed"] == 4
    assert f"Goes on from {before.id} after epoch 1." in hero("status", "latest").output


def test_import_labels_reads_pictures_and_takes_the_options_of_start(
    hero, monkeypatch, config, tmp_path
):
    from PIL import Image

    asked = _started(monkeypatch, config)
    for number, name in enumerate(("good/a.png", "bad/b.png", "bad/c.png")):
        path = tmp_path / "roses" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 64), (number, 0, 0)).save(path)
    words = ("import-labels", tmp_path / "roses", "--prompt", "photo of one red rose")
    answer = hero(*words, "--epochs", 3, "--images", 8, "--layout", "gallery", "--no-trial")
    assert answer.exit_code == 0, answer.output
    assert "3 of 3 pictures are cut in the middle and scaled to 64 x 64 pixels." in answer.stderr
    (run,) = asked
    assert (run["epochs"], run["images_per_epoch"], run["method"]) == (4, 8, "hero+")
    assert [image.value for image in run["judged"].verdicts.images] == ["good", "bad", "bad"]
    refused = hero(*words, "--method", "hero")
    assert refused.exit_code == 2
    assert "use --method hero+" in refused.stderr
    assert len(asked) == 1


def test_errors_of_label_studio_have_status_one(hero, monkeypatch):
    def refuse(*_: object, **__: object) -> Run:
        raise LabelStudioUnreachable("Cannot reach Label Studio [at all]; start it.")

    monkeypatch.setattr("backend.starting.start_run.reach", refuse)
    monkeypatch.setattr("backend.engine.check", lambda config: [])
    answer = hero("start", "--prompt", "x")
    assert answer.exit_code == 1
    assert answer.stderr == "Error: Cannot reach Label Studio [at all]; start it.\n"


def test_generate_writes_every_image_and_the_grid(hero, known, monkeypatch, tmp_path):
    from types import SimpleNamespace

    from PIL import Image

    asked = {}

    def sample(settings, run, n, *, on_image, **options):
        asked.update(options)
        images = [Image.new("RGB", (16, 16), (index, 0, 0)) for index in range(n)]
        for index, image in enumerate(images):
            on_image(index, image)
        return SimpleNamespace(images=images)

    monkeypatch.setattr("backend.engine.sample", sample)
    folder = tmp_path / "drawn"
    answer = hero(
        "generate", known[1].id, "-n", 3, "--prompt", "a red rose", "--noise", "bank",
        "--scheduler", "dpm++", "--seed", 4, "--out", folder,
    )  # fmt: skip
    assert answer.exit_code == 0, answer.stderr
    assert sorted(path.name for path in folder.iterdir()) == [
        "0000.png", "0001.png", "0002.png", "grid.png",
    ]  # fmt: skip
    assert asked == {"prompt": "a red rose", "noise": "bank", "scheduler": "dpm++", "seed": 4}
    again = hero("generate", known[1].id, "--out", folder)
    assert again.exit_code == 2
    assert "holds images already" in again.stderr
    places = [hero("generate", "-n", 1, "--prompt", said).output for said in ("a", "b", "c")]
    assert len(set(places)) == 3
    assert places[2].strip().endswith("seed-0-3")


def test_ctrl_c_is_status_130(hero, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("backend.local.up.keep_up", interrupted)
    assert hero("up").exit_code == 130


def test_agreement_of_a_run_that_nobody_or_one_person_labelled(hero, known):
    store, run = known
    answer = hero("agreement", run.id)
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert "no labels that count yet; label some images at http://label-studio" in answer.stderr
    labelled(store, run, "t", "b")
    said = hero("agreement", run.id).output
    assert "Only p1@x labelled" in said
    assert "alpha" not in said


def test_agreement_of_several_people(hero, known):
    store, run = known
    labelled(store, run, "tg", "bb", "gb", "gg")
    said = hero("agreement", run.id).output
    assert "2 people judged 4 images, 4 of them by two or more; on 1 good stands against" in said
    assert "75%" in said
    told = json.loads(hero("agreement", run.id, "--epoch", 1, "--json").output)
    assert (told["compared"], told["percent"]) == (4, 0.5)
    assert set(json.loads(hero("agreement", run.id, "--json").output)) == {"run", "epochs"}


def test_agreement_names_labels_that_nobody_makes_so_quickly(hero, known):
    store, run = known
    labelled(store, run, *["t", *["g"] * 3])
    assert "quicker" not in hero("agreement", run.id).output
    labelled(store, run, *["t", *["g"] * 149])
    said = " ".join(hero("agreement", run.id).output.split())
    assert "p1@x judged 150 images quicker than people do" in said


def test_agreement_of_an_epoch_that_nobody_labelled(hero, known):
    store, run = known
    labelled(store, run, "tg")
    answer = hero("agreement", run.id, "--epoch", 2)
    assert answer.exit_code == 2
    assert "nobody has labelled it; epochs with labels: 1." in answer.stderr


def test_a_prompt_is_said_once(hero):
    answer = hero("start", "a cat", "--prompt", "a cat")
    assert answer.exit_code == 2
    assert "the prompt 'a cat' is there twice" in " ".join(answer.stderr.split())
