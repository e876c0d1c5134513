"""Whether a model can be loaded, by its configurations and the headers of its files alone."""

import re
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import ModelMixin

from hero_engine.errors import ModelNotFound
from hero_engine.models.hub import first_line
from hero_engine.models.kinds import check_kind
from hero_engine.models.landmarks import another_network, mismatch
from hero_engine.models.loading import Found
from hero_engine.models.weights import Shapes, missing_weights, read_shapes

_WRAPPERS = re.compile(r"^((model|language_model|text_model|encoder)\.)+")


def check_model(model: Found) -> int:
    """See that nothing of the model is missing, damaged or of another shape than it says.

    The bytes that have to be downloaded before it can be used. Takes a second or two. Raises
    `ModelNotFound`, which says which file is wrong, and `UnsupportedModel`.
    """
    files, family = model.files, model.family
    check_kind(files)
    missing = files.to_download(family.left_out)
    if files.single is None and not missing:
        for part, kind in files.parts(family.left_out).items():
            _check_weights(model, part, kind)
    return sum(missing.values())


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
            f"The {part}/config.json of {name!r} describes no {kind.__name__} "
            f"({first_line(error) if str(error) else 'its values do not fit each other'}); "
            "download it again."
        ) from error
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def _compare(model: Found, part: str, described: Shapes, there: Shapes) -> None:
    """See that the weights have the shapes that the configuration says.

    Names may differ a little, since libraries rename layers and read the old names, too.
    """
    if 2 * len(described.keys() & there.keys()) < len(described):
        described, there = _without_wrappers(described), _without_wrappers(there)
    common = described.keys() & there.keys()
    if 2 * len(common) < len(described):
        raise another_network(model.files.name, part)
    for key in sorted(common):
        if described[key] != there[key]:
            raise mismatch(model.files.name, part, key, there[key], described[key])


def _without_wrappers(shapes: Shapes) -> Shapes:
    """By names without the modules round the network, which come and go with transformers'
    versions, as in `model.language_model.layers`."""
    return {_WRAPPERS.sub("", name): shape for name, shape in shapes.items()}
