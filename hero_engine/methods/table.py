"""Which methods there are. A new one is a line here, a file of settings and a file of code."""

from dataclasses import dataclass

from hero_engine.config import MethodSettings
from hero_engine.methods.d3po_settings import D3poSettings
from hero_engine.methods.dreambooth_settings import DreamBoothSettings
from hero_engine.methods.enhanced_prompt_settings import EnhancedPromptSettings
from hero_engine.methods.hero_plus_settings import HeroPlusSettings
from hero_engine.methods.hero_settings import HeroSettings
from hero_engine.methods.reward_ddpo_settings import RewardDdpoSettings


@dataclass(frozen=True)
class Entry:
    """A method: its settings, and where its code lives, which loads torch."""

    settings: type[MethodSettings]
    code: str

    @property
    def summary(self) -> str:
        """What it is, in a sentence."""
        return (self.settings.__doc__ or "").strip().splitlines()[0]


METHODS: dict[str, Entry] = {
    "hero": Entry(HeroSettings, "hero_engine.methods.hero:Hero"),
    "hero+": Entry(HeroPlusSettings, "hero_engine.methods.hero_plus:HeroPlus"),
    "d3po": Entry(D3poSettings, "hero_engine.methods.d3po:D3po"),
    "ddpo": Entry(RewardDdpoSettings, "hero_engine.methods.reward_ddpo:RewardDdpo"),
    "dreambooth": Entry(DreamBoothSettings, "hero_engine.methods.dreambooth:DreamBooth"),
    "prompt": Entry(EnhancedPromptSettings, "hero_engine.methods.enhanced_prompt:EnhancedPrompt"),
}
"""By the name that `--method` takes."""
