"""An enhanced prompt and no training (paper, Sec. 5, SD-enhanced; App. E.2)."""

from hero_engine.methods.base import Method
from hero_engine.methods.enhanced_prompt_settings import EnhancedPromptSettings
from hero_engine.report import OnProgress, Report
from hero_engine.storage.batch import Batch, Feedback


class EnhancedPrompt(Method[EnhancedPromptSettings]):
    """Draws with `enhanced_prompt`, is judged by the run's prompt, and learns nothing."""

    @property
    def prompt(self) -> str:
        """The enhanced prompt."""
        return self.settings.enhanced_prompt

    def _learn(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> None:
        report.note = "The method prompt does not train: feedback is only counted."
