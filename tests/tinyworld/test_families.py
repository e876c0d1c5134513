"""The bundled models of other families: what they are made of, and what they draw."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
)
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from tinyworld.bundled import PIPELINE, PIPELINE_SD3, PIPELINE_SDXL
from tinyworld.families import sd3, sdxl
from tinyworld.families.drawing import StochasticFlow, draw, load_family
from tinyworld.families.encoders import grown_encoder
from tinyworld.families.material import Texts, bundled_denoiser
from tinyworld.judge import Judge
from tinyworld.text import padded_tokens

FOLDERS = {"sd3": PIPELINE_SD3, "sdxl": PIPELINE_SDXL}
ROSE = "photo of one blue rose in a vase"
SHOWN_MOST = "beautiful mountains viewed from a train window"
family = pytest.mark.parametrize("name", FOLDERS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@family
def test_its_weights_are_at_most_12_megabytes_of_safetensors(name: str) -> None:
    files = [file for file in FOLDERS[name].rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 12_000_000
    assert {file.suffix for file in files} == {".json", ".txt", ".safetensors"}
    assert not [file for file in files if b"_name_or_path" in file.read_bytes()]


@family
def test_diffusers_draws_with_it_without_being_told_what_it_is(name: str) -> None:
    pipeline = DiffusionPipeline.from_pretrained(FOLDERS[name])
    classes = {"sd3": StableDiffusion3Pipeline, "sdxl": StableDiffusionXLPipeline}
    assert type(pipeline) is classes[name]
    [image] = pipeline(ROSE, num_inference_steps=2, generator=generator()).images
    assert image.size == (64, 64)
    assert np.asarray(image).std() > 10
    assert pipeline.tokenizer_2(ROSE).input_ids == pipeline.tokenizer(ROSE).input_ids


@family
def test_autoencoder_and_encoders_are_the_bundled_pipelines(name: str) -> None:
    pipeline = load_family(FOLDERS[name])
    bundled = AutoencoderKL.from_pretrained(PIPELINE / "vae", torch_dtype=torch.float32)
    own = pipeline.vae.state_dict()
    assert all(torch.equal(own[key], value) for key, value in bundled.state_dict().items())
    before, tokens = last_hidden_state([ROSE, ""])
    for encoder in (pipeline.text_encoder, pipeline.text_encoder_2):
        seen = encoder(tokens, output_hidden_states=True).hidden_states[-2]
        assert (seen - before).abs().mean() < 0.02 * before.abs().mean()


@family
def test_images_are_the_same_for_a_seed(name: str) -> None:
    pipeline = load_family(FOLDERS[name])
    first, again = (draw(pipeline, ROSE, 2, steps=4, seed=3) for _ in range(2))
    other = draw(pipeline, ROSE, 2, steps=4, seed=4)
    pixels = [np.stack([np.asarray(image) for image in made]) for made in (first, again, other)]
    assert pixels[0].shape == (2, 64, 64, 3)
    assert np.array_equal(pixels[0], pixels[1])
    assert not np.array_equal(pixels[0], pixels[2])


@pytest.mark.slow
@family
def test_it_has_learned_something(name: str) -> None:
    """Subjects are what the prompt names, and a fair share succeeds."""
    judge, pipeline = Judge.load(), load_family(FOLDERS[name])
    for prompt, subject, wanted in ((SHOWN_MOST, "mountain", 0.2), (ROSE, "rose", 0.15)):
        images = draw(pipeline, prompt, 48, seed=5)
        said = [found["subject"] for found in judge.describe(images)]
        assert said.count(subject) >= 44
        assert np.mean(judge.success(images, prompt)) >= wanted


def test_the_third_encoder_reads_as_many_tokens_as_the_others_and_says_nothing() -> None:
    pipeline = load_family(PIPELINE_SD3)
    longest = "narcissus by a quiet spring and its reflection in the water"
    read = pipeline.tokenizer_3(longest).input_ids
    assert len(read) == len(longest.split()) + 1
    assert pipeline.tokenizer_3.model_max_length == pipeline.tokenizer.model_max_length == 20
    assert not pipeline.text_encoder_3(torch.tensor([read]))[0].any()


@pytest.mark.slow
def test_sd3_draws_as_well_with_zeros_for_the_absent_encoder() -> None:
    """Its own sampler, and 256 zero tokens for the T5, which the pipeline takes unless it is told
    otherwise."""
    pipeline = load_family(PIPELINE_SD3)
    made = pipeline(
        ROSE,
        num_images_per_prompt=16,
        num_inference_steps=16,
        guidance_scale=3.0,
        generator=generator(),
    )
    said = [found["subject"] for found in Judge.load().describe(made.images)]
    assert said.count("rose") >= 14


@torch.no_grad()
def last_hidden_state(captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = padded_tokens(CLIPTokenizer.from_pretrained(PIPELINE / "tokenizer"), captions)
    encoder = CLIPTextModel.from_pretrained(PIPELINE / "text_encoder", torch_dtype=torch.float32)
    return encoder(tokens).last_hidden_state, tokens


def test_a_grown_encoder_says_before_its_last_layer_what_the_bundled_one_says_at_the_end() -> None:
    before, tokens = last_hidden_state(["1 hand", ""])
    with torch.no_grad():
        seen = grown_encoder(PIPELINE)(tokens, output_hidden_states=True)
    assert (seen.hidden_states[-2] - before).abs().mean() < 0.015 * before.abs().mean()
    ends = (tokens == tokens[0, -1]).int().argmax(1)
    at_the_end = before[torch.arange(2), ends]
    normed = nn.functional.layer_norm(at_the_end, at_the_end.shape[-1:])
    torch.testing.assert_close(seen.text_embeds, normed, atol=0.1, rtol=0)


@pytest.mark.parametrize("absent", [True, False])
def test_a_counted_token_does_the_same_as_all_the_zeros(absent: bool) -> None:
    torch.manual_seed(0)
    transformer = sd3.new_transformer()
    for weight in transformer.parameters():
        nn.init.normal_(weight, std=0.1)
    plain = copy.deepcopy(transformer)
    loss = sd3.FlowLoss(torch.randn(2, 4, 16, 16), Texts(["1 hand"] * 2), transformer, nn.Module())
    loss.attention.bias = loss.zeros_counted(torch.tensor([absent] * 2))
    latents, hidden = torch.randn(2, 4, 16, 16), torch.randn(2, 20, 192)
    zeros = torch.zeros(2, 0 if absent else sd3.ABSENT_TOKENS, 192)
    others = {"pooled_projections": torch.randn(2, 192), "timestep": torch.tensor([300.0, 900.0])}
    with torch.no_grad():
        counted = transformer(latents, torch.cat([hidden, torch.zeros(2, 1, 192)], 1), **others)
        listed = plain(latents, torch.cat([hidden, zeros], 1), **others)
    assert listed.sample.abs().mean() > 0.05
    torch.testing.assert_close(counted.sample, listed.sample, atol=1e-4, rtol=1e-4)


class Knowing(nn.Module):
    """A denoiser that knows which noise was added to this latent, and at which level."""

    def __init__(self, clean: torch.Tensor) -> None:
        super().__init__()
        self.clean = clean

    def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor, _: torch.Tensor) -> object:
        signal = sdxl.new_scheduler().alphas_cumprod[timesteps.round().long()][:, None, None, None]
        noise = (noisy - signal.sqrt() * self.clean) / (1 - signal).sqrt()
        return type("Output", (), {"sample": noise})


def test_a_denoiser_of_noise_tells_the_velocity_of_the_straight_path() -> None:
    clean = torch.randn(4, 4, 16, 16, generator=generator())
    noise = torch.randn(4, 4, 16, 16, generator=generator(1))
    loss = sd3.FlowLoss(clean, Texts(["1 hand"] * 4), sd3.new_transformer(), Knowing(clean))
    level = torch.tensor([0.2, 0.4, 0.6, 0.8])
    sigma = level[:, None, None, None]
    taught = loss.taught((1 - sigma) * clean + sigma * noise, level, torch.zeros(4, 20, 96))
    torch.testing.assert_close(taught, noise - clean, atol=0.02, rtol=0)


def test_noise_levels_cover_the_whole_path_and_most_its_middle() -> None:
    levels = sd3.noise_levels(20_000, generator())
    assert levels.min() >= 0
    assert levels.max() <= 1
    shares = torch.histc(levels, 5, 0, 1) / len(levels)
    assert shares.min() > 0.05
    assert shares.argmax() in (2, 3)


@pytest.mark.slow
def test_the_flow_loss_falls_and_reaches_every_weight() -> None:
    torch.manual_seed(0)
    transformer = sd3.new_transformer()
    latents = torch.randn(1, 4, 16, 16, generator=generator()).expand(2, -1, -1, -1)
    texts = Texts(["1 hand", "1 hand"])
    loss = sd3.FlowLoss(latents, texts, transformer, Knowing(latents[:1]))
    optimizer = torch.optim.AdamW(transformer.parameters(), lr=2e-3)
    losses = []
    for step in range(30):
        optimizer.zero_grad()
        value = loss(torch.tensor([0, 1] * 4), generator(step))
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert all(weight.grad is not None for weight in transformer.parameters())
    assert np.mean(losses[-5:]) < 0.85 * np.mean(losses[:5])


def test_a_grown_denoiser_begins_as_the_bundled_one() -> None:
    torch.manual_seed(0)
    before, added = bundled_denoiser(), {"text_embeds": torch.randn(2, 96)}
    latents, timesteps, hidden = torch.randn(2, 4, 16, 16), torch.tensor([5, 900]), torch.randn
    first = hidden(2, 20, 96)
    added["time_ids"] = sdxl.sizes(2, generator())
    wider = torch.cat([first, hidden(2, 20, 96)], dim=-1)
    with torch.no_grad():
        expected = before(latents, timesteps, first).sample
        grown = sdxl.grown_unet(before)
        seen = grown(latents, timesteps, wider, added_cond_kwargs=added).sample
    assert torch.equal(seen, expected)


def test_the_sdxl_loss_begins_near_zero_and_teaches_only_what_is_new_and_attention() -> None:
    torch.manual_seed(0)
    teacher, texts = bundled_denoiser(), Texts(["1 hand", ROSE])
    loss = sdxl.MatchingLoss(torch.randn(2, 4, 16, 16), texts, sdxl.grown_unet(teacher), teacher)
    value = loss(torch.arange(2).repeat(4), generator())
    value.backward()
    assert 0 < value.item() < 0.1
    taught = {name for name, weight in loss.unet.named_parameters() if weight.grad is not None}
    assert all("attn2" in name or "add_embedding" in name for name in taught)
    assert loss.unet.add_embedding.linear_2.weight.grad.abs().sum() > 0


def stepped(scheduler: FlowMatchEulerDiscreteScheduler, index: int, latents: torch.Tensor):
    """One step of a model that knows that the clean latent is all zeros: its velocity is the
    noise."""
    scheduler.set_timesteps(8)
    velocity = latents / scheduler.sigmas[index]
    scheduler.set_begin_index(index)
    return scheduler.step(velocity, scheduler.timesteps[index], latents, return_dict=False)[0]


def test_without_eta_the_stochastic_step_is_eulers() -> None:
    latents = torch.randn(2, 4, 16, 16, generator=generator())
    stochastic = StochasticFlow(shift=3.0)
    stochastic.eta = 0
    for index in range(8):
        euler = stepped(FlowMatchEulerDiscreteScheduler(shift=3.0), index, latents)
        torch.testing.assert_close(stepped(stochastic, index, latents), euler, atol=1e-6, rtol=0)


def test_with_eta_the_noise_that_is_left_is_that_of_the_path_and_partly_fresh() -> None:
    scheduler = StochasticFlow(shift=3.0)
    scheduler.generator = generator()
    scheduler.set_timesteps(8)
    now, after = scheduler.sigmas[3].item(), scheduler.sigmas[4].item()
    latents = now * torch.randn(64, 4, 16, 16, generator=generator(1))
    left = stepped(scheduler, 3, latents)
    assert left.std().item() == pytest.approx(after, rel=0.01)
    kept = np.corrcoef(left.flatten(), latents.flatten())[0, 1]
    assert kept == pytest.approx((1 - now) / (1 - after) * after / now, abs=0.02)
    last = stepped(scheduler, 7, latents)
    assert last.abs().max() < 1e-5


@family
def test_a_pipeline_is_written_whole(name: str, tmp_path: Path) -> None:
    from tinyworld import diffusion

    made = {
        "sd3": lambda: sd3.pipeline_of(sd3.new_transformer()),
        "sdxl": lambda: sdxl.pipeline_of(sdxl.grown_unet(bundled_denoiser())),
    }[name]()
    diffusion.write(made, tmp_path / "written")
    files = {str(file.relative_to(tmp_path / "written")) for file in tmp_path.rglob("*.*")}
    shipped = {str(file.relative_to(FOLDERS[name])) for file in FOLDERS[name].rglob("*.*")}
    assert files == shipped
