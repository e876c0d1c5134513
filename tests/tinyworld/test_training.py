"""The training's parts, on a few images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import CLIPTokenizer

from tinyworld import autoencoder, diffusion, fitting
from tinyworld.data import rendered, to_bytes, to_tensor
from tinyworld.judge import Judge, heads_of_the_world
from tinyworld.judge_training import IGNORED, targets
from tinyworld.text import (
    MAX_LENGTH,
    grown_text_encoder,
    new_text_encoder,
    new_tokenizer,
    words,
)


def test_bytes_survive_the_way_to_tensors_and_back() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    assert np.array_equal(to_bytes(to_tensor(images)), images)


@pytest.mark.slow
def test_a_world_is_drawn_once(tmp_path: Path) -> None:
    first = rendered(tmp_path, 1000, seed=0)
    stamp = (tmp_path / "world-0-1000.npy").stat().st_mtime_ns
    again = rendered(tmp_path, 1000, seed=0)
    assert (tmp_path / "world-0-1000.npy").stat().st_mtime_ns == stamp
    assert np.array_equal(first.images[5], again.images[5])
    assert first.captions() == again.captions()


def test_standardised_latents_decode_to_the_same_images() -> None:
    torch.manual_seed(0)
    vae = autoencoder.new_autoencoder().eval()
    images = torch.rand(8, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        before = vae.decode(vae.encode(images).latent_dist.mean).sample
        noise = vae.encode(images).latent_dist.std / vae.encode(images).latent_dist.mean.std(
            (0, 2, 3), keepdim=True
        )
        autoencoder.standardise(vae, images)
        posterior = vae.encode(images).latent_dist
        torch.testing.assert_close(vae.decode(posterior.mean).sample, before, atol=1e-4, rtol=0)
        torch.testing.assert_close(posterior.std, noise, atol=1e-4, rtol=1e-3)
    assert posterior.mean.mean((0, 2, 3)).tolist() == pytest.approx([0] * 4, abs=1e-4)
    assert posterior.mean.std((0, 2, 3)).tolist() == pytest.approx([1] * 4, abs=1e-4)


def test_every_word_of_the_world_is_one_token() -> None:
    tokenizer = new_tokenizer()
    assert all(len(tokenizer(word).input_ids) == 3 for word in words())
    assert tokenizer.model_max_length == MAX_LENGTH


def test_a_grown_vocabulary_keeps_what_known_words_mean(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = new_tokenizer()
    before = new_text_encoder(tokenizer)
    before.save_pretrained(tmp_path / "text_encoder")
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    turned = {token: len(tokenizer) - 1 - index for token, index in tokenizer.get_vocab().items()}
    grown = grown_text_encoder(_Vocabulary(tokenizer, {**turned, "new</w>": len(turned)}), tmp_path)
    old, new = (model.get_input_embeddings().weight for model in (before, grown))
    assert len(new) == len(old) + 1
    for token, index in turned.items():
        assert torch.equal(new[index], old[tokenizer.get_vocab()[token]])


class _Vocabulary:
    """A tokenizer as far as a text encoder's embeddings ask it."""

    def __init__(self, tokenizer: CLIPTokenizer, vocabulary: dict[str, int]) -> None:
        self.bos_token_id = tokenizer.bos_token_id
        self.eos_token_id = tokenizer.eos_token_id
        self.pad_token_id = tokenizer.pad_token_id
        self._vocabulary = vocabulary

    def __len__(self) -> int:
        return len(self._vocabulary)

    def get_vocab(self) -> dict[str, int]:
        return self._vocabulary


def test_the_denoising_loss_reaches_unet_and_text_encoder() -> None:
    torch.manual_seed(0)
    tokenizer = new_tokenizer()
    tokens = tokenizer(["1 hand", "photo of one blue rose"], padding="max_length").input_ids
    loss = diffusion.DenoisingLoss(
        torch.randn(2, 4, 16, 16).half(),
        torch.tensor(tokens),
        torch.tensor(tokens[0]),
        new_text_encoder(tokenizer),
        diffusion.new_unet(),
    )
    value = loss(torch.tensor([0, 1]), torch.Generator().manual_seed(0))
    value.backward()
    assert value.item() > 0
    assert loss.unet.conv_in.weight.grad.abs().sum() > 0
    assert loss.text_encoder.get_input_embeddings().weight.grad.abs().sum() > 0


def test_targets_say_nothing_of_other_subjects_attributes() -> None:
    found = targets(["hand"], [{"fingers": "4", "stamp": "yes"}], clean=True)
    assert found["hand.fingers"].tolist() == [1]
    assert found["stamp"].tolist() == [1]
    assert found["rose.colour"].tolist() == [IGNORED]
    assert found["clean"].tolist() == [1]


def test_a_judge_is_stored_with_its_heads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    judge = Judge(heads_of_the_world())
    judge.save(tmp_path / "judge.safetensors")
    loaded = Judge.load(tmp_path / "judge.safetensors")
    assert loaded.values == judge.values
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(
        loaded(images)["subject"], judge(images)["subject"], atol=5e-3, rtol=0
    )


def test_the_learning_rate_rises_then_falls() -> None:
    plan = fitting.Plan("any", steps=1000, batch_size=2, learning_rate=1.0)
    rates = [fitting.learning_rate(plan, step) for step in (0, 99, 500, 999)]
    assert rates[0] == pytest.approx(0.01, abs=0.001)
    assert rates[1] > 0.97
    assert 0.45 < rates[2] < 0.55
    assert rates[3] == pytest.approx(0.02, abs=0.001)


class _Line(nn.Module):
    """The loss of a fit of one number."""

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(3.0))

    def forward(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return (self.number - indices.float().mean()).square()


def _fit(rank: int, folder: Path, steps: int) -> None:
    plan = fitting.Plan(
        "line", steps, batch_size=4, learning_rate=0.1, warmup=1, checkpoint_every=5
    )
    fitting.fit(rank, plan, _Line(), folder, seed=0, images=2)


@pytest.mark.slow
def test_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    fitting.in_ranks(_fit, tmp_path, 10)
    first = torch.load(tmp_path / "line.pt", weights_only=True)
    fitting.in_ranks(_fit, tmp_path, 15)
    second = torch.load(tmp_path / "line.pt", weights_only=True)
    assert (first["step"], second["step"]) == (10, 15)
    assert second["model"]["number"] != first["model"]["number"]
    record = fitting.minutes_and_losses(tmp_path, "line")
    assert record["steps"] == 15
