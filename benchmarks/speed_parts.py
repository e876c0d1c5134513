"""What `benchmarks.speed` times: each part of an epoch, and what others do in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from hero_engine.config import RunConfig
from hero_engine.diffusion.sampling import Transitions, draw_trained_steps
from hero_engine.feedback.embedding import train_embedding
from hero_engine.methods import policy_gradient
from hero_engine.methods.hero import Hero
from hero_engine.models.drawing import Streams, draw

PEERS = {"1 / 1": 1, "8 / 2": 2, "8 / 4": 4}
"""Images in one forward pass of the update, by how the loops of ddpo-pytorch and sony/hero are set
(sampling / update): both take one step after the other."""
BARE_BATCHES = (1, 8, 16, 32)
"""Images in one forward pass of diffusers' own pipeline."""

Accumulate = Callable[[Transitions, Tensor], None]
"""Adds the gradient of a minibatch with these advantages."""


class Bench:
    """A HERO run whose LoRA is no longer zero, and its batch."""

    def __init__(self, config: RunConfig) -> None:
        self.hero = Hero(config)
        if not isinstance(self.hero.policy.pipe, StableDiffusionPipeline):
            raise SystemExit(
                f"{config.model.name} is a {type(self.hero.policy.pipe).__name__}; give a Stable "
                "Diffusion 1.x or 2.x model, whose parts are the ones that are timed."
            )
        self.pipe = self.hero.policy.pipe
        torch.manual_seed(0)
        for parameter in self.hero.policy.parameters:
            torch.nn.init.normal_(parameter, std=0.02)
        n = config.images_per_epoch
        self.noises = torch.randn(n, *self.hero.policy.latent_shape)
        self.evaluations = 0
        self.hero.policy.network.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(
        self, module: torch.nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any]
    ) -> None:
        self.evaluations += len(args[0])

    def ours(self) -> Transitions:
        """Sampling with the transitions that learning needs, as `generate` does."""
        hero = self.hero
        steps = draw_trained_steps(
            hero.schedule, len(self.noises), hero.trained_steps, "random", torch.Generator()
        )
        drawn = draw(
            hero.policy,
            self.noises,
            Streams(hero.config.seed, 0, "sampling"),
            prompt=hero.config.prompt,
            trained_steps=steps,
            decode=False,
        )
        assert drawn.transitions is not None
        return drawn.transitions

    def bare(self, batch: int) -> None:
        """The same noises by diffusers' own pipeline, which keeps nothing."""
        config, sampling = self.hero.config, self.hero.config.sampling
        for part in self.noises.split(batch):
            self.pipe(
                config.prompt,
                num_images_per_prompt=len(part),
                num_inference_steps=sampling.num_inference_steps,
                guidance_scale=sampling.guidance_scale,
                eta=sampling.eta,
                latents=part,
                generator=torch.Generator(),
                output_type="latent",
            )

    def embed(self) -> None:
        """One epoch's training of E, half of the images good."""
        settings, half = self.hero.settings, len(self.noises) // 2
        train_embedding(
            self.hero.embedding,
            self.noises[0],
            self.noises[:half],
            self.noises[half:],
            steps=settings.embedding_steps,
            learning_rate=settings.embedding_lr,
            batch_size=settings.embedding_batch_size,
            margin=settings.margin,
            generator=torch.Generator(),
        )

    def one_step_at_a_time(self, images: int) -> Accumulate:
        """The gradient of a minibatch's mean loss, so many images and one step in a pass: the
        reference."""
        return lambda transitions, advantages: self._in_loops(images, transitions, advantages)

    def _in_loops(self, images: int, transitions: Transitions, advantages: Tensor) -> None:
        hero, clip_range = self.hero, self._clip_range
        denoise = self._whole
        for rows in torch.arange(len(transitions)).split(images):
            for step in range(transitions.steps.shape[1]):
                pairs = policy_gradient.flatten_pairs(transitions[rows[:, None], [[step]]])
                log_probs = policy_gradient.pair_log_probs(
                    denoise, hero.schedule, pairs, hero.policy.device
                )
                losses, _ = policy_gradient.clipped_losses(
                    log_probs, pairs.log_prob, advantages[rows], clip_range
                )
                (losses.sum() / transitions.steps.numel()).backward()

    def _whole(self, z_t: Tensor, timesteps: Tensor) -> Tensor:
        """The guided prediction of the batch as it is, which is never taken in halves."""
        policy, prompt = self.hero.policy, self.hero.config.prompt
        scale = self.hero.config.sampling.guidance_scale
        return policy.family.predict(z_t, timesteps, policy.condition(prompt), scale)

    def batched(self, transitions: Transitions, advantages: Tensor) -> None:
        """The same gradient, several (image, step) pairs in a forward pass: ours."""
        hero = self.hero
        policy_gradient.accumulate_gradient(
            hero.policy.denoiser(hero.config.prompt),
            hero.schedule,
            transitions,
            advantages,
            hero.policy.parameters,
            clip_range=self._clip_range,
            forward_batch_size=hero.settings.latents_at_once,
        )

    @property
    def _clip_range(self) -> float:
        return policy_gradient.scaled_clip_range(
            self.hero.settings.clip_range, self.noises[0].numel()
        )

    def gradient(self, accumulate: Accumulate, transitions: Transitions) -> Tensor:
        """What `accumulate` adds up for the first minibatch."""
        rows = slice(0, self.hero.settings.minibatch_size)
        self.hero.optimizer.zero_grad()
        accumulate(transitions[rows], torch.linspace(-1, 1, len(transitions))[rows])
        gradients = [parameter.grad for parameter in self.hero.policy.parameters]
        return torch.cat([each.flatten() for each in gradients if each is not None])

    def update(self, accumulate: Accumulate, transitions: Transitions) -> None:
        """One pass over the batch, from the same policy each time."""
        hero, advantages = self.hero, torch.linspace(-1, 1, len(transitions))
        lora = hero.policy.lora_state()
        for rows in torch.arange(len(transitions)).split(hero.settings.minibatch_size):
            hero.optimizer.zero_grad()
            accumulate(transitions[rows], advantages[rows])
            torch.nn.utils.clip_grad_norm_(hero.policy.parameters, hero.config.lora.max_grad_norm)
            hero.optimizer.step()
        hero.policy.load_lora_state(lora)
