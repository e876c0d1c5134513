"""Whether a run can start, before any weight is loaded."""

from hero_engine.config import RunConfig
from hero_engine.errors import ConfigError
from hero_engine.methods.dreambooth_settings import DreamBoothSettings
from hero_engine.methods.enhanced_prompt_settings import EnhancedPromptSettings
from hero_engine.methods.hero_plus_settings import HeroPlusSettings
from hero_engine.methods.reward_ddpo_settings import RewardDdpoSettings
from hero_engine.methods.reward_models import check_reward
from hero_engine.methods.shared_settings import TrajectorySettings
from hero_engine.models.checking import check_model
from hero_engine.models.loading import Found, prompt_warnings
from hero_engine.models.memory import plan_memory
from hero_engine.models.out_of_memory import what_helps
from hero_engine.models.policy import device_for


def check_run(config: RunConfig) -> list[str]:
    """See that a run can start, without loading the model's weights; warnings for people.

    Raises `ModelNotFound`, `UnsupportedModel` or `ConfigError`; a prompt that is too long is only a
    warning, which says what is cut.
    """
    settings = config.method
    if isinstance(settings, RewardDdpoSettings):
        check_reward(settings)
    model = Found(config.model)
    download = check_model(model)
    if isinstance(settings, TrajectorySettings) and (by := model.few_steps_by):
        otherwise = " (if its name is wrong, give it another)" if by == "name" else ""
        raise ConfigError(
            f"{config.model.name} is a model of few steps, as its {by} says{otherwise}, from which "
            f"{settings.name} cannot learn: it learns by the noise in each of many steps; set "
            "method to hero+, dreambooth or prompt, or choose the model that this one was "
            "distilled from."
        )
    device = device_for(config)
    model.check_size(config.sampling)
    schedule = model.schedule(config.sampling)
    if isinstance(settings, TrajectorySettings):
        schedule.check_trainable(settings.trained_steps)
    prompts = {"prompt": config.prompt, "negative prompt": config.negative_prompt}
    further = {"prompt": config.further_prompts, "held-out prompt": config.held_out}
    for name, texts in further.items():
        prompts |= {f"{name} {text!r}": text for text in texts}
    if isinstance(settings, EnhancedPromptSettings):
        prompts["enhanced prompt"] = settings.enhanced_prompt
    if isinstance(settings, DreamBoothSettings):
        prompts["instance prompt"] = settings.instance_prompt
    if isinstance(settings, DreamBoothSettings | HeroPlusSettings):
        prompts["class prompt"] = settings.class_prompt
    if isinstance(settings, HeroPlusSettings) and not isinstance(settings.keep, str):
        prompts |= {f"kept prompt {number}": kept for number, kept in enumerate(settings.keep, 1)}
    for name, prompt in prompts.items():
        check_text(name, prompt)
    warnings = prompt_warnings(model, prompts)
    if config.negative_prompt and not model.takes_negative_prompt:
        warnings.append("The negative prompt is not used: this model takes none.")
    plan = plan_memory(config, model, device) if not download else None
    if plan is not None and (plan.lean or not plan.fits):
        helps = [] if plan.fits else what_helps(config, device, "learning", plan.level)
        warnings.append(plan.sentence() + (f" What helps: {'; '.join(helps)}." if helps else ""))
    if download:
        warnings.append(
            f"{config.model.name} is not on this machine yet: {download / 1e9:.1f} GB are "
            "downloaded before the first images are drawn."
        )
    return warnings


def check_text(name: str, prompt: str) -> None:
    """Raise `ConfigError` for a prompt that is no text."""
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"The {name} is no text: the bytes at its {error.start + 1}. character are not UTF-8; "
            "type it anew, or set the terminal's encoding to UTF-8."
        ) from error
