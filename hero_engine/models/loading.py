"""From a model's name to its files, and what can be known of it without weights."""

import contextlib
import json
import os
from pathlib import Path

from diffusers import DDIMScheduler
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from transformers import CLIPTokenizer

from hero_engine.config import RunConfig
from hero_engine.diffusion.ddim import ddim_schedule
from hero_engine.diffusion.kernel import Schedule
from hero_engine.errors import ModelNotFound, UnsupportedModel
from hero_engine.models.families import FAMILIES
from hero_engine.models.names import resolve


def family_of(model: str) -> str:
    """Where the model's family lives, without loading its weights.

    Raises `ModelNotFound`, and `UnsupportedModel` for a family that cannot be fine-tuned.
    """
    model = resolve(model)
    try:
        index = json.loads(_model_file(model, "model_index.json").read_text())
        class_name = index["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelNotFound(
            f"The model_index.json of {model!r} cannot be read ({first_line(error)}); download "
            "the pipeline again."
        ) from error
    if class_name not in FAMILIES:
        raise UnsupportedModel(
            f"{model!r} is a {class_name}, which is not supported yet; choose a Stable Diffusion "
            "1.x or 2.x model (a StableDiffusionPipeline)."
        )
    return FAMILIES[class_name]


def load_schedule(config: RunConfig) -> Schedule:
    """The schedule of the configured model, without loading its weights."""
    model, sampling = resolve(config.model.name), config.sampling
    scheduler = json.loads(_model_file(model, "scheduler/scheduler_config.json").read_text())
    return ddim_schedule(
        DDIMScheduler.from_config(scheduler), sampling.num_inference_steps, sampling.eta
    )


def prompt_warnings(model: str, prompts: dict[str, str]) -> list[str]:
    """What the model's tokenizer cuts off the prompts, given by what they are; a sentence each."""
    try:
        tokenizer = CLIPTokenizer.from_pretrained(resolve(model), subfolder="tokenizer")
    except (OSError, ValueError) as error:
        raise ModelNotFound(
            f"The tokenizer of {model!r} cannot be loaded ({first_line(error)}); check "
            "that the pipeline is complete, or download it again."
        ) from error
    return [text for name, prompt in prompts.items() if (text := _cut(name, prompt, tokenizer))]


def _cut(name: str, prompt: str, tokenizer: CLIPTokenizer) -> str | None:
    tokens = tokenizer(prompt, return_offsets_mapping=True, verbose=False)
    length, limit = len(tokens.input_ids), tokenizer.model_max_length
    if length <= limit:
        return None
    start = tokens["offset_mapping"][limit - 1][0]
    return (
        f'The {name} has {length} tokens and the model reads {limit}: "{prompt[start:].strip()}" '
        f'is cut off, after "{prompt[:start].strip()}"; shorten it to be read whole.'
    )


def _model_file(model: str, name: str) -> Path:
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / name).is_file():
            raise ModelNotFound(
                f"The folder {model!r} is no diffusers pipeline: it has no {name}; give a folder "
                "written by save_pretrained(), or convert a single-file checkpoint with "
                "StableDiffusionPipeline.from_single_file(...).save_pretrained(...)."
            )
        return folder / name
    if folder.is_file():
        raise ModelNotFound(
            f"{model!r} is a file, not a diffusers pipeline; convert it with "
            "StableDiffusionPipeline.from_single_file(...).save_pretrained(FOLDER) and give FOLDER."
        )
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise ModelNotFound(
            f"There is no folder {model!r}; give the path of a diffusers pipeline or a hub id such "
            "as stable-diffusion-v1-5/stable-diffusion-v1-5."
        )
    return _hub_file(model, name)


def _hub_file(model: str, name: str) -> Path:
    with contextlib.suppress(OSError, ValueError):
        return Path(hf_hub_download(model, name, local_files_only=True))
    try:
        return Path(hf_hub_download(model, name))
    except GatedRepoError as error:
        raise ModelNotFound(
            f"The hub keeps {model!r} behind a licence; accept it on the model's page and log in "
            "with `hf auth login`."
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFound(
            f"There is neither a folder nor a model on the hub called {model!r}; check the name, "
            "or log in with `hf auth login` if it is private."
        ) from error
    except (OSError, ValueError) as error:
        endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        raise ModelNotFound(
            f"{model!r} is no folder here, is not in the local cache, and could not be fetched "
            f"from {endpoint} ({first_line(error)}); check the name and the network, or download "
            "the model elsewhere and give its folder."
        ) from error


def first_line(error: BaseException) -> str:
    """What an error says, in one line without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
