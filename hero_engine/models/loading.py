"""From a model's name to its files, and what can be known of it without weights."""

import importlib
import re

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from hero_engine.config import ModelSettings, RunConfig, SamplingSettings
from hero_engine.diffusion.kernel import Schedule
from hero_engine.errors import ConfigError, ModelNotFound
from hero_engine.models.base import Configs, Family, pixels_of, resized
from hero_engine.models.families import family_of
from hero_engine.models.few_steps import name_says_few_steps
from hero_engine.models.files import locate
from hero_engine.models.hub import first_line


class Found:
    """A model whose files were found, and whose weights are not loaded."""

    def __init__(self, settings: ModelSettings) -> None:
        """Raises `ModelNotFound`, and `UnsupportedModel` for one that cannot be fine-tuned."""
        self.files = locate(settings.name, settings.revision, settings.pipeline_config)
        module, name = family_of(self.files).split(":")
        self.family: type[Family] = getattr(importlib.import_module(module), name)

    def configs(self, sampling: SamplingSettings) -> Configs:
        """The model's configurations, with the size of images that a run asks for."""
        size = self.size(sampling)
        return self.files.json if size is None else resized(self.files.json, *size)

    def size(self, sampling: SamplingSettings) -> tuple[int, int] | None:
        """Height and width in pixels if a run asks for another size than the model's own."""
        height, width = sampling.height, sampling.width
        if height is None and width is None:
            return None
        if height is None or width is None:
            own = self.family.size_from(self.files.json)
            height, width = height or own[0], width or own[1]
        return height, width

    def schedule(self, sampling: SamplingSettings) -> Schedule:
        """The steps of the model as a run walks them."""
        return self.family.schedule_from(
            self.configs(sampling), sampling.num_inference_steps, sampling.eta
        )

    def check_size(self, sampling: SamplingSettings) -> None:
        """Raise `ConfigError` unless the model can draw images of the size that a run asks for."""
        configs = self.files.json
        multiple = pixels_of(configs("vae/config.json")) * self.family.patch(configs)
        for name, side in (("height", sampling.height), ("width", sampling.width)):
            if side is not None and side % multiple:
                raise ConfigError(
                    f"{name} is {side}, and the sides of this model's images are multiples of "
                    f"{multiple}; set it to {max(1, round(side / multiple)) * multiple}."
                )
        self.family.shape_from(self.configs(sampling))

    @property
    def few_steps_by(self) -> str | None:
        """What says that the model was distilled to few steps; None if nothing does."""
        if self.family.few_steps(self.files.json):
            return "configuration"
        return "name" if name_says_few_steps(self.files.name) else None

    @property
    def takes_negative_prompt(self) -> bool:
        """Whether the model's guidance leads away from a prompt."""
        return self.family.takes_negative_prompt(self.files.json)


def image_size(model: ModelSettings, sampling: SamplingSettings) -> tuple[int, int]:
    """Height and width of the images that a run draws, in pixels.

    Raises `ModelNotFound`, `UnsupportedModel`, `ConfigError`.
    """
    found = Found(model)
    return found.family.size_from(found.configs(sampling))


def load_schedule(config: RunConfig) -> Schedule:
    """The steps of the configured model, without loading its weights."""
    return Found(config.model).schedule(config.sampling)


def prompt_warnings(model: Found, prompts: dict[str, str]) -> list[str]:
    """What the model's tokenizer cuts off the prompts, given by what they are; a sentence each."""
    tokenizer, limit = _tokenizer(model)
    limit = limit or int(tokenizer.model_max_length)
    cut = (_cut(name, prompt, tokenizer, limit) for name, prompt in prompts.items())
    return [text for text in cut if text]


def words_in_parts(model: Found, prompt: str) -> list[str]:
    """The prompt's words that the model's tokenizer has no token of its own for.

    Where a model's vocabulary is whole words, it does not know these.
    """
    tokenizer, _ = _tokenizer(model)
    words = dict.fromkeys(re.findall(r"\w+", prompt.lower()))
    return [word for word in words if len(tokenizer.tokenize(word)) > 1]


def _tokenizer(model: Found) -> tuple[PreTrainedTokenizerBase, int | None]:
    """The model's tokenizer, and how many tokens the model reads if that is less than it says."""
    folder, limit = model.family.tokenizer_of(model.files.json)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(model.files.tokenizer(folder)))
    except (OSError, ValueError, ImportError) as error:
        raise ModelNotFound(
            f"The tokenizer of {model.files.name!r} cannot be loaded ({first_line(error)}); check "
            "that the pipeline is complete, or download it again."
        ) from error
    return tokenizer, limit


def _cut(name: str, prompt: str, tokenizer: PreTrainedTokenizerBase, limit: int) -> str | None:
    tokens = tokenizer(prompt, return_offsets_mapping=True, verbose=False)
    length = len(tokens.input_ids)
    if length <= limit:
        return None
    start = tokens["offset_mapping"][limit - 1][0]
    return (
        f'The {name} has {length} tokens and the model reads {limit}: "{prompt[start:].strip()}" '
        f'is cut off, after "{prompt[:start].strip()}"; shorten it to be read whole.'
    )
