"""One interface for every method: draw a batch, learn from what people said of it; again.

A method is a subclass in a small file of its own, named in `METHODS`. All of them draw the same
`Batch`, are told the same `Feedback`, and differ in `_learn`, in the noises that they draw from
and in what they have to remember.
"""

import contextlib
import importlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hero_engine.config import HeroConfig
from hero_engine.diffusion import sampling
from hero_engine.diffusion.sampling import Transitions
from hero_engine.errors import CheckpointError, FeedbackError, NoiseBankEmpty
from hero_engine.feedback.metrics import in_batch_diversity, success_rate
from hero_engine.feedback.noise_bank import NoiseBank
from hero_engine.feedback.reward import advantages
from hero_engine.methods import policy_gradient
from hero_engine.methods.lora_average import LoraAverage
from hero_engine.methods.reward_models import check_reward
from hero_engine.methods.rollback import StepBack
from hero_engine.models.drawing import OnImage, Samples, draw_samples
from hero_engine.models.export import export_lora, lora_metadata
from hero_engine.models.stable_diffusion import (
    Policy,
    check_model,
    device_for,
    load_schedule,
    prompt_warnings,
)
from hero_engine.report import OnProgress, Report, reporting
from hero_engine.storage.batch import Batch, Feedback
from hero_engine.storage.checkpoint import Checkpoint, load_optimizer_tensors, optimizer_tensors
from hero_engine.streams import stream

METHODS = {
    "hero": "hero_engine.methods.hero:Hero",
    "hero+": "hero_engine.methods.hero_plus:HeroPlus",
    "d3po": "hero_engine.methods.d3po:D3po",
    "ddpo": "hero_engine.methods.reward_ddpo:RewardDdpo",
    "dreambooth": "hero_engine.methods.dreambooth:DreamBooth",
    "prompt": "hero_engine.methods.enhanced_prompt:Prompt",
}
"""Where each `HeroConfig.method` lives; loaded when it is used."""


BEFORE = "before-"
"""Begins the names of a checkpoint's files that hold the model before its last update."""


class Method(ABC):
    """A run of one method between two epochs; `generate` and `learn` take it to the next.

    Interrupted calls change nothing that `save` has stored: resume from the checkpoint of the same
    epoch and call again, with the same result to the last bit on a CPU.
    """

    def __init__(self, config: HeroConfig) -> None:
        self.config = config
        self.epoch = 0
        self.policy = Policy(config)
        self.schedule = self.policy.schedule(config)
        self.trained_steps = self.schedule.check_trainable(config.trained_steps)
        self.optimizer = adamw(self.policy.parameters, config)
        self.step_back = StepBack(config.step_back_drop)
        self.average: LoraAverage | None = None
        """What is sampled from and exported instead of the LoRA, if `lora_ema_decay` says so."""
        if config.lora_ema_decay:
            self.average = LoraAverage(self.policy.parameters, config.lora_ema_decay)
            self.average.follow(self.optimizer)
        self.bank: NoiseBank | None = None
        """The noises of good images; None before there are any, and where the method keeps none."""

    @staticmethod
    def create(config: HeroConfig, **parts: Any) -> "Method":
        """A run at its beginning, of the method that the configuration names: the pretrained model
        with a LoRA that changes nothing yet.

        `parts` are what the method takes besides its configuration (`ddpo`: `reward`).
        """
        module, name = METHODS[config.method].split(":")
        return getattr(importlib.import_module(module), name)(config, **parts)

    @staticmethod
    def resume(checkpoint: Path, **parts: Any) -> "Method":
        """The run as `save` left it. Raises `CheckpointError`, `ModelNotFound`."""
        saved = Checkpoint.load(checkpoint)
        run = Method.create(saved.config, **parts)
        run.epoch = saved.epoch
        try:
            run._restore(saved.tensors, saved.facts)
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"The checkpoint in {checkpoint} does not fit the model {saved.config.model!r} "
                f"({error}); was the model replaced? Put the old one back, or start a new run."
            ) from error
        return run

    @property
    def prompt(self) -> str:
        """What the images are drawn with."""
        return self.config.prompt

    def generate(
        self, *, on_image: OnImage | None = None, on_progress: OnProgress | None = None
    ) -> Batch:
        """Draw the noises of the epoch's batch, denoise them with DDIM, decode.

        `on_image(index, image)` gets each image as soon as it is decoded.
        """
        config, n = self.config, self.config.images_per_epoch
        noises = self._batch_noises(n)
        steps = self._trained_steps(n)
        denoise = self.policy.denoiser(self.prompt, config)
        parts = torch.arange(n).split(config.sample_batch_size)
        total = len(parts) * len(self.schedule.timesteps)
        images, latents, transitions = [], [], []
        for part, rows in enumerate(parts):
            done = part * len(self.schedule.timesteps)
            with self.policy.autocast():
                z_0, kept = sampling.sample(
                    denoise,
                    self.schedule,
                    noises[rows].to(self.policy.device),
                    self._stream("sampling", part),
                    steps[rows],
                    reporting(on_progress, "sampling", total, done),
                )
            for image in self.policy.decode(z_0):
                if on_image is not None:
                    on_image(len(images), image)
                images.append(image)
            latents.append(z_0.cpu())
            transitions.append(kept)
        return Batch(
            epoch=self.epoch,
            prompt=self.prompt,
            images=images,
            noises=noises,
            latents=torch.cat(latents),
            transitions=Transitions.concatenate(transitions),
        )

    def learn(
        self, batch: Batch, feedback: Feedback, *, on_progress: OnProgress | None = None
    ) -> Report:
        """Learn from what people said of the present epoch's batch, and go on to the next epoch.

        Raises `FeedbackError`, with nothing changed, if batch and feedback are not of this epoch.
        """
        if batch.epoch != self.epoch:
            raise FeedbackError(
                f"The batch is of epoch {batch.epoch} and the run stands at epoch {self.epoch}; "
                f"resume from the checkpoint of epoch {batch.epoch}, or send that epoch's batch."
            )
        feedback = feedback.check(batch)
        n = len(batch.images)
        report = Report(
            epoch=batch.epoch,
            success_rate=success_rate(feedback.good),
            success_rate_fresh=success_rate(feedback.good[n - self._fresh(n) :]),
            diversity=in_batch_diversity(batch.latents.flatten(1)),
        )
        self._keep(batch, feedback)
        rate = self._success(report)
        if self.step_back.due(rate):
            before, report.note = self.step_back.take(rate)
            self._restore_policy(before)
            report.stepped_back = True
        else:
            before = self._policy_tensors() if self.config.step_back_drop else None
            self._learn(batch, feedback, report, on_progress)
            self.step_back.passed(rate, before if report.updated else None)
        self.epoch += 1
        return report

    def _success(self, report: Report) -> float | None:
        """How good the model is by a batch's verdicts: by those on its images from N(0, I), if
        there are some in every batch."""
        return report.success_rate_fresh if self.config.fresh_share else report.success_rate

    def predict(self, latents: Float[Tensor, "batch channel height width"]) -> list[float] | None:
        """What the method expects people to say of clean latents, higher for better; None where it
        expects nothing, as most methods do."""
        return None

    def sample(
        self,
        n: int,
        *,
        prompt: str | None = None,
        noise: Literal["bank", "normal"] = "normal",
        scheduler: str | None = None,
        seed: int = 0,
        on_image: OnImage | None = None,
        on_progress: OnProgress | None = None,
    ) -> Samples:
        """Draw n images from the model as it stands, for the run's prompt or another.

        `noise` is pi_HERO of the last good epoch or N(0, I); `scheduler` is None for the run's own
        DDIM or one of `pipelines.SCHEDULERS`. The same seed gives the same images. `on_progress`
        hears of every DDIM step, and may raise to end the drawing. Raises `NoiseBankEmpty`,
        `ConfigError`.
        """
        generator = stream(seed, 0, "fresh noise")
        draw = self._normal_noises if noise == "normal" else self._bank_noises
        with self._given_away():
            return draw_samples(
                self.policy,
                self.schedule,
                self.config,
                draw(n, generator),
                prompt=prompt or self.prompt,
                scheduler=scheduler,
                seed=seed,
                on_image=on_image,
                on_progress=on_progress,
            )

    def export_lora(self, path: Path, about: Mapping[str, str] | None = None) -> Path:
        """Write the LoRA as the safetensors file `path`, with metadata to which `about` adds."""
        with self._given_away():
            metadata = {**lora_metadata(self.config), **(about or {})}
            return export_lora(self.policy.lora_state(), path, metadata)

    def save(self, folder: Path) -> None:
        """Write a complete checkpoint, whole or not at all. Raises `StorageError`."""
        Checkpoint(self.config, self.epoch, self._tensors(), self._facts()).save(folder)

    @abstractmethod
    def _learn(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> None:
        """Change the model by a batch of this epoch and fill in the report."""

    def _keep(self, batch: Batch, feedback: Feedback) -> None:  # noqa: B027
        """Remember of a batch what counts whether or not the model learns from it now: nothing,
        for most methods."""

    def _given_away(self) -> contextlib.AbstractContextManager[Any]:
        """The model as it is sampled from and exported: the LoRA's average, if there is one."""
        if self.average is None:
            return contextlib.nullcontext()
        return self.policy.as_it_was(self.average.means)

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        """What the run has to remember, by the file of the checkpoint."""
        before = self.step_back.before or {}
        return {
            **self._policy_tensors(),
            **{f"{BEFORE}{file}": tensors for file, tensors in before.items()},
        }

    def _facts(self) -> dict[str, Any]:
        """What it has to remember besides tensors, for the checkpoint's state.json."""
        return {"best_success_rate": self.step_back.best} if self.config.step_back_drop else {}

    def _restore(self, tensors: dict[str, dict[str, Tensor]], facts: dict[str, Any]) -> None:
        """Put back what `_tensors` and `_facts` gave."""
        self._restore_policy(tensors)
        before = {
            file.removeprefix(BEFORE): kept
            for file, kept in tensors.items()
            if file.startswith(BEFORE)
        }
        self.step_back.best = facts.get("best_success_rate")
        self.step_back.before = before or None

    def _policy_tensors(self) -> dict[str, dict[str, Tensor]]:
        """A copy of the LoRA and of the optimizers' state: what a step back puts back."""
        kept = {
            "lora": self.policy.lora_state(),
            "optimizer": optimizer_tensors(self.optimizer),
        }
        return kept if self.average is None else {**kept, "lora_average": self.average.tensors()}

    def _restore_policy(self, tensors: dict[str, dict[str, Tensor]]) -> None:
        """Put back what `_policy_tensors` gave."""
        self.policy.load_lora_state(tensors["lora"])
        load_optimizer_tensors(self.optimizer, tensors["optimizer"])
        if self.average is not None:
            self.average.load(tensors["lora_average"])

    def _fresh(self, n: int) -> int:
        """How many images of this epoch's batch, its last ones, are drawn from N(0, I)."""
        return n

    def _batch_noises(self, n: int) -> Float[Tensor, "n channel height width"]:
        """The noises of this epoch's batch: N(0, I), unless the method knows better ones."""
        return self._normal_noises(n, self._stream("noise"))

    def _normal_noises(
        self, n: int, generator: torch.Generator
    ) -> Float[Tensor, "n channel height width"]:
        return torch.randn(n, *self.policy.latent_shape, generator=generator)

    def _bank_noises(
        self, n: int, generator: torch.Generator
    ) -> Float[Tensor, "n channel height width"]:
        raise NoiseBankEmpty(
            f"The method {self.config.method} keeps no noises of good images; sample with normal "
            "noise."
        )

    def _trained_steps(self, n: int) -> Int[Tensor, "n trained"]:
        """Which steps of each image the batch keeps the transitions of."""
        return sampling.draw_trained_steps(
            self.schedule,
            n,
            self.trained_steps,
            self.config.trained_steps_choice,
            self._stream("trained steps"),
        )

    def _policy_gradient(
        self,
        batch: Batch,
        rewards: Float[Tensor, " batch"],
        report: Report,
        on_progress: OnProgress | None,
        *,
        learning_rate_scale: float = 1.0,
    ) -> None:
        """One epoch's DDPO update (Eq. 2, 8) from the rewards of the batch; none where the
        configuration wants no pass over it."""
        config = self.config
        if not config.inner_epochs:
            return
        with timed(report, "update"):
            stats = policy_gradient.update(
                self.policy.denoiser(batch.prompt, config),
                self.schedule,
                self.optimizer,
                batch.transitions,
                advantages(rewards, std_floor=config.reward_std_floor, clip=config.advantage_clip),
                config,
                generator=self._stream("minibatches"),
                recompute_old=self.policy.sampler_differs,
                learning_rate_scale=learning_rate_scale,
                on_step=_update_reporting(on_progress),
            )
        report.updated = True
        for name, value in asdict(stats).items():
            setattr(report, name, value)

    def _stream(self, purpose: str, part: int = 0) -> torch.Generator:
        return stream(self.config.seed, self.epoch, purpose, part)


def adamw(parameters: list[torch.nn.Parameter], config: HeroConfig) -> torch.optim.AdamW:
    """AdamW as the configuration says."""
    return torch.optim.AdamW(
        parameters,
        lr=config.learning_rate,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        weight_decay=config.adam_weight_decay,
    )


def check_run(config: HeroConfig) -> list[str]:
    """See that a run can start, without loading the model's weights; warnings for people.

    Raises `ModelNotFound`, `UnsupportedModel` or `ConfigError`; a prompt that is too long is only a
    warning, which says what is cut.
    """
    if config.method == "ddpo":
        check_reward(config)
    check_model(config.model)
    device_for(config)
    load_schedule(config).check_trainable(config.trained_steps)
    return prompt_warnings(config)


@contextlib.contextmanager
def timed(report: Report, stage: str) -> Iterator[None]:
    """Put the block's wall-clock seconds into the report."""
    started = time.perf_counter()
    yield
    report.seconds[stage] = time.perf_counter() - started


def _update_reporting(on_progress: OnProgress | None) -> Callable[[int, int], None] | None:
    if on_progress is None:
        return None
    return lambda step, total: reporting(on_progress, "update", total)(step)
