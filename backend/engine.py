"""The only importer of `hero_engine`. Torch is loaded when something is drawn or learned."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from backend.consensus import BAD
from backend.engine_errors import engine_errors
from backend.engine_files import (
    PREDICTIONS,
    Report,
    batch_folder,
    checkpoint_folder,
    read_report,
    report_file,
)
from backend.errors import BadInput, FilesDamaged
from backend.files import checked_text, sums_of, whole_folder, write_text
from backend.run.records import Run
from backend.settings import Settings
from hero_engine.config import RunConfig as RunConfig
from hero_engine.errors import ConfigError, DamagedFiles, HeroError
from hero_engine.methods import make_config as configs
from hero_engine.methods.hero_plus_settings import HeroPlusSettings
from hero_engine.methods.make_config import Setting
from hero_engine.methods.table import METHODS
from hero_engine.models.names import all_bundled, bundled
from hero_engine.models.names import public_name as public_name
from hero_engine.presets import PRESETS, preset

if TYPE_CHECKING:
    from PIL.Image import Image

    from hero_engine import Method, Progress, Samples
    from hero_engine.models.plain_use import PlainUse as PlainUse

logger = logging.getLogger(__name__)

OnProgress = Callable[[str, int, int], None]
"""Called with stage, units done, units in all; what it raises ends the step."""
Forecast = dict[str, Any]
"""`hero_engine.trial.forecast.Forecast` as JSON."""
HELD_SHARE = 0.25
"""A desktop takes less of a GPU's memory than this, and a model more."""
ROW_SEED = 0
"""Of every sample row: the same noises, whatever the run and the epoch."""


class _Needed(Exception):
    """The engine is needed for something else."""


def presets() -> dict[str, dict[str, Any]]:
    """The named sets of hyper-parameters."""
    return PRESETS


def methods() -> dict[str, str]:
    """What learns from the feedback: each method with a sentence."""
    return {name: entry.summary for name, entry in METHODS.items()}


def settings_of(method: str) -> list[Setting]:
    """A method's own settings.

    Raises:
        BadInput: there is no such method.
    """
    with engine_errors():
        return configs.settings_of(method)


def common_settings() -> list[Setting]:
    """The settings that every run has, whatever its method."""
    return configs.common_settings()


def foreign_settings(preset: str | None, fields: Mapping[str, Any]) -> list[str]:
    """Those of the fields that are settings of other methods than the run's."""
    usual = PRESETS.get(preset or "", {}).get("method", "hero")
    method = fields.get("method", usual)
    if method not in METHODS:
        return []
    return [name for name in fields if name in configs.foreign_settings(method)]


def make_config(name: str | None = None, **fields: Any) -> RunConfig:
    """A new run's configuration from a preset (or none) and settings by their flat names.

    Raises:
        BadInput: no such preset, or a setting that cannot be used.
    """
    with engine_errors():
        return preset(name, **fields) if name else configs.make_config(**fields)


def read_config(stored: Mapping[str, Any]) -> RunConfig:
    """A run's configuration as it was stored, by this version or an earlier one.

    Raises:
        BadInput: a newer version stored it.
    """
    with engine_errors():
        return configs.read_config(stored)[0]


def unusual(stored: Mapping[str, Any]) -> list[tuple[str, Any, Any, str]]:
    """The settings of a run that are not at their defaults.

    Returns:
        (name, value, default or None, what it is), in the order in which they are documented.
    """
    settings = common_settings()
    if (method := stored.get("method", "hero")) in METHODS:
        settings += settings_of(method)
    return [
        (each.name, stored[each.name], each.default, each.description)
        for each in settings
        if each.name in stored and stored[each.name] != each.default
    ]


def kept_prompts(stored: Mapping[str, Any]) -> tuple[str, ...]:
    """The prompts that a run keeps as they are while it learns its own; none of a configuration
    that cannot be read."""
    try:
        config = read_config(stored)
    except BadInput:
        return ()
    if not isinstance(config.method, HeroPlusSettings):
        return ()
    return tuple(config.method.kept_beside(config.prompts))


def check(config: RunConfig) -> list[str]:
    """See that a run can start; warnings such as what of the prompt is cut.

    Raises:
        BadInput: the model or the configuration cannot be used.
    """
    with engine_errors():
        from hero_engine.models.first_look import first_look

        first_look(config.model, config.sampling)
        from hero_engine import check_run

        return [*check_run(config), *_strange_words(config)]


def _strange_words(config: RunConfig) -> list[str]:
    """A sentence if a prompt has words that a bundled model has never seen."""
    if not is_bundled(config.model.name):
        return []
    from hero_engine.models.loading import Found, words_in_parts

    strange = words_in_parts(Found(config.model), " ".join([*config.prompts, *config.held_out]))
    if not strange:
        return []
    known = "; ".join(dict.fromkeys(each["prompt"] for each in PRESETS.values()))
    return [
        f"The small model {config.model.name} does not know {', '.join(map(repr, strange))}, and "
        f"draws something else. It knows prompts such as: {known}."
    ]


def try_out(config: RunConfig) -> tuple[RunConfig, Forecast]:
    """Try a run's model with its method and settings, on this machine, for a moment.

    Returns:
        The configuration with numbers where it said `auto`, and what an epoch takes with them.

    Raises:
        BadInput, EngineFailed: the model cannot be used, or there is too little memory for it.
    """
    with engine_errors():
        from hero_engine.trial.try_out import try_out

        try:
            decided, forecast = try_out(config)
        finally:
            _free_memory()
        return decided, forecast.to_dict()


def undecided(stored: Mapping[str, Any]) -> bool:
    """Whether a run's configuration has a batch size that a trial is to find."""
    return "auto" in (stored.get("sample_batch_size"), stored.get("forward_batch_size"))


def look_beforehand(settings: Settings, run: Run, *, learns: bool) -> None:
    """See that every process of a step has what it takes, before they rely on each other.

    Args:
        learns: whether the step is to learn, and not to draw.

    Raises:
        BadInput, FilesDamaged: none of them has.
        ProcessUnready: some have not.
    """
    from hero_engine.models.first_look import first_look
    from hero_engine.processes import all_ready, decided

    with engine_errors():
        config, versions = configs.read_config(run.config)[0], decided(_versions)

        def look() -> None:
            if (own := _versions()) != versions:
                raise ConfigError(f"it has {own}, and the first process {versions}.")
            first_look(config.model, config.sampling)
            needed = [checkpoint_folder(settings, run.id, run.epoch)] if run.epoch else []
            needed += [batch_folder(settings, run.id, run.epoch)] if learns else []
            for folder in needed:
                if not folder.exists():
                    raise DamagedFiles(f"{folder} is not there; give all the same HERO_HOME.")

        all_ready(look)


def _versions() -> str:
    """Those of which the numbers depend."""
    return ", ".join(f"{name} {version(name)}" for name in ("torch", "diffusers", "transformers"))


def gpu_held_by_others() -> str | None:
    """What takes so much of the GPU's memory that a trial would find too little, as a clause; None
    for nothing, and where there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    if total - free < HELD_SHARE * total:
        return None
    return f"{(total - free) / 2**30:.1f} GB of the GPU's memory are in use"


def plain_use(config: RunConfig) -> "PlainUse":
    """What plain diffusers has to be told to draw with a run's model.

    Raises:
        BadInput: the model is not there any more.
    """
    with engine_errors():
        from hero_engine.models.plain_use import plain_use

        return plain_use(config.model)


def check_model(model: str, revision: str | None = None) -> str:
    """See that runs of a model can start; what it is, in words.

    Raises:
        BadInput: it is missing, damaged or of a kind that cannot be trained.
    """
    config = make_config(model=model, revision=revision, prompt="a rose")
    warnings = check(config)
    said = "" if is_bundled(model) is False else " (bundled)"
    size = image_size(config.flat())
    drawn = f", images of {size[1]} x {size[0]} pixels" if size else ""
    return "; ".join([f"{model}{said}{drawn}", *warnings])


def learns_from_images(method: str) -> bool:
    """Whether a method can learn from judged images without the steps that drew them."""
    return METHODS[method].settings.learns_from_images


def bundled_models() -> list[str]:
    """The models that come with installed packages."""
    return all_bundled()


def is_bundled(model: str) -> bool:
    """Whether a model comes with an installed package."""
    return bundled(model) is not None


def quiet_hub() -> AbstractContextManager[None]:
    """Without the progress bars and warnings of the hub's client."""
    from hero_engine.models.hub import quiet

    return quiet()


def image_size(stored: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width of the images that a run with this stored configuration draws, in pixels;
    None if its model does not say, or is not there any more."""
    try:
        config = configs.read_config(stored)[0]
        from hero_engine.models.loading import image_size

        return image_size(config.model, config.sampling)
    except HeroError:
        return None


def sample(
    settings: Settings,
    run: Run,
    n: int,
    *,
    prompt: str | None = None,
    noise: Literal["bank", "normal"] = "normal",
    scheduler: str | None = None,
    seed: int = 0,
    on_image: Callable[[int, Any], None] | None = None,
) -> "Samples":
    """Draw n images from the run's model.

    Raises:
        BadInput, EngineFailed
    """
    with engine_errors(), _run_model(settings, run) as hero:
        return hero.sample(
            n, prompt=prompt, noise=noise, scheduler=scheduler, seed=seed, on_image=on_image
        )


def sample_of(
    settings: Settings,
    run: Run,
    epoch: int | None,
    n: int,
    *,
    prompts: Sequence[str],
    seed: int,
    on_image: Callable[[int, Any], None],
) -> None:
    """Draw n images from the run's model as it stood after so many epochs, or from the base model
    under it where `epoch` is None. The same seed gives every model the same noises. Several prompts
    take turns, image by image.

    Raises:
        BadInput, EngineFailed
    """
    with engine_errors():
        hero = _load(settings, replace(run, epoch=0 if epoch is None else epoch))
        said: str | Sequence[str] | None = prompts[0] if len(prompts) == 1 else prompts
        if epoch is not None and said == run.prompt:
            said = None
        with hero.policy.pretrained() if epoch is None else hero.run_model():
            hero.sample(n, prompt=said, seed=seed, on_image=on_image)
    _free_memory()


def export_lora(settings: Settings, run: Run, path: Path, labels: int) -> Path:
    """Write the run's LoRA as one safetensors file that other programs take.

    Args:
        labels: how many images people have judged, for the file's metadata.

    Raises:
        EngineFailed, DiskFull
    """
    about = {
        "modelspec.title": run.id,
        "ss_output_name": run.id,
        "hero.run": run.id,
        "hero.epochs": str(run.epoch),
        "hero.labels": str(labels),
    }
    if run.parent_id is not None:
        about["hero.goes_on_from"] = f"{run.parent_id}:{run.parent_epoch}"
    with engine_errors(), _run_model(settings, run) as hero:
        return hero.export_lora(path, about)


def export_noise(settings: Settings, run: Run, folder: Path) -> Path:
    """Write the noises of the run's good images; the path of the file.

    Raises:
        EngineFailed, DiskFull
    """
    with engine_errors():
        from hero_engine.models.export import export_noise
        from hero_engine.storage.checkpoint import Checkpoint

        saved = Checkpoint.load(checkpoint_folder(settings, run.id, run.epoch))
        return export_noise(saved, folder)


def write_pictures(folder: Path, prompt: str, pictures: Iterable["Image"]) -> None:
    """Write pictures of the model's size, which people judged before the run, as the batch of its
    first epoch: whole or not at all.

    Raises:
        EngineFailed, DiskFull
    """
    with engine_errors():
        from hero_engine.storage.batch import save_pictures

        with whole_folder(folder, once=True) as partial:
            save_pictures(partial, 0, prompt, pictures)
            (partial / PREDICTIONS).write_text(checked_text({"predictions": None}))


class Engine:
    """Carries runs through `generate` and `learn`; keeps the last run's model loaded."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._hero: Method[Any] | None = None
        self._run_id: str | None = None
        self.used_at = time.monotonic()

    @property
    def loaded(self) -> bool:
        """Whether a model is held in memory."""
        return self._hero is not None

    def let_go(self) -> None:
        """Free the model's memory."""
        if self._hero is None:
            return
        self._hero = self._run_id = None
        _free_memory()

    def try_out(self, run: Run) -> tuple[dict[str, Any], Forecast]:
        """Try a run's model before its first images; the model that was loaded is let go.

        Returns:
            The run's configuration with numbers where it said `auto`, and what an epoch takes.

        Raises:
            BadInput, EngineFailed
        """
        self.let_go()
        config, forecast = try_out(read_config(run.config))
        return config.flat(), forecast

    def generate(self, run: Run, on_progress: OnProgress) -> Path:
        """Draw the run's present epoch, unless it lies on the disk already.

        Returns:
            The batch's folder, with images/0000.png ... and predictions.json.

        Raises:
            EngineFailed, DiskFull: nothing half-written stays.
        """
        folder = batch_folder(self._settings, run.id, run.epoch)
        if not folder.exists():
            self.draw(run, on_progress)
        return folder

    def draw_again(self, run: Run, images: Mapping[str, str], on_progress: OnProgress) -> None:
        """Draw the run's present epoch, which people have seen, once more, and put the batch in
        its place if it is the same.

        Args:
            images: the checksum of each image that people have seen, by its name in the batch.

        Raises:
            FilesDamaged: other images were drawn, as on other hardware: nothing was changed.
            EngineFailed, DiskFull: nothing was changed.
        """

        def same(folder: Path) -> None:
            drawn = sums_of(folder, images)
            if others := [name for name, wanted in images.items() if drawn[name] != wanted]:
                raise FilesDamaged(
                    f"The batch of epoch {run.epoch + 1} is lost: drawn again, {len(others)} of "
                    f"{len(images)} images are not those that people have judged, since this "
                    "machine or these versions round otherwise; put "
                    f"{batch_folder(self._settings, run.id, run.epoch)} back from a copy."
                )

        self.draw(run, on_progress, same)

    def draw(
        self, run: Run, on_progress: OnProgress, look: Callable[[Path], None] = lambda folder: None
    ) -> None:
        """Draw the run's present epoch, whether or not it lies on the disk.

        Args:
            look: sees the batch's folder before it is put in its place, and may raise.

        Raises:
            EngineFailed, DiskFull: nothing half-written stays.
        """
        with self._using(run) as hero:
            from hero_engine.processes import by_first

            self._keep_beginning_once(run)
            batch = hero.generate(on_progress=_reporting(on_progress))

            def write() -> None:
                self._before_writing(run)
                folder = batch_folder(self._settings, run.id, run.epoch)
                with whole_folder(folder, once=True) as partial:
                    batch.save(partial)
                    predictions = {"predictions": hero.predict_batch(batch)}
                    (partial / PREDICTIONS).write_text(checked_text(predictions))
                    look(partial)

            by_first(write)

    def learn(
        self,
        run: Run,
        verdicts: Sequence[str | None],
        bests: Sequence[int],
        on_progress: OnProgress,
    ) -> Report:
        """Learn from the present epoch's verdicts, unless the checkpoint lies there already.

        Args:
            verdicts: good, bad, best or None an image.
            bests: indexes of the best images, at most one a prompt.

        Returns:
            The engine's report, as JSON.

        Raises:
            FilesDamaged: the batch, or the checkpoint before it.
            EngineFailed, DiskFull: the run stands as before.
        """
        checkpoint = checkpoint_folder(self._settings, run.id, run.epoch + 1)
        if checkpoint.exists():
            return read_report(self._settings, run.id, run.epoch + 1)
        return self.learn_anew(run, verdicts, bests, on_progress)

    def learn_anew(
        self,
        run: Run,
        verdicts: Sequence[str | None],
        bests: Sequence[int],
        on_progress: OnProgress,
    ) -> Report:
        """`learn`, whether or not the checkpoint lies on the disk."""
        with self._using(run) as hero:
            from hero_engine import Batch, Feedback
            from hero_engine.processes import by_first

            self._keep_beginning_once(run)
            folder = batch_folder(self._settings, run.id, run.epoch)
            batch = Batch.load(folder, hero.schedule.timesteps, hero.policy.encode)
            good = tuple(None if verdict is None else verdict != BAD for verdict in verdicts)
            feedback = Feedback(good, bests[0] if bests else None, tuple(bests[1:]))
            report = hero.learn(batch, feedback, on_progress=_reporting(on_progress))
            # The report first: where the checkpoint stands, its report does too.
            path = report_file(self._settings, run.id, run.epoch + 1)

            def write_report() -> None:
                self._before_writing(run)
                write_text(path, checked_text(report.to_dict()))

            by_first(write_report)
            hero.save(checkpoint_folder(self._settings, run.id, run.epoch + 1), once=True)
        return report.to_dict()

    def _before_writing(self, run: Run) -> None:
        """Called by the first process of a step, or its only one, before it writes of a run. Raises
        if it is not to write."""

    def _keep_beginning_once(self, run: Run) -> None:
        from hero_engine.processes import by_first, decided

        if run.parent_id is None or run.epoch:
            return
        if decided(lambda: not checkpoint_folder(self._settings, run.id, 0).exists()):
            by_first(lambda: self._before_writing(run))
            self.keep_beginning(run)

    def keep_beginning(self, run: Run) -> None:
        """Write down the model that a run goes on with, so that the run before may go.

        Raises:
            BadInput, EngineFailed, DiskFull: nothing was written.
        """
        with self._using(replace(run, epoch=0)) as hero:
            hero.save(checkpoint_folder(self._settings, run.id, 0), once=True)

    @property
    def stands_at(self) -> tuple[str, int] | None:
        """Run, and number of epochs learned, of the model that is loaded."""
        if self._hero is None or self._run_id is None:
            return None
        return self._run_id, self._hero.epoch

    def draw_row(self, run: Run, folder: Path, n: int, needed: Callable[[], bool]) -> None:
        """Draw n images of each of the run's prompts, and then of each that is held out, from the
        same noises of N(0, I) into a folder: all of them, or none.

        Args:
            run: its `epoch` says which model; that is loaded if another one is.
            needed: asked at every denoising step; once it says yes, nothing is drawn.

        Raises:
            BadInput, EngineFailed, DiskFull
        """

        def go_on(_: object) -> None:
            if needed():
                raise _Needed

        with self._using(run) as hero:
            try:
                with hero.run_model():
                    rows = [
                        hero.sample(n, prompt=prompt, seed=ROW_SEED, on_progress=go_on).images
                        for prompt in row_prompts(run)
                    ]
            except _Needed:
                return
            with whole_folder(folder, once=True) as partial:
                for index, image in enumerate(image for row in rows for image in row):
                    image.save(partial / f"{index:04d}.png")

    def draw_beside(
        self,
        run: Run,
        folder: Path,
        n: int,
        prompt: str | None,
        seed: int,
        on_progress: Callable[[int, int], None],
    ) -> None:
        """Draw n images from the same fresh noises with the pretrained model and with the run's own
        into the folders `before` and `after`: all of them, or none.

        Args:
            prompt: None for the run's.
            on_progress: hears of denoising steps, done and in all; what it raises ends the drawing.

        Raises:
            BadInput, EngineFailed, DiskFull
        """
        with self._using(run) as hero, whole_folder(folder, once=True) as partial:
            ways = {"before": hero.policy.pretrained, "after": hero.run_model}
            for turn, (name, way) in enumerate(ways.items()):

                def told(progress: "Progress", turn: int = turn) -> None:
                    on_progress(progress.done + turn * progress.total, 2 * progress.total)

                with way():
                    samples = hero.sample(n, prompt=prompt, seed=seed, on_progress=told)
                (partial / name).mkdir()
                for index, image in enumerate(samples.images):
                    image.save(partial / name / f"{index:04d}.png")

    @contextmanager
    def _using(self, run: Run) -> "Iterator[Method[Any]]":
        """The run's model as it stood before this epoch; let go if the block does not end well."""
        try:
            with engine_errors():
                if self._hero is None or (self._run_id, self._hero.epoch) != (run.id, run.epoch):
                    self.let_go()
                    self._hero = _load(self._settings, run)
                    self._run_id = run.id
                yield self._hero
        except BaseException:
            self.let_go()
            raise
        finally:
            self.used_at = time.monotonic()


def row_prompts(run: Run) -> tuple[str | None, ...]:
    """What a sample row shows, one after the other: None for the prompt of a run of one, which its
    method may draw with another."""
    own = run.prompts if len(run.prompts) > 1 else (None,)
    return (*own, *run.held_out)


def _load(settings: Settings, run: Run) -> "Method[Any]":
    """The run's model before its present epoch; at the beginning the pretrained one, or that of the
    run that it goes on from."""
    from hero_engine import Method

    checkpoint = checkpoint_folder(settings, run.id, run.epoch)
    if run.epoch or checkpoint.exists():
        return Method.resume(checkpoint)
    config = configs.read_config(run.config)[0]
    if run.parent_id is None:
        return Method.create(config)
    from hero_engine.methods.going_on import go_on_from

    parent = checkpoint_folder(settings, run.parent_id, run.parent_epoch or 0)
    return go_on_from(parent, config, with_labels=run.parent_labels)


@contextmanager
def _run_model(settings: Settings, run: Run) -> "Iterator[Method[Any]]":
    """The run, as the model that people get of it."""
    hero = _load(settings, run)
    with hero.run_model():
        yield hero


def _free_memory() -> None:
    """Give back what a model that nobody holds any more has taken."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _reporting(on_progress: OnProgress) -> "Callable[[Progress], None]":
    return lambda progress: on_progress(progress.stage, progress.done, progress.total)
