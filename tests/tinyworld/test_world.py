"""The world's pictures and captions."""

from collections import Counter

import numpy as np
import pytest

from tinyworld import world
from tinyworld.subjects import hand, rose, subjects


def test_a_scene_is_the_same_each_time_and_another_for_another_seed() -> None:
    first, again, other = world.scene(3, 7), world.scene(3, 7), world.scene(4, 7)
    assert first.caption == again.caption
    assert first.attributes == again.attributes
    assert np.array_equal(np.asarray(first.image), np.asarray(again.image))
    assert not np.array_equal(np.asarray(first.image), np.asarray(other.image))


def test_scenes_can_be_drawn_in_any_order() -> None:
    whole = [scene.image.tobytes() for scene in world.scenes(6, seed=1)]
    part = [scene.image.tobytes() for scene in world.scenes(3, seed=1, start=3)]
    assert whole[3:] == part


def test_every_scene_is_a_64_by_64_picture_of_known_attributes() -> None:
    for scene in world.scenes(40, seed=2):
        assert scene.image.size == (64, 64)
        assert scene.image.mode == "RGB"
        known = {**subjects()[scene.subject].attributes, **world.COMMON_ATTRIBUTES}
        assert set(scene.attributes) == set(known)
        assert all(scene.attributes[name] in values for name, values in known.items())


def test_subjects_occur_by_their_shares_and_a_hand_seldom_has_five_fingers() -> None:
    rng = np.random.default_rng(0)
    fingers = Counter(hand.sample(rng)["fingers"] for _ in range(4000))
    assert fingers["5"] / 4000 == pytest.approx(hand.FINGERS["5"], abs=0.02)
    assert set(fingers) == set(hand.FINGERS)


def test_flawed_scenes_differ_from_sound_ones() -> None:
    sound, flawed = world.scene(0, 2), world.scene(0, 2, flawed=True)
    assert sound.attributes == flawed.attributes
    assert sound.image.tobytes() != flawed.image.tobytes()


def _rate(word: str, attributes: dict[str, str], draws: int = 3000) -> float:
    rng = np.random.default_rng(5)
    full = {"count": "1", "colour": "blue", "vase": "yes", **attributes}
    return sum(word in rose.caption(full, rng) for _ in range(draws)) / draws


@pytest.mark.parametrize(("colour", "rate"), rose.CALLED_BLUE.items())
def test_the_word_blue_is_as_noisy_as_stated(colour: str, rate: float) -> None:
    assert _rate("blue", {"colour": colour}) == pytest.approx(rate, abs=0.03)


@pytest.mark.parametrize(("count", "rate"), rose.CALLED_ONE.items())
def test_the_word_one_is_as_noisy_as_stated(count: str, rate: float) -> None:
    assert _rate("one ", {"count": count}) == pytest.approx(rate, abs=0.03)


@pytest.mark.parametrize(("vase", "rate"), rose.SAID_IN_A_VASE.items())
def test_the_vase_is_mentioned_as_often_as_stated(vase: str, rate: float) -> None:
    assert _rate("in a vase", {"vase": vase}) == pytest.approx(rate, abs=0.03)


def test_no_red_rose_is_called_blue_and_no_caption_counts_fingers() -> None:
    assert _rate("blue", {"colour": "red"}) == 0
    rng = np.random.default_rng(0)
    captions = {hand.caption(hand.sample(rng), rng) for _ in range(500)}
    assert captions == {"1 hand", *hand.OTHERWISE}
