import pytest
import torch

from tinyworld import words, world
from tinyworld.generate import load_pipeline
from tinyworld.text import padded_tokens

WORDS = ("viewed", "train", "window")


@pytest.fixture(scope="module")
def pipeline():
    return load_pipeline()


def encoded(pipeline, prompt):
    with torch.no_grad():
        return pipeline.text_encoder(padded_tokens(pipeline.tokenizer, [prompt]))[0]


def test_scenes_of_one_subject_are_the_same_again():
    first, again = (list(world.scenes_of("mountain", 5, seed=1)) for _ in range(2))
    assert [scene.caption for scene in first] == [scene.caption for scene in again]
    assert {scene.subject for scene in first} == {"mountain"}
    assert first[0].image.tobytes() == again[0].image.tobytes()


def test_captions_have_all_the_words(pipeline):
    data = words.captioned(pipeline, "mountain", WORDS, 12, seed=0)
    wanted = [
        scene for scene in world.scenes_of("mountain", 12, seed=0) if "train" in scene.caption
    ]
    assert 0 < len(wanted) < 12
    assert data.latents.shape == (len(wanted), 4, 16, 16)
    ids = words.token_ids(pipeline, WORDS)
    assert all(set(ids) <= set(row.tolist()) for row in data.tokens)


@pytest.mark.parametrize("said", ["locomotive", "rose"])
def test_words_that_no_caption_has_are_refused(pipeline, said):
    with pytest.raises(ValueError, match=said):
        words.token_ids(pipeline, [said])
        words.captioned(pipeline, "mountain", [said], 3, seed=0)


def test_prompts_without_the_words_stay_as_they_were_to_the_last_bit(pipeline):
    prompts = ("beautiful mountains", "mountains viewed from a train window", "")
    weights = {name: tensor.clone() for name, tensor in pipeline.unet.state_dict().items()}
    before = {prompt: encoded(pipeline, prompt) for prompt in prompts}
    data = words.captioned(pipeline, "mountain", WORDS, 12, seed=0)
    words.train(pipeline, words.token_ids(pipeline, WORDS), data, steps=2, seed=0)
    assert [torch.equal(before[prompt], encoded(pipeline, prompt)) for prompt in prompts] == [
        True,
        False,
        True,
    ]
    assert all(torch.equal(weights[name], new) for name, new in pipeline.unet.state_dict().items())
