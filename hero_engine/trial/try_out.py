"""Try a run's real model, method and settings for a moment, before anything is drawn in earnest.

Some denoising steps of a few images, one image decoded, one pass of an update: what they take says
what an epoch will take. The run's random numbers and weights are not touched: the model that is
tried is thrown away.
"""

import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hero_engine.config import RunConfig
from hero_engine.feedback.embedding import train_embedding
from hero_engine.methods.base import Method
from hero_engine.methods.feedback_method import FeedbackMethod
from hero_engine.methods.shared_settings import LearningSettings
from hero_engine.methods.workload import Workload
from hero_engine.models.memory import Level
from hero_engine.models.sanity import check_latents
from hero_engine.streams import stream
from hero_engine.trial.batch_size import Pass, find
from hero_engine.trial.forecast import Costs, Forecast, Work, drawing_seconds, learning_seconds
from hero_engine.trial.meter import Measured, Meter

REPEAT_BELOW_SECONDS = 0.3
"""A pass that is over sooner is timed twice, and the faster counts."""
COLD_SECONDS = 3.0
"""The same for the first pass, in which the device warms up."""
EMBEDDING_STEPS = 3


def try_out(config: RunConfig) -> tuple[RunConfig, Forecast]:
    """The configuration with numbers where it says `auto`, and what an epoch takes with them.

    Raises what `Method.create` raises, `UnusableImages` if the network gives no numbers, and
    `TooLittleMemory` if there is not memory enough for one latent.
    """
    trial = _Trial(Method.create(config))
    with trial.policy.memory_errors("drawing"):
        drawn = trial.drawing()
        decoded = trial.decoding()
    workload = trial.method.workload()
    with trial.policy.memory_errors("learning"):
        learned = None if workload is None else trial.learning(workload)
        embedding_steps, embedding_seconds = trial.embedding()
    costs = Costs(
        image_step=drawn.seconds_each,
        decode=decoded.seconds,
        latent=0.0 if learned is None else learned.seconds_each,
        embedding_step=embedding_seconds,
    )
    work = Work(
        images=config.images_per_epoch,
        steps=len(trial.method.schedule.timesteps),
        latents=0 if workload is None else workload.latents,
        scored=0 if workload is None else workload.scored,
        embedding_steps=embedding_steps,
    )
    config = _with_sizes(config, drawn.size, None if learned is None else learned.size)
    config = _with_memory(config, trial.policy.memory.level)
    forecast = Forecast(
        drawing_seconds=drawing_seconds(costs, work),
        learning_seconds=learning_seconds(costs, work),
        peak_bytes=trial.peak_bytes,
        memory_bytes=trial.meter.memory_bytes,
        device=trial.meter.name,
        images_at_once=drawn.size,
        latents_at_once=None if learned is None else learned.size,
    )
    return config, forecast


class _Trial:
    """A method that is tried; remembers the largest memory of what counts."""

    def __init__(self, method: Method[Any]) -> None:
        self.method = method
        self.policy = method.policy
        self.config = method.config
        self.meter = Meter(self.policy.device)
        self.peak_bytes = self.meter.used_bytes
        self._generator = stream(self.config.seed, 0, "trial")

    def drawing(self) -> Pass:
        """One denoising step of some images."""
        denoise = self.policy.denoiser(self.method.prompt)
        timestep = self.method.schedule.timesteps[0].to(self.policy.device)

        def step(latents: Tensor) -> None:
            z_t = latents.to(self.policy.device)
            with torch.no_grad(), self.policy.autocast():
                prediction = denoise(z_t, timestep.expand(len(z_t)))
            check_latents(prediction, self.policy.precision)

        said = self.config.sampling.sample_batch_size
        return self._passes(step, said, self.config.images_per_epoch)

    def decoding(self) -> Measured:
        """One image."""
        latent = self._latents(1)

        def decode() -> None:
            list(self.policy.decode(latent))

        found = self._repeated(decode)
        self.peak_bytes = max(self.peak_bytes, found.peak_bytes)
        return found

    def learning(self, workload: Workload) -> Pass:
        """Some latents forward and backward."""

        def learn(latents: Tensor) -> None:
            workload.losses(latents).sum().backward()

        settings = self.config.method
        said = settings.forward_batch_size if isinstance(settings, LearningSettings) else "auto"
        found = self._passes(learn, said, workload.at_once)
        self.method.optimizer.zero_grad()
        return found

    def embedding(self) -> tuple[int, float]:
        """Steps on E in an epoch of which half of the images are good, and the seconds of one."""
        method = self.method
        if not isinstance(method, FeedbackMethod) or not method.design.embedded:
            return 0, 0.0
        settings, n = method.settings, self.config.images_per_epoch
        embedding = copy.deepcopy(method.embedding)
        latents = self._latents(n).to(self.policy.device)
        ends: list[float] = []

        def ended(_: int) -> None:
            self.meter.wait()
            ends.append(time.perf_counter())

        found = self.meter.measure(
            lambda: train_embedding(
                embedding,
                latents[0],
                latents[: n // 2],
                latents[n // 2 :],
                steps=EMBEDDING_STEPS,
                learning_rate=settings.embedding_lr,
                batch_size=settings.embedding_batch_size,
                margin=settings.margin,
                generator=self._generator,
                on_step=ended,
            )
        )
        self.peak_bytes = max(self.peak_bytes, found.peak_bytes)
        return settings.embedding_steps * len(method.prompts), ends[-1] - ends[-2]

    def _passes(self, work: Callable[[Tensor], None], said: int | str, whole: int) -> Pass:
        """The pass of the size that is said, or else of the best that there is."""
        used, free = self.meter.used_bytes, self.meter.free_bytes
        peaks: dict[int, int] = {}

        def attempt(size: int) -> Pass:
            latents = self._latents(size)
            first = not peaks
            found = self._repeated(lambda: work(latents), warm=not first)
            peaks[size] = found.peak_bytes
            return Pass(size, found.seconds, found.busy_seconds, max(found.peak_bytes - used, 0))

        chosen = find(whole, attempt, free) if said == "auto" else attempt(min(int(said), whole))
        self.peak_bytes = max(self.peak_bytes, peaks[chosen.size])
        return chosen

    def _repeated(self, work: Callable[[], None], *, warm: bool = False) -> Measured:
        """What it takes at best; a long pass is done once."""
        found = self.meter.measure(work)
        if found.seconds > (REPEAT_BELOW_SECONDS if warm else COLD_SECONDS):
            return found
        return found.at_best(self.meter.measure(work))

    def _latents(self, n: int) -> Tensor:
        return torch.randn(n, *self.policy.latent_shape, generator=self._generator)


def _with_sizes(config: RunConfig, images: int, latents: int | None) -> RunConfig:
    """The configuration with those numbers where it says `auto`."""
    sampling, method = config.sampling, config.method
    if sampling.sample_batch_size == "auto":
        sampling = sampling.model_copy(update={"sample_batch_size": images})
    if isinstance(method, LearningSettings) and method.forward_batch_size == "auto":
        method = method.model_copy(update={"forward_batch_size": latents})
    return config.replaced(sampling=sampling, method=method)


def _with_memory(config: RunConfig, level: Level) -> RunConfig:
    """The configuration with how the model was held, so that the run goes on in the same way."""
    return config.replaced(model=config.model.model_copy(update={"memory": level}))
