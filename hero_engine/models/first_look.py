"""What is wrong with a model, as far as it can be told before torch is loaded: in a second."""

from hero_engine.config import ModelSettings
from hero_engine.models.families import family_of
from hero_engine.models.files import LEFT_OUT, locate
from hero_engine.models.weights import missing_weights, read_shapes


def first_look(model: ModelSettings) -> None:
    """See that a model is there, of a kind that can be trained, and its weights are whole.

    Raises `ModelNotFound`, `UnsupportedModel`.
    """
    files = locate(model.name, model.revision, model.pipeline_config)
    family_of(files)
    if files.single is not None or files.hub is not None:
        return
    for part, (library, _) in files.networks(LEFT_OUT).items():
        weights = files.weights(part)
        if weights is None:
            raise missing_weights(files.name, part, library)
        read_shapes(files.folder / part, weights)
