"""A run that begins with pictures that people judged before."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend import engine
from backend.dashboard.facts import read_run
from backend.engine import Engine
from backend.engine_files import batch_folder, checkpoint_folder
from backend.errors import BadInput, LabelStudioUnreachable
from backend.exports import preferences, verdicts
from backend.exports.source import Source
from backend.label_studio import Project
from backend.labels.judged_export import Words
from backend.repair import mend
from backend.run.labelling import Labelling
from backend.run.states import State
from backend.show import run_view
from backend.starting import begin, start_run
from backend.starting.importing import read_source
from backend.worker.loop import Worker
from hero_engine.methods.base import Method
from hero_engine.methods.hero_plus import HeroPlus
from hero_engine.storage.checked import read_checked
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio
from tinyworld.world import scenes_of

SIZES = {"good/a": (20, 20), "good/b": (16, 16), "best/c": (40, 30), "bad/d": (8, 16)}
SIZES |= {"bad/e": (16, 8), "bad/f": (64, 64)}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    from tests.hero_engine.tiny import save_pipeline

    return save_pipeline(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, (name, size) in enumerate(SIZES.items()):
        path = tmp_path / "roses" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.effect_noise(size, 80).convert("RGB")
        image.putpixel((0, 0), (number, 0, 0))
        image.save(path)
    return tmp_path / "roses"


class Gateway(FakeLabelStudio):
    """Every project is a new one."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses = False
        self.made: list[int] = []
        self.deleted: list[int] = []

    def ensure_project(self, *_: Any, **__: Any) -> Project:
        self.made.append(number := len(self.made) + 1)
        return Project(number, f"http://label-studio/projects/{number}", created=True)

    def connect_backend(self, project_id: int) -> None:
        if self.refuses:
            raise LabelStudioUnreachable("It does not answer.")

    def delete_project(self, project_id: int) -> None:
        self.deleted.append(project_id)


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    made = Gateway()
    monkeypatch.setattr(start_run, "Gateway", lambda settings: made)
    return made


@pytest.fixture
def import_labels(settings, store, gateway, pipeline, folder):
    """As `hero import-labels`; the run, and what was noted."""

    def start(source: Path | None = None, **options: Any):
        notes: list[str] = []
        small = {"denoising_steps": 4, "denoising_batch_size": 4, "embedding_steps": 3}
        run = begin.begin(
            settings,
            store,
            {
                "prompt": "one rose",
                "model": str(pipeline),
                "method": "hero+",
                "images": 4,
                "epochs": 2,
                "steps": 3,
                "set": small if options.get("method", "hero+") == "hero+" else {},
                **options,
            },
            note=notes.append,
            read=lambda labelling: read_source(source or folder, Words(), None, labelling),
        )
        return run, notes

    return start


def left(settings) -> list[Path]:
    """All that lies below the home folder, but for the database."""
    tops = (settings.home / "runs", settings.home / "images")
    return [path for top in tops for path in top.rglob("*")]


def silent(*_: object) -> None:
    pass


def test_the_pictures_are_the_first_epoch_and_it_is_learned_from_next(import_labels, store):
    run, notes = import_labels()
    assert (run.state, run.epoch, run.epochs) == (State.learning, 0, 3)
    (epoch,) = store.epochs(run.id)
    assert epoch.labelled_at is not None and epoch.bests == (0,)
    images = store.images(run.id, 0)
    assert [image.verdict for image in images] == ["best", "good", "good", "bad", "bad", "bad"]
    assert {image.verdict_by for image in images} == {"imported"}
    assert notes[-1] == (
        "5 of 6 pictures are cut in the middle and scaled to 16 x 16 pixels. 2 of them are "
        "smaller, and become blurred."
    )


def test_they_are_fitted_and_lie_where_people_see_them(import_labels, settings, store):
    run, _ = import_labels()
    for image in store.images(run.id):
        with Image.open(settings.images_dir / image.path) as shown:
            assert (shown.size, shown.mode) == ((16, 16), "RGB")
    with Image.open(batch_folder(settings, run.id, 0) / "images" / "0002.png") as own:
        assert own.getpixel((0, 0))[0] == 1, "its size is the model's, so it is as it was"


def test_they_are_counted_and_said_where_labels_are(import_labels, settings, store):
    run, _ = import_labels()
    view = run_view.read(store, run.id)
    said = "Epoch 1 is 6 imported labels: 3 good, 3 bad."
    assert view.chain.sentences == [said]
    assert view.labels == 6
    assert view.success == "", "they say nothing of the model"
    assert "It learns first, as epoch 1, from 6 imported labels: 3 good, 3 bad." in (
        begin.described(run, view.chain.imported)
    )
    assert begin.described(run, view.chain.imported)[0].startswith("2 epochs of 4 images, 8 labels")
    facts = read_run(settings, store, run.id)
    assert facts.closed == []
    assert facts.epochs[0].imported and facts.epochs[0].rate is None
    source = Source(settings, store, run)
    rows = verdicts.rows(source)
    assert {row["verdict_by"] for row in rows} == {"imported"}
    assert rows[0]["reason"] == "in best/ of roses"
    assert source.labels == 6
    pairs = preferences.rows(source)
    assert len(pairs) == 2 + 3 * 3
    assert {pair[f"model_{side}"] for pair in pairs for side in (0, 1)} == {"imported"}


def test_an_export_of_label_studio_decides_by_the_consensus_of_the_run(
    import_labels, store, tmp_path, folder
):
    import json

    def task(name: str, *words: str) -> dict[str, Any]:
        entries = [
            {
                "completed_by": person,
                "result": [{"type": "choices", "value": {"choices": [word]}}],
            }
            for person, word in enumerate(words)
        ]
        return {"id": 1, "data": {"photo": f"/data/upload/1/{name}.png"}, "annotations": entries}

    tasks = [task("good/a", "Good", "bad"), task("bad/d", "bad"), task("good/b", "good")]
    (folder / "labels.json").write_text(json.dumps(tasks))
    run, _ = import_labels(folder / "labels.json", consensus="any-good")
    images = store.images(run.id, 0)
    assert [image.verdict for image in images] == ["good", "bad", "good"]
    assert images[0].verdict_reason == "1 of 2 good, one suffices, in labels.json"


@pytest.mark.parametrize("method", ["hero", "d3po", "ddpo", "dreambooth", "prompt"])
def test_methods_that_cannot_learn_from_them_say_which_can(import_labels, settings, store, method):
    sets: dict[str, Any] = {
        "prompt": {"enhanced_prompt": "x"},
        "ddpo": {"reward_model": "pickscore"},
    }
    options = {"set": sets.get(method, {})}
    with pytest.raises(BadInput, match=f"method {method}: .*; use --method hero\\+"):
        import_labels(method=method, steps=10, **options)
    assert store.runs() == []
    assert left(settings) == []


def test_several_prompts_are_refused(import_labels, store):
    with pytest.raises(BadInput, match="name one prompt"):
        import_labels(prompt=None, prompts=["one rose", "two cups"], images=8)
    assert store.runs() == []


def test_a_damaged_picture_is_refused_before_anything_is_made(
    import_labels, settings, store, folder, gateway
):
    (folder / "bad" / "d.png").write_bytes((folder / "bad" / "f.png").read_bytes()[:500])
    with pytest.raises(BadInput, match=r"Cannot read .*bad/d\.png: "):
        import_labels()
    assert store.runs() == []
    assert left(settings) == []


def test_nothing_stays_of_a_start_that_failed(import_labels, settings, store, gateway, monkeypatch):
    gateway.refuses = True
    with pytest.raises(LabelStudioUnreachable):
        import_labels()
    gateway.refuses = False
    monkeypatch.setattr(type(store), "create_run", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        import_labels()
    assert store.runs() == []
    assert left(settings) == []
    assert gateway.deleted == gateway.made == [1, 2]


def test_options_of_an_export_do_not_fit_a_folder(folder):
    with pytest.raises(BadInput, match="it is a folder, and --pictures"):
        read_source(folder, Words(good=("yes",)), None, Labelling())


def test_the_worker_learns_first_and_then_asks(import_labels, settings, store):
    run, _ = import_labels(set={"forward_batch_size": "auto"})
    made, source = FakeEngine(settings), FakeLabelStudio()
    worker = Worker(settings, store, engine=made, gateway=lambda: source)  # type: ignore[arg-type]
    assert worker.work_once()
    run = store.run(run.id)
    assert (run.state, run.epoch) == (State.labelling, 1)
    assert made.calls == ["try_out", "learn", "generate"]
    assert made.feedback == [(["best", "good", "good", "bad", "bad", "bad"], 0)]
    assert store.epochs(run.id)[0].report["epoch"] == 0
    assert len(source.tasks) == 4, "nobody is asked of the pictures again"


def learned(settings, store, run) -> dict[str, Any]:
    said = [image.verdict for image in store.images(run.id, 0)]
    return Engine(settings).learn(run, said, store.epochs(run.id)[0].bests, silent)


def test_the_model_learns_from_them_the_same_after_a_stop(
    import_labels, settings, store, monkeypatch
):
    run, _ = import_labels()

    def stop(stage: str, done: int, _: int) -> None:
        if stage == "denoising" and done == 2:
            raise KeyboardInterrupt

    verdicts = [image.verdict for image in store.images(run.id, 0)]
    with pytest.raises(KeyboardInterrupt):
        Engine(settings).learn(run, verdicts, (0,), stop)
    assert not checkpoint_folder(settings, run.id, 1).exists()
    report = learned(settings, store, run)
    assert report["updated"] and report["success_rate"] is None
    checkpoint = checkpoint_folder(settings, run.id, 1)
    first = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    checkpoint.rename(checkpoint.with_name("first"))
    learned(settings, store, run)
    assert {path.name: path.read_bytes() for path in checkpoint.iterdir()} == first


def test_a_run_that_goes_on_from_another_one_may_learn_from_pictures_too(
    import_labels, settings, store
):
    from backend.store.rows import update

    before, _ = import_labels()
    learned(settings, store, before)
    with store._write() as connection:
        update(connection, before.id, epoch=1)
    run, _ = import_labels(model=None, **{"from": before.id, "with_labels": True})
    assert store.chain(run).sentences == [
        f"Goes on from {before.id} after epoch 1, with its labels.",
        "Epoch 1 is 6 imported labels: 3 good, 3 bad.",
    ]
    learned(settings, store, run)
    assert checkpoint_folder(settings, run.id, 0).exists(), "the run before may go"
    state = read_checked(checkpoint_folder(settings, run.id, 1) / "state.json")
    assert state["config"]["epochs"] == 3
    from safetensors.torch import load_file

    replay = load_file(checkpoint_folder(settings, run.id, 1) / "replay.safetensors")
    assert len(replay["good"]) == 12


def test_a_lost_picture_is_put_back_and_a_damaged_batch_cannot_be(import_labels, settings, store):
    run, _ = import_labels()
    learned(settings, store, run)
    shown = settings.images_dir / store.images(run.id)[1].path
    shown.unlink()
    worker = Engine(settings)
    found = mend(settings, store, worker, run, silent)
    assert [(each.what, each.mended) for each in found] == [("image 2 of epoch 1", True)]
    (batch_folder(settings, run.id, 0) / "images" / "0003.png").write_bytes(b"")
    found = mend(settings, store, worker, run, silent)
    batch = next(each for each in found if each.what == "the batch of epoch 1")
    assert not batch.mended
    assert "put the folder back from a copy" in batch.said


def test_the_configuration_is_that_of_a_run_with_one_epoch_more(import_labels):
    run, _ = import_labels()
    assert engine.read_config(run.config).epochs == 3


def test_the_bundled_model_learns_from_the_worlds_own_pictures(
    import_labels, settings, store, tmp_path
):
    source = tmp_path / "drawn"
    for number, scene in enumerate(scenes_of("rose", 8, seed=5)):
        value = "good" if scene.attributes["colour"] == "blue" else "bad"
        (source / value).mkdir(parents=True, exist_ok=True)
        scene.image.save(source / value / f"{number}.png")
    prompt = "photo of one blue rose in a vase"
    run, notes = import_labels(source, model="tiny", prompt=prompt)
    assert not any("are cut" in note for note in notes)
    assert learned(settings, store, run)["updated"]
    model = Method.resume(checkpoint_folder(settings, run.id, 1))
    assert isinstance(model, HeroPlus)
    images = store.images(run.id)
    assert model.replay.good.tolist() == [image.verdict != "bad" for image in images]
    for image, seen in zip(images, model.policy.decode(model.replay.latents), strict=True):
        with Image.open(settings.images_dir / image.path) as own:
            assert np.abs(np.int16(own) - np.int16(seen)).mean() < 6, "that is what it learned from"
    assert model.generate().drawn
