"""Starting a run from another one."""

import pytest

from backend import engine
from backend.engine import Engine
from backend.engine_files import checkpoint_folder
from backend.errors import BadInput
from backend.repair import mend
from backend.run.chain import Chain, Parent
from backend.run.labelling import Labelling
from backend.show import run_view
from backend.starting.going_on import inherited
from backend.starting.plan import make_plan
from tests.backend.learned import learned

PLUS = {"method": "hero+", "denoising_steps": 2, "denoising_batch_size": 4}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    from tests.hero_engine.tiny import save_pipeline

    return save_pipeline(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture
def stored(store):
    """A run that has learned from two epochs, by its row alone."""

    def make(epoch=2, labelling=None, **fields):
        config = engine.make_config("tiny", **fields).flat()
        run = store.create_run(config, labelling=labelling)
        from backend.store.rows import update

        with store._write() as connection:
            update(connection, run.id, epoch=epoch)
        return store.run(run.id)

    return make


def plan_of(settings, store, **options):
    return make_plan(settings, options, None, lambda said: inherited(settings, store, said))


def test_all_that_is_not_said_is_as_before(settings, store, stored):
    labelling = Labelling(layout="gallery", criteria="It is blue.", annotators_per_image=2)
    run = stored(labelling=labelling, seed=4, images_per_epoch=32)
    plan, config = plan_of(settings, store, **{"from": run.id})
    assert plan.labelling == labelling
    assert plan.parent == Parent(run.id, 2)
    assert config.flat() == {**run.config, "seed": 5}


def test_what_is_said_wins(settings, store, stored):
    run = stored(labelling=Labelling(criteria="It is blue.", annotators_per_image=2))
    said = {"from": f"{run.id}:1", "criteria": "It is red.", "annotators_per_image": 1, "seed": 9}
    plan, config = plan_of(settings, store, **said, images=16)
    assert plan.labelling == Labelling(criteria="It is red.")
    assert plan.parent == Parent(run.id, 1)
    assert (config.seed, config.images_per_epoch) == (9, 16)


def test_criteria_of_another_prompt_are_not_taken_over(settings, store, stored):
    run = stored(labelling=Labelling(criteria="It is blue."))
    plan, _ = plan_of(settings, store, **{"from": run.id}, prompt="one red cup")
    assert plan.labelling.criteria == ""


def test_another_method_takes_its_own_settings(settings, store, stored):
    run = stored(denoising_lr=1e-4)
    _, config = plan_of(settings, store, **{"from": run.id}, method="hero")
    assert config.method.name == "hero"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"from": "nobody"}, "there is no such run"),
        ({"from": "RUN:3"}, "say an epoch from 1 to 2"),
        ({"from": "RUN:x"}, "say an epoch from 1 to 2"),
        ({"from": "RUN", "preset": "hand"}, "leave --preset out"),
        ({"from": "RUN", "model": "tiny-sd3"}, "another model"),
        ({"from": "RUN", "set": {"lora_rank": 2}}, "another lora_rank"),
        ({"from": "RUN", "with_labels": True, "prompt": "one cup"}, "another prompt"),
        ({"from": "RUN", "with_labels": True, "method": "hero"}, "use --method hero"),
        ({"from": "RUN", "with_labels": True, "method": "d3po"}, "use --method hero"),
        ({"with_labels": True, "prompt": "x"}, "needs --from"),
    ],
)
def test_what_is_refused(settings, store, stored, options, why):
    run = stored()
    if "from" in options:
        options["from"] = options["from"].replace("RUN", run.id)
    with pytest.raises(BadInput, match=why):
        plan_of(settings, store, **options)


def test_a_run_that_has_not_learned_is_refused(settings, store, stored):
    with pytest.raises(BadInput, match="has not learned"):
        plan_of(settings, store, **{"from": stored(epoch=0).id})


def test_the_chain_is_told(store, stored):
    first = stored()
    second = store.create_run(first.config, parent=Parent(first.id, 2))
    third = store.create_run(first.config, parent=Parent(second.id, 1, labels=True))
    assert store.chain(third) == Chain((Parent(second.id, 1, labels=True), Parent(first.id, 2)), ())
    assert run_view.read(store, first.id).chain.sentences == [f"{second.id} goes on from it."]
    assert run_view.read(store, third.id).chain.sentences == [
        f"Goes on from {second.id} after epoch 1, with its labels; that from {first.id} after "
        "epoch 2."
    ]


def test_the_first_batch_is_the_earlier_models_and_nothing_is_read_of_it_later(
    settings, store, pipeline
):
    first = learned(settings, store, pipeline, ["good", "bad", "best", "good"], 2, **PLUS)
    kept = engine.sample(settings, first, 2, seed=3).images
    run = store.create_run({**first.config, "seed": 1}, parent=Parent(first.id, 1, labels=True))
    Engine(settings).generate(run, lambda *_: None)
    earlier = settings.run_dir(first.id)
    earlier.rename(earlier.with_name("gone"))
    assert checkpoint_folder(settings, run.id, 0).exists()
    drawn = engine.sample(settings, run, 2, seed=3).images
    assert [image.tobytes() for image in drawn] == [image.tobytes() for image in kept]
    worker = Engine(settings)
    report = worker.learn(run, ["bad"] * 4, (), lambda *_: None)
    assert report["updated"], "the earlier good images teach"


def test_a_damaged_beginning_is_taken_anew(settings, store, pipeline):
    first = learned(settings, store, pipeline, ["good", "bad", "best", "good"], 2, **PLUS)
    run = store.create_run({**first.config, "seed": 1}, parent=Parent(first.id, 1))
    worker = Engine(settings)
    worker.generate(run, lambda *_: None)
    file = checkpoint_folder(settings, run.id, 0) / "lora.safetensors"
    before = file.read_bytes()
    file.write_bytes(before[:-8])
    found = mend(settings, store, worker, run, lambda *_: None)
    assert [(each.what, each.mended) for each in found] == [
        ("the model that the run began with", True)
    ]
    assert file.read_bytes() == before
