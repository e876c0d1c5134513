"""The adapter to the engine, with a pipeline of random weights."""

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from backend import engine as engine_module
from backend.engine import Engine, check, kept_prompts, make_config, presets, row_prompts
from backend.engine_files import batch_folder, checkpoint_folder, read_predictions, read_prompts
from backend.errors import BadInput, DiskFull, EngineFailed
from backend.run.records import Run
from backend.settings import Settings
from backend.store import Store

VERDICTS = ["good", "bad", "best", "bad"]


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.hero_engine.tiny import save_pipeline

    return save_pipeline(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture
def run(store: Store, pipeline: Path) -> Run:
    return store.create_run(small(pipeline))


@pytest.fixture
def engine(settings: Settings) -> Engine:
    return Engine(settings)


def small(pipeline: Path, **of_method: Any) -> dict[str, Any]:
    fields = {
        "model": str(pipeline),
        "prompt": "one rose",
        "images_per_epoch": 4,
        "epochs": 2,
        "num_inference_steps": 3,
        "sample_batch_size": 4,
    }
    heros = {
        "embedding_steps": 3,
        "trained_steps": 2,
        "minibatch_size": 4,
        "forward_batch_size": 2,
    }
    return make_config(**fields, **(of_method or heros)).flat()


def silent(stage: str, done: int, total: int) -> None:
    return None


class TestConfiguration:
    def test_a_preset_with_changes(self):
        config = make_config("blue-rose", model="somewhere", images_per_epoch=8)
        assert (config.images_per_epoch, config.prompt) == (8, presets()["blue-rose"]["prompt"])

    @pytest.mark.parametrize(
        ("name", "fields", "said"),
        [
            ("nope", {}, "nope"),
            (None, {"model": "m", "prompt": "  "}, "prompt"),
            (None, {"model": "m", "prompt": "p", "images_per_epoch": 1}, "images_per_epoch"),
            (None, {"model": "m", "prompt": "p", "images_per_epoch": 0}, "images_per_epoch"),
            (None, {"model": "m", "prompt": "p", "trained_steps": 99}, "trained_steps"),
            (None, {"model": "m", "prompt": "p", "no_such_field": 1}, "no_such_field"),
        ],
    )
    def test_bad_input(self, name: str | None, fields: dict[str, Any], said: str):
        with pytest.raises(BadInput, match=said) as caught:
            make_config(name, **fields)
        assert caught.value.exit_status == 2

    def test_a_model_that_is_no_pipeline(self, tmp_path: Path):
        with pytest.raises(BadInput, match=str(tmp_path)):
            check(make_config(model=str(tmp_path), prompt="one rose"))

    def test_a_prompt_that_is_cut_is_a_warning(self, pipeline: Path):
        config = make_config(model=str(pipeline), prompt="one rose " * 20, trained_steps=1)
        assert any("rose" in warning for warning in check(config))


class TestSteps:
    def test_an_epoch(self, engine: Engine, settings: Settings, store: Store, run: Run):
        stages = []
        folder = engine.generate(run, lambda stage, done, total: stages.append(stage))
        assert len(list((folder / "images").glob("*.png"))) == 4
        assert read_predictions(folder) is None
        report = engine.learn(run, VERDICTS, (2,), lambda stage, *_: stages.append(stage))
        assert report["updated"] and len(report["rewards"]) == 4
        assert {"sampling", "embedding", "update"} <= set(stages)
        assert checkpoint_folder(settings, run.id, 1).is_dir()

    def test_what_lies_there_is_not_done_again(
        self, engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch
    ):
        folder = engine.generate(run, silent)
        report = engine.learn(run, VERDICTS, (2,), silent)
        monkeypatch.setattr(engine_module, "_load", lambda *_: pytest.fail("the model was loaded"))
        engine.let_go()
        assert engine.generate(run, silent) == folder
        assert engine.learn(run, ["bad"] * 4, (), silent) == report

    def test_a_restart_changes_no_bit(
        self, engine: Engine, settings: Settings, run: Run, pipeline: Path
    ):
        engine.generate(run, silent)
        warm = engine.learn(run, VERDICTS, (2,), silent)
        lora = (checkpoint_folder(settings, run.id, 1) / "lora.safetensors").read_bytes()
        shutil.rmtree(checkpoint_folder(settings, run.id, 1))
        cold = Engine(settings).learn(run, VERDICTS, (2,), silent)
        assert cold["rewards"] == warm["rewards"]
        again = (checkpoint_folder(settings, run.id, 1) / "lora.safetensors").read_bytes()
        assert again == lora

    def test_an_image_nobody_judged_still_gets_a_reward(self, engine: Engine, run: Run):
        engine.generate(run, silent)
        report = engine.learn(run, ["best", "bad", None, None], (0,), silent)
        assert len(report["rewards"]) == 4

    def test_all_bad_is_no_update_and_no_error(self, engine: Engine, run: Run):
        engine.generate(run, silent)
        report = engine.learn(run, ["bad"] * 4, (), silent)
        assert not report["updated"] and report["note"]

    @pytest.mark.parametrize(
        "fields",
        [
            {"method": "d3po", "trained_steps": 2},
            {"method": "hero+", "denoising_steps": 1},
            {"method": "prompt", "enhanced_prompt": "a fine rose"},
        ],
        ids=lambda fields: fields["method"],
    )
    def test_other_methods_need_no_best_image(
        self, engine: Engine, store: Store, pipeline: Path, fields: dict[str, Any]
    ):
        run = store.create_run(small(pipeline, **fields))
        folder = engine.generate(run, silent)
        assert read_predictions(folder) is None
        report = engine.learn(run, ["good", "bad", "good", "bad"], (), silent)
        assert report["updated"] == (fields["method"] != "prompt")
        assert report["rewards"] == []

    def test_a_method_without_what_it_needs_is_refused(self, pipeline: Path):
        with pytest.raises(BadInput, match="there is no enhanced_prompt"):
            make_config(model=str(pipeline), prompt="one rose", method="prompt")
        config = make_config(model=str(pipeline), prompt="one rose", method="ddpo")
        with pytest.raises(BadInput, match="set reward_model to pickscore"):
            check(config)

    @pytest.mark.parametrize("step", ["generate", "learn"])
    def test_a_dropped_step_leaves_nothing_behind(
        self, engine: Engine, settings: Settings, run: Run, step: str
    ):
        class Dropped(Exception):
            pass

        def drop(stage: str, done: int, total: int) -> None:
            raise Dropped

        if step == "learn":
            engine.generate(run, silent)
        with pytest.raises(Dropped):
            if step == "learn":
                engine.learn(run, VERDICTS, (2,), drop)
            else:
                engine.generate(run, drop)
        assert not engine.loaded
        engine.generate(run, silent)
        assert engine.learn(run, VERDICTS, (2,), silent)["updated"]
        names = [path.name for path in settings.run_dir(run.id).rglob("*")]
        assert not [name for name in names if "partial" in name]


class TestFullDisk:
    def full(self, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def test_while_a_batch_is_written(
        self, engine: Engine, settings: Settings, run: Run, monkeypatch: pytest.MonkeyPatch
    ):
        with monkeypatch.context() as patch:
            patch.setattr("PIL.Image.Image.save", self.full)
            with pytest.raises(DiskFull, match="free space"):
                engine.generate(run, silent)
        folder = batch_folder(settings, run.id, 0)
        assert list(folder.parent.iterdir()) == []
        assert engine.generate(run, silent) == folder

    def test_while_a_checkpoint_is_written(
        self, engine: Engine, settings: Settings, run: Run, monkeypatch: pytest.MonkeyPatch
    ):
        engine.generate(run, silent)
        with monkeypatch.context() as patch:
            patch.setattr("hero_engine.storage.checkpoint.write_tensors", self.full)
            with pytest.raises(DiskFull):
                engine.learn(run, VERDICTS, (2,), silent)
        assert not checkpoint_folder(settings, run.id, 1).exists()
        assert engine.learn(run, VERDICTS, (2,), silent)["updated"]


def test_a_damaged_batch_says_so(engine: Engine, settings: Settings, run: Run):
    folder = engine.generate(run, silent)
    (folder / "batch.safetensors").write_bytes(b"damaged")
    with pytest.raises(EngineFailed, match="hero repair"):
        engine.learn(run, VERDICTS, (2,), silent)


def test_what_is_no_image_is_not_published(
    store: Store, settings: Settings, pipeline: Path, tmp_path: Path
):
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(pipeline, tmp_path / "broken")
    weights = broken / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    state["conv_out.bias"][:] = float("nan")
    save_file(state, weights, {"format": "pt"})
    run = store.create_run(small(broken))
    with pytest.raises(EngineFailed, match="so nothing is shown to anybody"):
        Engine(settings).generate(run, silent)
    assert not batch_folder(settings, run.id, 0).exists()


def test_batch_sizes_are_decided_by_a_trial(pipeline: Path, engine: Engine, store: Store):
    auto = {"sample_batch_size": "auto", "forward_batch_size": "auto"}
    run = store.create_run({**small(pipeline), **auto})
    assert engine_module.undecided(run.config)
    config, forecast = engine.try_out(run)
    assert not engine_module.undecided(config)
    assert json.loads(json.dumps(forecast)) == forecast
    changed = {name for name in config if config[name] != run.config[name]}
    assert changed == {"sample_batch_size", "forward_batch_size", "memory"}
    assert not engine.loaded


@pytest.mark.parametrize("size", ["sample_batch_size", "forward_batch_size"])
def test_either_batch_size_can_be_left_to_the_trial(size: str):
    numbers = {"sample_batch_size": 4, "forward_batch_size": 4}
    config = make_config(model="tiny", prompt="a rose", **{**numbers, size: "auto"})
    assert engine_module.undecided(config.flat())
    assert not engine_module.undecided(make_config("tiny").flat())


def test_a_model_is_looked_at_without_a_run(pipeline: Path, tmp_path: Path):
    assert engine_module.check_model("tiny") == "tiny (bundled), images of 64 x 64 pixels"
    assert engine_module.check_model(str(pipeline)).endswith(", images of 16 x 16 pixels")
    with pytest.raises(BadInput, match="There is no folder"):
        engine_module.check_model(str(tmp_path / "gone"))


def test_out_of_memory_says_what_to_lower(
    engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch
):
    def load(*_: Any) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(engine_module, "_load", load)
    with pytest.raises(EngineFailed, match="sample_batch_size"):
        engine.generate(run, silent)


def test_after_a_run(settings: Settings, run: Run, engine: Engine, tmp_path: Path):
    samples = engine_module.sample(settings, run, 2, prompt="two roses", seed=1)
    assert len(samples.images) == 2
    assert engine_module.export_lora(settings, run, tmp_path / "l.safetensors", 4).exists()
    with pytest.raises(EngineFailed, match="good"):
        engine_module.sample(settings, run, 2, noise="bank")


def test_the_same_noises_before_and_after(
    settings: Settings, run: Run, engine: Engine, tmp_path: Path
):
    engine.generate(run, silent)
    engine.learn(run, VERDICTS, (2,), silent)
    after = replace(run, epoch=1)
    told: list[tuple[int, int]] = []
    engine.draw_beside(
        after, tmp_path / "drawn", 2, "a rose", 7, lambda done, total: told.append((done, total))
    )
    engine.let_go()
    for name, model in (("before", run), ("after", after)):
        wanted = engine_module.sample(settings, model, 2, prompt="a rose", seed=7).images
        for index, image in enumerate(wanted):
            found = Image.open(tmp_path / "drawn" / name / f"{index:04d}.png")
            assert found.tobytes() == image.tobytes(), (name, index)
    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)


def test_how_large_a_pipelines_images_are(pipeline: Path, tmp_path: Path):
    def size(model: object, **fields: Any) -> tuple[int, int] | None:
        return engine_module.image_size({"model": str(model), "prompt": "a rose", **fields})

    assert size(pipeline) == (16, 16)
    assert size(pipeline, height=24, width=32, format=2) == (24, 32)
    assert size("tiny") == (64, 64)
    assert size(tmp_path / "gone") is None
    unet = tmp_path / "model" / "unet" / "config.json"
    shutil.copytree(pipeline, tmp_path / "model")
    fields = json.loads(unet.read_text())
    unet.write_text(json.dumps({**fields, "sample_size": [8, 12]}))
    assert size(tmp_path / "model") == (16, 24)
    unet.write_text(json.dumps({**fields, "sample_size": None}))
    assert size(tmp_path / "model") is None


def test_words_that_the_bundled_model_does_not_know_are_named():
    (note,) = check(make_config("tiny", prompt="a dragon on the Moon"))
    assert "does not know 'dragon', 'moon'" in note
    assert "1 hand" in note
    known = "photo of three red roses in a vase, by a quiet spring"
    assert check(make_config("tiny", prompt=known)) == []


class TestSeveralPrompts:
    @pytest.fixture
    def run(self, store: Store, pipeline: Path) -> Run:
        config = small(pipeline, method="hero+", denoising_steps=2, embedding_steps=3)
        several = {"further_prompts": ["a cat"], "held_out": ["a dog"], "images_per_epoch": 8}
        return store.create_run({**config, **several})

    def test_a_round(self, engine: Engine, run: Run, settings: Settings):
        folder = engine.generate(run, silent)
        assert read_prompts(folder) == ["one rose"] * 4 + ["a cat"] * 4
        report = engine.learn(run, ["best", "bad", "good", "bad"] * 2, (0, 4), silent)
        assert [(each["prompt"], each["good"]) for each in report["by_prompt"]] == [
            ("one rose", 2),
            ("a cat", 2),
        ]
        again = engine.generate(replace(run, epoch=1), silent)
        predictions = read_predictions(again)
        assert predictions is not None and None not in predictions

    def test_a_row_shows_all_prompts_and_those_held_out(
        self, engine: Engine, run: Run, settings: Settings, tmp_path: Path
    ):
        engine.draw_row(run, tmp_path / "row", 2, lambda: False)
        assert len(list((tmp_path / "row").glob("*.png"))) == 6
        seen = [(tmp_path / "row" / f"{n:04d}.png").read_bytes() for n in (0, 2, 4)]
        assert len(set(seen)) == 3


def test_a_run_of_one_prompt_may_hold_others_out(engine: Engine, store: Store, pipeline, tmp_path):
    run = store.create_run({**small(pipeline), "held_out": ["a dog"]})
    assert row_prompts(run) == (None, "a dog")
    assert read_prompts(engine.generate(run, silent)) == []


def test_what_a_run_keeps_lies_next_to_its_prompt_or_was_said():
    fields = {"prompt": "photo of one blue rose in a vase"}
    kept = kept_prompts(make_config("tiny", **fields, keep="neighbours").flat())
    assert kept[:2] == ("photo of two blue roses in a vase", "photo of one red rose in a vase")
    said = make_config("tiny", **fields, keep=["a tulip"]).flat()
    assert kept_prompts(said) == ("a tulip",)
    assert kept_prompts(make_config("tiny", **fields).flat()) == ()
    assert kept_prompts(make_config("tiny", **fields, method="hero").flat()) == ()
