"""From a model's name to its files, and what can be known of it without weights."""

import importlib

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from hero_engine.config import ModelSettings, RunConfig, SamplingSettings
from hero_engine.diffusion.kernel import Schedule
from hero_engine.errors import ConfigError, ModelNotFound, UnsupportedModel
from hero_engine.models.base import Configs, Family, pixels_of, resized
from hero_engine.models.families import FAMILIES
from hero_engine.models.files import INDEX, ModelFiles, locate
from hero_engine.models.hub import first_line

_OTHER_KINDS = {
    "Inpaint": "paints into an image",
    "Img2Img": "begins with an image",
    "ControlNet": "is steered by an image",
    "Adapter": "is steered by an image",
    "InstructPix2Pix": "edits an image",
    "Upscale": "enlarges an image",
    "Kontext": "edits an image",
    "Fill": "paints into an image",
}
"""What pipelines of other kinds do, by a word in the names of their classes."""


class Found:
    """A model whose files were found, and whose weights are not loaded."""

    def __init__(self, settings: ModelSettings) -> None:
        """Raises `ModelNotFound`, and `UnsupportedModel` for one that cannot be fine-tuned."""
        self.files = locate(settings.name, settings.revision, settings.pipeline_config)
        module, name = family_of(self.files).split(":")
        self.family: type[Family] = getattr(importlib.import_module(module), name)

    def configs(self, sampling: SamplingSettings) -> Configs:
        """The model's configurations, with the size of images that a run asks for."""
        if sampling.height is None or sampling.width is None:
            return self.files.json
        return resized(self.files.json, sampling.height, sampling.width)

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
    def has_few_steps(self) -> bool:
        """Whether the model is known to be distilled to few steps."""
        return self.family.few_steps(self.files.json)

    @property
    def takes_negative_prompt(self) -> bool:
        """Whether the model's guidance leads away from a prompt."""
        return self.family.takes_negative_prompt(self.files.json)


def pipeline_class(model: ModelSettings) -> str:
    """The name of the diffusers pipeline that the model is. Raises `ModelNotFound`."""
    return str(
        locate(model.name, model.revision, model.pipeline_config).json(INDEX).get("_class_name")
    )


def family_of(files: ModelFiles) -> str:
    """Where the family of a pipeline lives.

    Raises `ModelNotFound`, and `UnsupportedModel` for a kind that cannot be fine-tuned.
    """
    class_name = files.json(INDEX).get("_class_name")
    if class_name is None:
        raise ModelNotFound(
            f"The model_index.json of {files.name!r} cannot be read (it names no pipeline); "
            "download the pipeline again."
        )
    if class_name not in FAMILIES:
        raise UnsupportedModel(_unsupported(files.name, str(class_name)))
    return FAMILIES[class_name]


def image_size(model: ModelSettings, sampling: SamplingSettings) -> tuple[int, int]:
    """Height and width of the images that a run draws, in pixels.

    Raises `ModelNotFound`, `UnsupportedModel`, `ConfigError`.
    """
    found = Found(model)
    return found.family.size_from(found.configs(sampling))


def _unsupported(name: str, class_name: str) -> str:
    for mark, kind in _OTHER_KINDS.items():
        if mark in class_name:
            return (
                f"{name!r} is a {class_name}, which {kind}; choose a text-to-image model of one of "
                f"these kinds: {', '.join(FAMILIES)}."
            )
    return (
        f"{name!r} is a {class_name}, which is not supported; choose a model of one of these "
        f"kinds: {', '.join(FAMILIES)}."
    )


def load_schedule(config: RunConfig) -> Schedule:
    """The steps of the configured model, without loading its weights."""
    return Found(config.model).schedule(config.sampling)


def prompt_warnings(model: Found, prompts: dict[str, str]) -> list[str]:
    """What the model's tokenizer cuts off the prompts, given by what they are; a sentence each."""
    folder, limit = model.family.tokenizer_of(model.files.json)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(model.files.tokenizer(folder)))
    except (OSError, ValueError, ImportError) as error:
        raise ModelNotFound(
            f"The tokenizer of {model.files.name!r} cannot be loaded ({first_line(error)}); check "
            "that the pipeline is complete, or download it again."
        ) from error
    limit = limit or int(tokenizer.model_max_length)
    cut = (_cut(name, prompt, tokenizer, limit) for name, prompt in prompts.items())
    return [text for text in cut if text]


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
