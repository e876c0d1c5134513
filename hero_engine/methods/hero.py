"""HERO (paper, Sec. 4 and App. D.1, Algorithm 1): generate, ask people, learn; again."""

from hero_engine.config import RunConfig
from hero_engine.feedback.reward import REWARDS
from hero_engine.methods.feedback_method import FeedbackMethod
from hero_engine.methods.hero_settings import HeroSettings
from hero_engine.methods.policy_gradient import PolicyGradientMethod
from hero_engine.report import OnProgress, Report
from hero_engine.storage.batch import Batch, Feedback


class Hero(FeedbackMethod[HeroSettings], PolicyGradientMethod[HeroSettings]):
    """One run of HERO. Algorithm 1 is, for every epoch:

    1. draw z_T from pi_HERO (Eq. 5; N(0, I) in the first), denoise, decode: `generate`;
    2. people say which images are good, and which is the best;
    3. train E on that (Eq. 3), reward each image by its similarity to the best (Eq. 4), update
       the policy (Eq. 8), keep the good noises (Eq. 5): `learn`.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.design = REWARDS[self.settings.reward]

    def _learn(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> None:
        """Algorithm 1, second half: Eq. 3, 4, 8, and the noises for Eq. 5."""
        appraisal = self._appraise(batch, feedback, report, on_progress)
        if appraisal.rewards is not None:
            summary, share = appraisal.summary, self.settings.full_update_share
            scale = summary.learning_rate_scale(share)
            self._policy_gradient(
                batch, appraisal.rewards, report, on_progress, learning_rate_scale=scale
            )
            report.add_note(summary.unusual(share, needs_anchor=self.design.embedded))
        self._remember(batch, feedback, appraisal, report)
