"""HERO (paper, Sec. 4 and App. D.1, Algorithm 1): generate, ask people, learn; again."""

from collections.abc import Sequence

from hero_engine.config import RunConfig
from hero_engine.feedback.reward import REWARDS
from hero_engine.methods.feedback_method import (
    Appraisal,
    FeedbackMethod,
    about,
    rewards_of_all,
)
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
        appraisals = self._appraise(batch, feedback, report, on_progress)
        rewards, share = rewards_of_all(appraisals), self.settings.full_update_share
        if rewards is not None:
            self._policy_gradient(
                batch, rewards, report, on_progress, learning_rate_scale=_scale(appraisals, share)
            )
            for each in appraisals:
                if each.rewards is not None:
                    said = each.summary.unusual(share, needs_anchor=self.design.embedded)
                    report.add_note(about(each.part, appraisals, said))
        self._remember(appraisals, report)


def _scale(appraisals: Sequence[Appraisal], full_update_share: float) -> float:
    """Of the learning rate: the mean over the images that are learned from, each with its prompt's
    `learning_rate_scale`."""
    learned = [each for each in appraisals if each.rewards is not None]
    scales = [each.summary.learning_rate_scale(full_update_share) for each in learned]
    if len(learned) == 1:
        return scales[0]
    images = [len(each.part.rows) for each in learned]
    return sum(scale * n for scale, n in zip(scales, images, strict=True)) / sum(images)
