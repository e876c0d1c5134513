"""Whether a run can start, before any weight is loaded."""

from hero_engine.config import RunConfig
from hero_engine.errors import ConfigError
from hero_engine.methods.dreambooth_settings import DreamBoothSettings
from hero_engine.methods.enhanced_prompt_settings import EnhancedPromptSettings
from hero_engine.methods.hero_plus_settings import HeroPlusSettings
from hero_engine.methods.reward_ddpo_settings import RewardDdpoSettings
from hero_engine.methods.reward_models import check_reward
from hero_engine.methods.shared_settings import TrajectorySettings
from hero_engine.models.loading import family_of, has_few_steps, load_schedule, prompt_warnings
from hero_engine.models.policy import device_for


def check_run(config: RunConfig) -> list[str]:
    """See that a run can start, without loading the model's weights; warnings for people.

    Raises `ModelNotFound`, `UnsupportedModel` or `ConfigError`; a prompt that is too long is only a
    warning, which says what is cut.
    """
    settings = config.method
    if isinstance(settings, RewardDdpoSettings):
        check_reward(settings)
    family_of(config.model.name)
    if isinstance(settings, TrajectorySettings) and has_few_steps(config.model.name):
        raise ConfigError(
            f"{config.model.name} is a model of few steps, from which {settings.name} cannot "
            "learn: it learns by the noise in each of many steps; set method to hero+, dreambooth "
            "or prompt, or choose the model that this one was distilled from."
        )
    device_for(config)
    schedule = load_schedule(config)
    if isinstance(settings, TrajectorySettings):
        schedule.check_trainable(settings.trained_steps)
    prompts = {"prompt": config.prompt, "negative prompt": config.negative_prompt}
    if isinstance(settings, EnhancedPromptSettings):
        prompts["enhanced prompt"] = settings.enhanced_prompt
    if isinstance(settings, DreamBoothSettings):
        prompts["instance prompt"] = settings.instance_prompt
    if isinstance(settings, DreamBoothSettings | HeroPlusSettings):
        prompts["class prompt"] = settings.class_prompt
    return prompt_warnings(config.model.name, prompts)
