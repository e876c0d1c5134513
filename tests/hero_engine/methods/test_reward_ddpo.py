import pytest
import torch
from PIL import Image
from transformers import CLIPModel, CLIPProcessor

from hero_engine.errors import ModelNotFound, RewardError
from hero_engine.methods.base import Method
from hero_engine.methods.reward_ddpo import RewardDdpo, checked
from hero_engine.methods.reward_models import pickscore
from hero_engine.storage.batch import Feedback
from tests.hero_engine.tiny.clip import save_clip

HALF_GOOD = Feedback(good=(True, False) * 4, best=2)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip"))


def noise_images(n):
    pixels = torch.randint(0, 255, (n, 16, 16, 3), generator=torch.Generator().manual_seed(0))
    return [Image.fromarray(image.to(torch.uint8).numpy()) for image in pixels]


def test_pickscore_is_clips_scaled_similarity(clip):
    images = noise_images(3)
    scores = pickscore(str(clip))(images, ["one rose", "one rose", "two cats in a very long row"])
    model, processor = CLIPModel.from_pretrained(clip), CLIPProcessor.from_pretrained(clip)
    with torch.no_grad():
        inputs = processor(images=images, text=["one rose"] * 3, return_tensors="pt", padding=True)
        out = model(**inputs)
    similarity = torch.nn.functional.cosine_similarity(out.image_embeds, out.text_embeds)
    expected = (model.logit_scale.exp() * similarity).tolist()
    assert scores[:2] == pytest.approx(expected[:2], abs=1e-4)
    assert scores[2] != pytest.approx(expected[2], abs=1e-4)


def test_a_reward_by_name_needs_no_callable_and_resumes(clip, make_config, tmp_path):
    config = make_config(method="ddpo", reward_model="pickscore", reward_model_path=str(clip))
    run = Method.create(config)
    report = run.learn(run.generate(), HALF_GOOD)
    assert report.updated
    assert len(set(report.rewards)) > 1
    run.save(tmp_path / "checkpoint")
    assert isinstance(Method.resume(tmp_path / "checkpoint"), RewardDdpo)


def test_a_reward_model_that_is_none(tmp_path, make_config):
    fields = {"reward_model": "pickscore", "reward_model_path": str(tmp_path / "nothing")}
    with pytest.raises(ModelNotFound, match="set reward_model_path to the folder of a CLIP"):
        Method.create(make_config(method="ddpo", **fields))


def test_the_reward_decides_and_not_the_feedback(make_config):
    prompts = []

    def reward(images, given):
        prompts.extend(given)
        return torch.arange(8.0)

    loras = []
    for feedback in (HALF_GOOD, Feedback((None,) * 8), Feedback((False, True) * 4)):
        run = RewardDdpo(make_config(method="ddpo"), reward=reward)
        report = run.learn(run.generate(), feedback)
        assert report.rewards == list(range(8))
        loras.append(torch.cat([v.flatten() for v in run.policy.lora_state().values()]))
    assert torch.equal(loras[0], loras[1])
    assert torch.equal(loras[0], loras[2])
    assert report.reward_gap == pytest.approx(1.0)
    assert prompts[:8] == ["one rose"] * 8


@pytest.mark.parametrize(
    ("rewards", "message"),
    [([1.0, 2.0], "gave 2 numbers for 3 images"), ([1.0, float("nan"), 0.0], "image 1 is nan")],
)
def test_rewards_that_cannot_be_used(rewards, message):
    with pytest.raises(RewardError, match=message):
        checked(rewards, 3)
