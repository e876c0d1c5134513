"""From a model's name to its files, and what can be known of it without weights."""

import contextlib
import importlib
import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from hero_engine.config import RunConfig
from hero_engine.diffusion.kernel import Schedule
from hero_engine.errors import ModelNotFound, UnsupportedModel
from hero_engine.models.base import Configs, Family
from hero_engine.models.families import FAMILIES
from hero_engine.models.names import resolve


def pipeline_class(model: str) -> str:
    """The name of the diffusers pipeline that the model is, without loading its weights.

    Raises `ModelNotFound`, and `UnsupportedModel` for a kind that cannot be fine-tuned.
    """
    name = _json_of(resolve(model), "model_index.json").get("_class_name")
    if name is None:
        raise ModelNotFound(
            f"The model_index.json of {model!r} cannot be read (it names no pipeline); download "
            "the pipeline again."
        )
    if name not in FAMILIES:
        raise UnsupportedModel(
            f"{model!r} is a {name}, which is not supported; choose a model of one of these "
            f"kinds: {', '.join(FAMILIES)}."
        )
    return str(name)


def family_of(model: str) -> str:
    """Where the model's family lives. Raises what `pipeline_class` raises."""
    return FAMILIES[pipeline_class(model)]


def family_class(model: str) -> type[Family]:
    """The class of the model's family. Raises what `pipeline_class` raises."""
    module, name = family_of(model).split(":")
    family: type[Family] = getattr(importlib.import_module(module), name)
    return family


def load_schedule(config: RunConfig) -> Schedule:
    """The schedule of the configured model, without loading its weights."""
    model, sampling = config.model.name, config.sampling
    return family_class(model).schedule_from(
        _configs(model), sampling.num_inference_steps, sampling.eta
    )


def has_few_steps(model: str) -> bool:
    """Whether the model is known to be distilled to few steps, without loading its weights."""
    return family_class(model).few_steps(_configs(model))


def prompt_warnings(model: str, prompts: dict[str, str]) -> list[str]:
    """What the model's tokenizer cuts off the prompts, given by what they are; a sentence each."""
    folder, limit = family_class(model).tokenizer_of(_configs(model))
    try:
        tokenizer = AutoTokenizer.from_pretrained(resolve(model), subfolder=folder)
    except (OSError, ValueError, ImportError) as error:
        raise ModelNotFound(
            f"The tokenizer of {model!r} cannot be loaded ({first_line(error)}); check "
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


def _configs(model: str) -> Configs:
    """The model's JSON files, by their paths in its folder."""
    return partial(_json_of, resolve(model))


def _json_of(model: str, name: str) -> Mapping[str, Any]:
    try:
        read = json.loads(_model_file(model, name).read_text())
    except ValueError as error:
        raise ModelNotFound(
            f"The {name} of {model!r} cannot be read ({first_line(error)}); download the pipeline "
            "again."
        ) from error
    if not isinstance(read, dict):
        raise ModelNotFound(
            f"The {name} of {model!r} cannot be read (it is no JSON object); download the pipeline "
            "again."
        )
    return read


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
