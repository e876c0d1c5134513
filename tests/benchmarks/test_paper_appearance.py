"""What images look like, by the judge and by published models with random weights."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from transformers import (
    BertTokenizerFast,
    BlipConfig,
    BlipForImageTextRetrieval,
    BlipImageProcessor,
    BlipProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
)

from benchmarks.paper.appearance import (
    MODELS,
    by_blip,
    by_clip,
    by_image_reward,
    by_judge,
    looks,
    margin,
)
from benchmarks.paper.rewards import REWARDS
from hero_engine.errors import ModelNotFound
from tests.tinyworld.bright import PROMPT
from tinyworld.bundled import PIPELINE
from tinyworld.judge import Judge

SMALL = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "projection_dim": 8,
}


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.load()


def test_a_margin_is_the_logit_less_its_best_rival_within_8() -> None:
    judge = SimpleNamespace(values={"colour": ["red", "blue", "white"]})
    logits = {"colour": torch.tensor([[1.0, 3.5, 2.0], [30.0, 0.0, 1.0]])}
    assert margin(judge, logits, "colour", "blue").tolist() == [1.5, -8.0]
    assert logits["colour"][0, 1] == 3.5


def test_the_judge_tells_diversity_alignment_and_quality(images, judge) -> None:
    same = by_judge(judge)([images[0]] * 4, PROMPT)
    assert set(same) == {"diversity_judge", "alignment_judge", "quality_judge"}
    assert same["diversity_judge"] == pytest.approx(0, abs=1e-6)
    assert by_judge(judge)(images[:8], PROMPT)["diversity_judge"] > 0


def test_the_general_reward_is_cleanness_whatever_the_prompt(images, judge) -> None:
    reward = REWARDS["cleanness"](judge)
    once, twice = (reward(images[:3], [prompt] * 3) for prompt in (PROMPT, "1 hand"))
    assert once == twice
    assert len(once) == 3


def test_clip_compares_images_with_each_other_and_with_the_prompt(tmp_path, images) -> None:
    vision = {**SMALL, "image_size": 32, "patch_size": 16}
    text = {**SMALL, "vocab_size": 1000, "max_position_embeddings": 20}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(
        tmp_path
    )
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    tokenizer = CLIPTokenizer.from_pretrained(PIPELINE, subfolder="tokenizer")
    CLIPProcessor(CLIPImageProcessor(**size), tokenizer).save_pretrained(tmp_path)
    found = by_clip(str(tmp_path))([images[0]] * 3, PROMPT)
    assert found["diversity_clip"] == pytest.approx(0, abs=1e-6)
    assert -1 <= found["alignment_clip"] <= 1


def test_blip_gives_the_probability_of_a_match(tmp_path: Path, images) -> None:
    vision = {**SMALL, "image_size": 32, "patch_size": 16}
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "rose", "blue"]
    text = {
        **SMALL,
        "vocab_size": len(words),
        "encoder_hidden_size": SMALL["hidden_size"],
        "max_position_embeddings": 64,
        "bos_token_id": 2,
        "sep_token_id": 3,
        "pad_token_id": 0,
    }
    config = BlipConfig(
        text_config=text, vision_config=vision, projection_dim=8, image_text_hidden_size=8
    )
    BlipForImageTextRetrieval(config).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizerFast(str(tmp_path / "vocab.txt"))
    processor = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(processor, tokenizer).save_pretrained(tmp_path)
    found = by_blip(str(tmp_path))(images[:2], PROMPT)
    assert 0 < found["alignment_blip"] < 1


def test_image_reward_is_asked_image_by_image(images, monkeypatch) -> None:
    def score(prompt: str, image: Image.Image) -> float:
        return image.width / 64

    package = SimpleNamespace(load=lambda path: SimpleNamespace(score=score))
    monkeypatch.setitem(sys.modules, "ImageReward", package)
    assert by_image_reward("weights")(images[:3], PROMPT) == {"quality_image_reward": 1.0}


def test_weights_that_are_not_there_are_an_error_that_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="CLIPModel"):
        by_clip(str(tmp_path))
    with pytest.raises(ModelNotFound, match="image-reward"):
        by_image_reward("weights")


def test_only_models_whose_weights_are_given_look_at_the_images(judge) -> None:
    assert len(looks(judge, {})) == 1
    assert set(MODELS) == {"clip", "blip", "image-reward"}
