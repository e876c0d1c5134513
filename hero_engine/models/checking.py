"""Whether a model can be loaded, by its configurations and the headers of its files alone."""

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import ModelMixin

from hero_engine.errors import ModelNotFound, UnsupportedModel
from hero_engine.models.files import INDEX, names_part
from hero_engine.models.loading import Found
from hero_engine.models.weights import Shapes, missing_weights, read_shapes


def check_model(model: Found) -> int:
    """See that nothing of the model is missing, damaged or of another shape than it says.

    The bytes that have to be downloaded before it can be used. Takes a second or two. Raises
    `ModelNotFound`, which says which file is wrong, and `UnsupportedModel`.
    """
    files, family = model.files, model.family
    try:
        family.check(files.json)
    except UnsupportedModel as error:
        said = str(error)
        raise UnsupportedModel(
            f"{files.name!r} cannot be used: {said[0].lower()}{said[1:]}"
        ) from error
    _check_parts(model)
    missing = files.to_download(family.left_out)
    if files.single is None and not missing:
        for part, kind in files.parts(family.left_out).items():
            _check_weights(model, part, kind)
    return sum(missing.values())


def _check_parts(model: Found) -> None:
    """See that the pipeline has what its class is made of."""
    family, index = model.family, model.files.json(INDEX)
    for name, parameter in inspect.signature(family.pipeline_class.__init__).parameters.items():
        needed = name != "self" and parameter.default is inspect.Parameter.empty
        unneeded = {*family.left_out, *(family.may_lack if name in index else ())}
        if needed and name not in unneeded and not names_part(index, name):
            raise ModelNotFound(
                f"The model {model.files.name!r} is not complete: its {INDEX} names no {name}; "
                "download it again, or write it again with save_pretrained()."
            )


def _check_weights(model: Found, part: str, kind: Any) -> None:
    files = model.files
    config = files.json(f"{part}/config.json")
    weights = files.weights(part)
    if weights is None:
        raise missing_weights(files.name, part, kind.__module__.partition(".")[0])
    shapes = read_shapes(files.folder / part, weights)
    if shapes is not None:
        _compare(model, part, _described(kind, config, files.name, part), shapes)


def _described(kind: Any, config: Mapping[str, Any], name: str, part: str) -> Shapes:
    """The shapes of the network that a configuration describes, built without any memory."""
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if issubclass(kind, ModelMixin):
                network = kind.from_config(dict(config))
            else:
                network = kind(kind.config_class.from_dict(dict(config)))
    except Exception as error:  # a configuration can be wrong in as many ways as there are classes
        raise ModelNotFound(
            f"The {part}/config.json of {name!r} describes no {kind.__name__} ({error}); download "
            "it again."
        ) from error
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def _compare(model: Found, part: str, described: Shapes, there: Shapes) -> None:
    """See that the weights have the shapes that the configuration says.

    Names may differ a little, since libraries rename layers and read the old names, too.
    """
    there = _renamed(there, described)
    common = described.keys() & there.keys()
    if len(common) < len(described) / 2:
        raise ModelNotFound(
            f"The weights in {part}/ of {model.files.name!r} are of another network than its "
            f"config.json describes (they share {len(common)} of {len(described)} names); put the "
            "two that belong together there."
        )
    for key in sorted(common):
        if described[key] != there[key]:
            raise ModelNotFound(
                f"The {part}/config.json of {model.files.name!r} does not describe the weights "
                f"beside it: {key} has shape {_shown(there[key])} in the file and "
                f"{_shown(described[key])} by the configuration; put the two that belong together "
                "there."
            )


def _renamed(there: Shapes, described: Shapes) -> Shapes:
    """With a prefix more or less, as `text_model.`, where the network's names have it so."""
    if there.keys() & described.keys():
        return there
    for prefix in ("text_model.", "encoder.", "model."):
        without = {key.removeprefix(prefix): shape for key, shape in there.items()}
        within = {f"{prefix}{key}": shape for key, shape in there.items()}
        for other in (without, within):
            if other.keys() & described.keys():
                return other
    return there


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "()"
