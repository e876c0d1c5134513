"""What is wrong with a model, as far as it can be told before torch is loaded: in a second."""

from hero_engine.config import ModelSettings, SamplingSettings
from hero_engine.models.families import family_of
from hero_engine.models.files import LEFT_OUT, LIBRARIES, foreign_code, locate
from hero_engine.models.kinds import check_kind, check_size_is_known
from hero_engine.models.landmarks import check_landmarks
from hero_engine.models.weights import missing_weights, read_shapes


def first_look(model: ModelSettings, sampling: SamplingSettings) -> None:
    """See that a model is there, of a kind that can be trained, and its weights are whole.

    Raises `ModelNotFound`, `UnsupportedModel`, `ConfigError`.
    """
    files = locate(model.name, model.revision, model.pipeline_config)
    family_of(files)
    if files.hub is not None:
        return
    check_kind(files)
    networks = files.networks(LEFT_OUT)
    if "unet" in networks and (sampling.height is None or sampling.width is None):
        check_size_is_known(files.json("unet/config.json"))
    for name in files.tokenizers():
        files.tokenizer(name)
    if files.single is not None:
        return
    for part, (library, kind) in networks.items():
        if library not in LIBRARIES:
            raise foreign_code(files.name, part, library, kind)
        weights = files.weights(part)
        if weights is None:
            raise missing_weights(files.name, part, library)
        shapes = read_shapes(files.folder / part, weights)
        if shapes is not None:
            check_landmarks(files, part, kind, shapes)
