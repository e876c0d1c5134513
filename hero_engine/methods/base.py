"""One interface for every method: draw a batch, learn from what people said of it; again.

A method is a subclass in a small file of its own, named in `table.py`. All of them draw the same
`Batch`, are told the same `Feedback`, and differ in `_learn`, in the noises that they draw from
and in what they have to remember.
"""

import contextlib
import importlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hero_engine.config import LoraSettings, MethodSettings, RunConfig
from hero_engine.errors import CheckpointError, ConfigError, FeedbackError, NoiseBankEmpty
from hero_engine.feedback.evidence import Tally
from hero_engine.feedback.metrics import in_batch_diversity, mean_of, success_rate
from hero_engine.feedback.noise_bank import NoiseBank
from hero_engine.feedback.spread import spread
from hero_engine.methods.earlier_format import migrated_files
from hero_engine.methods.make_config import read_config
from hero_engine.methods.prompt_parts import PromptPart, parts_of, success_of
from hero_engine.methods.rollback import Rollback, under
from hero_engine.methods.shared_settings import LearningSettings
from hero_engine.methods.table import METHODS
from hero_engine.methods.workload import Workload
from hero_engine.models.drawing import OnImage, Samples, Streams, draw
from hero_engine.models.export import export_lora
from hero_engine.models.policy import Policy
from hero_engine.processes import by_first, check_same
from hero_engine.report import OnProgress, Report
from hero_engine.storage.batch import Batch, Feedback
from hero_engine.storage.checkpoint import Checkpoint, load_optimizer_tensors, optimizer_tensors
from hero_engine.streams import stream

logger = logging.getLogger(__name__)

Settings = TypeVar("Settings", bound=MethodSettings)

BEFORE = "before-"
"""Begins the names of a checkpoint's files that hold the model before its last update."""


class Method(ABC, Generic[Settings]):
    """A run of one method between two epochs; `generate` and `learn` take it to the next.

    Interrupted calls change nothing that `save` has stored: resume from the checkpoint of the same
    epoch and call again, with the same result to the last bit on a CPU.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.settings: Settings = config.method  # type: ignore[assignment]
        self.epoch = 0
        self.policy = Policy(config)
        self.schedule = self.policy.schedule
        self.optimizer = adamw(self.policy.parameters, config.lora, fused=config.format != 1)
        settings = config.method
        drop = settings.step_back_drop if isinstance(settings, LearningSettings) else 0.0
        self.rollback = Rollback(drop)
        self.latest = [Tally()] * len(config.prompts)
        """The latest verdicts on each prompt's images from N(0, I), which say how batches are
        spread over several prompts."""

    @property
    def bank(self) -> NoiseBank | None:
        """The noises of good images; None before there are any, and where the method keeps none."""
        return None

    @staticmethod
    def create(config: RunConfig, **parts: Any) -> "Method[Any]":
        """A run at its beginning, of the method that the configuration names: the pretrained model
        with a LoRA that changes nothing yet.

        `parts` are what the method takes besides its configuration (`ddpo`: `reward`).
        """
        return class_of(config.method.name)(config, **parts)

    @staticmethod
    def resume(checkpoint: Path, **parts: Any) -> "Method[Any]":
        """The run as `save` left it. Raises `CheckpointError`, `ModelNotFound`."""
        saved = Checkpoint.load(checkpoint)
        try:
            # Versions without that setting held every model so.
            config, dropped = read_config({"memory": "high", **saved.config})
        except ConfigError as error:
            raise CheckpointError(
                f"The checkpoint in {checkpoint} cannot be used ({error}); resume from an earlier "
                "one."
            ) from error
        if dropped:
            without = ", ".join(f"{name} = {value}" for name, value in dropped.items())
            logger.warning(
                "An earlier version began this run with %s, which was removed; the run goes on "
                "without.",
                without,
            )
        run = Method.create(config, **parts)
        run.epoch = saved.epoch
        files = saved.tensors
        if config.format == 1:
            files = migrated_files(config.method.name, files)
        try:
            run._restore(files, saved.facts)
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"The checkpoint in {checkpoint} does not fit the model {config.model.name!r} "
                f"({error}); was the model replaced? Put the old one back, or start a new run."
            ) from error
        return run

    @classmethod
    def lora_for_people(cls, saved: Checkpoint) -> dict[str, Tensor]:
        """Of a checkpoint of this method, the LoRA of the model that people get (`run_model`)."""
        return saved.tensors["lora"]

    def recall(self, saved: Checkpoint) -> None:
        """Take over what was judged until a checkpoint of the same method and prompt.

        Raises `ConfigError`: the method learns from the steps in which images were drawn, and they
        are of another model.
        """
        raise ConfigError(
            f"The method {self.settings.name} cannot go on with earlier labels, since it learns "
            "from the denoising steps of the images that its own model draws; use hero+."
        )

    @property
    def prompt(self) -> str:
        """What the images are drawn with; the first prompt of a run of several."""
        return self.config.prompt

    @property
    def prompts(self) -> tuple[str, ...]:
        """All prompts that the run learns."""
        return (self.prompt, *self.config.further_prompts)

    def captions(self, batch: Batch) -> Int[Tensor, " batch"] | None:
        """The number of each image's prompt; None in a run of one prompt."""
        if not batch.prompts:
            return None
        return torch.tensor([self.prompts.index(prompt) for prompt in batch.prompts])

    def generate(
        self, *, on_image: OnImage | None = None, on_progress: OnProgress | None = None
    ) -> Batch:
        """Draw the noises of the epoch's batch, denoise them, decode.

        Several prompts share the batch (`spread`), the images of each one after the other.
        `on_image(index, image)` gets each image as soon as it is decoded.
        """
        n, several = self.config.images_per_epoch, len(self.prompts) > 1
        counts = spread(n, self.latest) if several else [n]
        noises = [self._batch_noises(count, number) for number, count in enumerate(counts)]
        captions = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        with self.policy.memory_errors("drawing"):
            drawn = draw(
                self.policy,
                torch.cat(noises),
                Streams(self.config.seed, self.epoch, "sampling"),
                prompt=self.prompts if several else self.prompt,
                captions=captions if several else None,
                trained_steps=self._trained_steps(n),
                on_image=on_image,
                on_progress=on_progress,
            )
        return Batch(
            epoch=self.epoch,
            prompt=self.prompt,
            images=drawn.images,
            noises=drawn.noises,
            latents=drawn.latents,
            transitions=drawn.transitions,
            prompts=tuple(self.prompts[number] for number in captions) if several else (),
        )

    def learn(
        self, batch: Batch, feedback: Feedback, *, on_progress: OnProgress | None = None
    ) -> Report:
        """Learn from what people said of the present epoch's batch, and go on to the next epoch.

        Raises `FeedbackError`, with nothing changed, if batch and feedback are not of this epoch,
        and `ProcessesDiffer` if several processes did not learn the same.
        """
        if batch.epoch != self.epoch:
            raise FeedbackError(
                f"The batch is of epoch {batch.epoch} and the run stands at epoch {self.epoch}; "
                f"resume from the checkpoint of epoch {batch.epoch}, or send that epoch's batch."
            )
        if not (batch.drawn or self.settings.learns_from_images):
            raise FeedbackError(
                f"The method {self.settings.name} cannot learn from pictures that its model did "
                "not draw, since it learns from denoising steps; use hero+."
            )
        feedback = feedback.check(batch)
        parts = parts_of(batch, feedback, self.prompts)
        fresh = [self._fresh_verdicts(part) for part in parts]
        report = Report(epoch=batch.epoch)
        if batch.drawn:
            report.success_rate = mean_of([success_rate(part.feedback.good) for part in parts])
            report.success_rate_fresh = mean_of([success_rate(verdicts) for verdicts in fresh])
            report.diversity = mean_of(
                [in_batch_diversity(part.batch.latents.flatten(1)) for part in parts]
            )
        if len(parts) > 1:
            report.by_prompt = [success_of(part, fresh[part.number]) for part in parts]
            self._note_verdicts(fresh)
        for part in parts:
            self._keep(part)
        rate = self._success(report)
        if self.rollback.due(rate):
            earlier, report.note = self.rollback.take(rate)
            self._restore_policy(earlier)
            report.stepped_back = True
        else:
            before = self._policy_tensors() if self.rollback.drop else None
            with self.policy.memory_errors("learning"):
                self._learn(batch, feedback, report, on_progress)
            self.rollback.passed(rate, before if report.updated else None)
        check_same(f"The LoRA after epoch {self.epoch + 1}", self.policy.lora_digest)
        self.epoch += 1
        return report

    def run_model(self) -> contextlib.AbstractContextManager[None]:
        """In the block, the method draws and exports with the model that people get: the newest,
        unless the method knows a better one."""
        return contextlib.nullcontext()

    def predict(
        self, latents: Float[Tensor, "batch channel height width"], number: int = 0
    ) -> list[float] | None:
        """What the method expects people to say of clean latents of the run's prompt of that
        number, higher for better; None where it expects nothing, as most methods do."""
        return None

    def predict_batch(self, batch: Batch) -> list[float | None] | None:
        """The same of a batch's images; None for those of a prompt of which it expects nothing."""
        captions = self.captions(batch)
        if captions is None:
            expected = self.predict(batch.latents)
            return None if expected is None else [*expected]
        found: list[float | None] = [None] * len(captions)
        for number in range(len(self.prompts)):
            rows = torch.nonzero(captions == number).flatten()
            expected = self.predict(batch.latents[rows], number)
            for row, value in zip(rows.tolist(), expected or [], strict=False):
                found[row] = value
        return None if all(value is None for value in found) else found

    def workload(self) -> Workload | None:
        """What an epoch's learning sends through the network; None for nothing."""
        return None

    def sample(
        self,
        n: int,
        *,
        prompt: str | Sequence[str] | None = None,
        noise: Literal["bank", "normal"] = "normal",
        scheduler: str | None = None,
        seed: int = 0,
        on_image: OnImage | None = None,
        on_progress: OnProgress | None = None,
    ) -> Samples:
        """Draw n images from the model as it stands, for the run's prompt, another, or several that
        take turns, image by image.

        `noise` is pi_HERO of the last good epoch or N(0, I); `scheduler` is None for the run's own
        or the name of another sampler. The same seed gives the same images. `on_progress` hears of
        every step, and may raise to end the drawing. Raises `NoiseBankEmpty`, `ConfigError`.
        """
        prompt = prompt or self.prompt
        generator = stream(seed, 0, "fresh noise")
        captions = None if isinstance(prompt, str) else torch.arange(n) % len(prompt)
        if noise == "normal":
            noises = self._normal_noises(n, generator)
        elif not isinstance(prompt, str):
            raise ConfigError("The noise bank draws for one prompt at a time; name one.")
        else:
            of_prompt = self.prompts.index(prompt) if prompt in self.prompts else 0
            noises = self._bank_noises(n, generator, of_prompt)
        with self.policy.memory_errors("drawing"):
            return draw(
                self.policy,
                noises,
                Streams(seed, 0, "fresh sampling"),
                prompt=prompt,
                captions=captions,
                scheduler=scheduler,
                on_image=on_image,
                on_progress=on_progress,
            )

    def export_lora(self, path: Path, about: Mapping[str, str] | None = None) -> Path:
        """Write the LoRA as the safetensors file `path`, with metadata to which `about` adds."""
        return export_lora(self.policy, path, about or {})

    def save(self, folder: Path, *, once: bool = False) -> None:
        """Write a complete checkpoint, whole or not at all; `once` leaves one that is there as it
        is. Raises `StorageError`.

        Where the configuration leaves it open how the model is held in memory, the checkpoint says
        what was chosen, so that the run goes on with the same weights.
        """
        config = {**self.config.flat(), "memory": self.policy.memory.level}
        checkpoint = Checkpoint(config, self.epoch, self._tensors(), self._facts())
        by_first(lambda: checkpoint.save(folder, once=once))

    @abstractmethod
    def _learn(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> None:
        """Change the model by a batch of this epoch and fill in the report."""

    def _keep(self, part: PromptPart) -> None:
        """Remember of a prompt's images what counts whether or not the model learns from them now:
        nothing, for most methods."""

    def _note_verdicts(self, fresh: list[tuple[bool | None, ...]]) -> None:
        """Remember the latest verdicts on images from N(0, I), prompt by prompt; of a prompt of
        which nobody judged one now, those before."""
        tallies = [Tally().add(verdicts) for verdicts in fresh]
        pairs = zip(self.latest, tallies, strict=True)
        self.latest = [tally if tally.judged else before for before, tally in pairs]

    def _success(self, report: Report) -> float | None:
        """How good the model is by a batch's verdicts."""
        return report.success_rate

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        """What the run has to remember, by the file of the checkpoint."""
        before = self.rollback.before or {}
        return {
            **self._policy_tensors(),
            **{f"{BEFORE}{file}": tensors for file, tensors in before.items()},
        }

    def _facts(self) -> dict[str, Any]:
        """What it has to remember besides tensors, for the checkpoint's state.json."""
        facts: dict[str, Any] = {}
        if len(self.prompts) > 1:
            facts["latest_verdicts"] = [asdict(tally) for tally in self.latest]
        if self.rollback.drop:
            facts["best_success_rate"] = self.rollback.best
        return facts

    def _restore(self, tensors: Mapping[str, dict[str, Tensor]], facts: dict[str, Any]) -> None:
        """Put back what `_tensors` and `_facts` gave."""
        self._restore_policy(tensors)
        self.rollback.best = facts.get("best_success_rate")
        self.rollback.before = under(BEFORE, tensors)
        if len(self.prompts) > 1:
            self.latest = [Tally(**facts) for facts in facts["latest_verdicts"]]

    def _policy_tensors(self) -> dict[str, dict[str, Tensor]]:
        """A copy of the LoRA and of the optimizer's state: what a step back puts back."""
        return {
            "lora": self.policy.lora_state(),
            "optimizer": optimizer_tensors(self.optimizer),
        }

    def _restore_policy(self, tensors: Mapping[str, dict[str, Tensor]]) -> None:
        """Put back what `_policy_tensors` gave."""
        self.policy.load_lora_state(tensors["lora"])
        load_optimizer_tensors(self.optimizer, tensors["optimizer"])

    def _fresh(self, n: int, number: int = 0) -> int:
        """How many of this epoch's images of the prompt of that number, the last of n, are drawn
        from N(0, I)."""
        return n

    def _fresh_verdicts(self, part: PromptPart) -> tuple[bool | None, ...]:
        """What was said of a prompt's images from N(0, I), before anything is learned from it."""
        good, n = part.feedback.good, len(part.feedback.good)
        return good[n - self._fresh(n, part.number) :] if part.batch.drawn else ()

    def _batch_noises(self, n: int, number: int = 0) -> Float[Tensor, "n channel height width"]:
        """The noises of this epoch's images of a prompt: N(0, I), unless the method knows better
        ones."""
        return self._normal_noises(n, self._stream("noise", number))

    def _normal_noises(
        self, n: int, generator: torch.Generator
    ) -> Float[Tensor, "n channel height width"]:
        return torch.randn(n, *self.policy.latent_shape, generator=generator)

    def _bank_noises(
        self, n: int, generator: torch.Generator, number: int = 0
    ) -> Float[Tensor, "n channel height width"]:
        raise NoiseBankEmpty(
            f"The method {self.settings.name} keeps no noises of good images; sample with normal "
            "noise."
        )

    def _trained_steps(self, n: int) -> Int[Tensor, "n trained"] | None:
        """Which steps of each image the batch keeps the transitions of; None for none at all."""
        return None

    def _stream(self, purpose: str, number: int = 0) -> torch.Generator:
        return stream(self.config.seed, self.epoch, purpose, number)


def class_of(method: str) -> type[Method[Any]]:
    """The code of a method, by its name."""
    module, name = METHODS[method].code.split(":")
    found: type[Method[Any]] = getattr(importlib.import_module(module), name)
    return found


def adamw(
    parameters: list[torch.nn.Parameter], settings: LoraSettings, *, fused: bool
) -> torch.optim.AdamW:
    """AdamW as the configuration says; each step loop sets its learning rate.

    `fused` updates all matrices in one call, a quarter of the time, and rounds differently.
    """
    return torch.optim.AdamW(
        parameters,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
        weight_decay=settings.adam_weight_decay,
        fused=fused,
    )


@contextlib.contextmanager
def timed(report: Report, stage: str) -> Iterator[None]:
    """Add the block's wall-clock seconds to the report's."""
    started = time.perf_counter()
    yield
    before = report.seconds.get(stage, 0.0)
    report.seconds[stage] = before + time.perf_counter() - started
