"""Settings of the enhanced prompt."""

from typing import Literal

from pydantic import Field

from hero_engine.config import MethodSettings, SamplingSettings


class EnhancedPromptSettings(MethodSettings):
    """An enhanced prompt and no training; the paper compares with it."""

    name: Literal["prompt"] = "prompt"
    enhanced_prompt: str = Field(
        "", description="The prompt that images are drawn with instead of the run's own."
    )

    def problem(self, sampling: SamplingSettings) -> str | None:
        """Nothing to draw with."""
        if self.enhanced_prompt.strip():
            return None
        return "method is prompt, but there is no enhanced_prompt; say the prompt to draw with"
