"""The bundled judge, on renders that went through the bundled autoencoder."""

from types import ModuleType

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image

from tinyworld import damage, world
from tinyworld.bundled import PIPELINE
from tinyworld.data import to_bytes, to_tensor
from tinyworld.judge import Judge, heads_of_the_world
from tinyworld.judge_training import accuracy, decoded, encoded
from tinyworld.subjects import cat, hand, mountain, narcissus, rose
from tinyworld.tasks import Task, UnknownPrompt

PROMPT = "photo of one blue rose in a vase"
UNSEEN = 90_000


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.load()


@pytest.fixture(scope="module")
def autoencoder() -> AutoencoderKL:
    return AutoencoderKL.from_pretrained(PIPELINE / "vae", torch_dtype=torch.float32)


def _hands(fingers: str, count: int, flawed: bool = False) -> list[Image.Image]:
    return [
        hand.draw({"fingers": fingers}, np.random.default_rng((UNSEEN, index)), flawed)
        for index in range(count)
    ]


def test_the_judge_is_right_on_renders_through_the_autoencoder(
    judge: Judge, autoencoder: AutoencoderKL
) -> None:
    scenes = [(scene.subject, scene.attributes, scene.image) for scene in world.scenes(400, UNSEEN)]
    shares = accuracy(judge, autoencoder, scenes)
    assert set(shares) == set(heads_of_the_world())
    assert min(shares.values()) >= 0.98, shares


def test_success_wants_every_condition(judge: Judge) -> None:
    right = {"count": "1", "colour": "blue", "vase": "yes"}
    wrong = [{"count": "2"}, {"colour": "purple"}, {"vase": "no"}]
    images = [
        rose.draw({**right, **change}, np.random.default_rng(index))
        for index, change in enumerate([{}, *wrong])
    ]
    assert judge.success(images, PROMPT) == [True, False, False, False]
    assert judge.success(images, "photo of one blue rose") == [True, False, False, True]
    assert judge.success(images, "1 hand") == [False] * 4


def test_only_five_fingers_make_a_hand(judge: Judge) -> None:
    images = [_hands(fingers, 1)[0] for fingers in hand.FINGERS]
    assert judge.success(images, "1 hand") == [fingers == "5" for fingers in hand.FINGERS]


@pytest.mark.parametrize(
    ("subject", "right", "wrong"),
    [
        (
            cat,
            {"colour": "black", "count": "1", "place": "inside", "box": "sound"},
            [
                {"colour": "grey"},
                {"count": "2"},
                {"place": "beside"},
                {"place": "through"},
                {"box": "broken"},
            ],
        ),
        (
            narcissus,
            {"kind": "flower", "reflection": "consistent"},
            [{"kind": "person"}, {"reflection": "missing"}, {"reflection": "other"}],
        ),
        (
            mountain,
            {"view": "window", "rails": "functional", "scenery": "green"},
            [{"view": "open"}, {"view": "train"}, {"view": "hill"}, {"rails": "bent"}],
        ),
    ],
)
def test_each_way_to_fail_is_told_from_success(
    judge: Judge, subject: ModuleType, right: dict[str, str], wrong: list[dict[str, str]]
) -> None:
    prompt = next(iter(subject.SUBJECT.tasks))
    images = [
        subject.draw({**right, **change}, np.random.default_rng((UNSEEN, seed)))
        for change in ({}, *wrong)
        for seed in range(12)
    ]
    found = np.array(judge.success(images, prompt)).reshape(-1, 12).mean(1)
    assert found[0] >= 0.9
    assert found[1:].max() <= 0.1, dict(zip(map(str, wrong), found[1:], strict=True))


def test_conditions_of_ones_own_can_be_judged(judge: Judge) -> None:
    stamped = [scene for scene in world.scenes(60, UNSEEN) if scene.attributes["stamp"] == "yes"]
    plain = [scene for scene in world.scenes(60, UNSEEN) if scene.attributes["stamp"] == "no"]
    undated = Task("any photo", {"stamp": "no"})
    assert not any(judge.success([scene.image for scene in stamped], undated))
    assert all(judge.success([scene.image for scene in plain], undated))


def test_smeared_hands_are_no_success_and_of_lower_quality(
    judge: Judge, autoencoder: AutoencoderKL
) -> None:
    sound = _hands("5", 24)
    pixels = np.stack([np.asarray(image) for image in sound])
    blurred = to_bytes(damage.blurred(to_tensor(pixels), 2.5))
    grown_together = decoded(
        autoencoder,
        encoded(autoencoder, np.stack([np.asarray(image) for image in _hands("5", 24, True)])),
    )
    quality = np.mean(judge.quality(sound, "1 hand"))
    assert np.mean(judge.success(sound, "1 hand")) > 0.9
    for spoiled in (blurred, grown_together):
        images = [Image.fromarray(image) for image in spoiled]
        assert np.mean(judge.success(images, "1 hand")) < 0.15
        assert np.mean(judge.quality(images, "1 hand")) < quality - 2


def test_noise_is_no_success(judge: Judge) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    images = [Image.fromarray(image) for image in noise]
    assert not any(judge.success(images, PROMPT))
    assert not any(judge.success(images, "1 hand"))


def test_an_answer_depends_on_the_image_alone(judge: Judge) -> None:
    images = [scene.image for scene in world.scenes(20, UNSEEN)]
    together = judge.quality(images, PROMPT)
    alone = [judge.quality([image], PROMPT)[0] for image in images]
    assert together == pytest.approx(alone, abs=1e-4)
    assert judge.success(images, PROMPT) == [judge.success([image], PROMPT)[0] for image in images]


def test_larger_pictures_are_brought_to_size(judge: Judge) -> None:
    image = _hands("5", 1)[0]
    large = image.resize((256, 256), Image.Resampling.NEAREST)
    assert judge.quality([large], "1 hand") == judge.quality([image], "1 hand")


def test_an_unknown_prompt_is_refused(judge: Judge) -> None:
    with pytest.raises(UnknownPrompt, match="1 hand"):
        judge.success([], "a green cow")
