"""A prompt is encoded once, wherever the text encoders lie; other samplers are given it encoded."""

import pytest
import torch

from hero_engine.models.drawing import Streams, draw
from hero_engine.models.encoding import pipeline_for_encoded
from hero_engine.models.families import FAMILIES
from hero_engine.models.policy import Policy
from tests.hero_engine.tiny import MAKERS
from tests.hero_engine.tiny.qwen_image import save_qwen_image

STREAMS = Streams(3, 0, "sampling")
EVERY = (*MAKERS, "qwen_image")


@pytest.fixture(scope="module")
def folders(pipelines, tmp_path_factory):
    qwen_image = save_qwen_image(tmp_path_factory.mktemp("qwen") / "image")
    return {**pipelines, "qwen_image": qwen_image}


def test_every_family_is_tried_here():
    assert len(EVERY) == len(FAMILIES)


def test_a_prompt_is_encoded_once_and_a_new_one_when_it_comes(make_config, monkeypatch):
    policy = Policy(make_config(negative_prompt="bad", memory="low"))
    encoded, encode = [], policy.family.encode
    monkeypatch.setattr(policy.family, "encode", lambda *a: encoded.append(a) or encode(*a))
    for prompt in ("one rose", "two roses", "one rose"):
        policy.denoiser(prompt)
        policy.denoiser(prompt, guided=False)
    cpu = torch.device("cpu")
    assert encoded == [
        (prompt, negative, cpu)
        for prompt in ("one rose", "two roses")
        for negative in ("bad", None)
    ]


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_other_samplers_draw_as_if_the_pipeline_encoded(
    folders, make_config, family, guidance_scale
):
    config = make_config(
        model=str(folders[family]), negative_prompt="two cats", guidance_scale=guidance_scale
    )
    policy = Policy(config)
    noises = torch.randn(2, *policy.latent_shape, generator=torch.Generator().manual_seed(0))
    ours = draw(policy, noises, STREAMS, prompt="one rose", scheduler="euler", decode=False)
    arguments = policy.family.call_arguments("one rose", "two cats", noises, guidance_scale)
    theirs = policy.family.pipeline("euler")(
        **arguments, num_inference_steps=config.sampling.num_inference_steps
    ).images
    assert torch.equal(ours.latents, policy.family.spatial(theirs))


def test_a_pipeline_for_encoded_prompts_has_no_encoders_and_the_model_keeps_its_own(
    pipelines, make_config
):
    policy = Policy(make_config(model=str(pipelines["sd3"]), memory="low"))
    pipe = pipeline_for_encoded(policy.family, "euler")
    names = list(policy.family.encoders)
    assert names == ["text_encoder", "text_encoder_2", "text_encoder_3"]
    assert [getattr(pipe, name) for name in names] == [None] * 3
    assert all(getattr(policy.pipe, name) is not None for name in names)
    assert pipe.transformer is policy.network
