"""DDPO with a reward that is no person (Black et al., ICLR 2024; the paper's App. B.1, Table 4)."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from hero_engine.config import RunConfig
from hero_engine.errors import RewardError
from hero_engine.feedback.summary import FeedbackSummary
from hero_engine.methods.base import timed
from hero_engine.methods.policy_gradient import PolicyGradientMethod
from hero_engine.methods.reward_ddpo_settings import RewardDdpoSettings
from hero_engine.methods.reward_models import load_reward
from hero_engine.report import OnProgress, Report
from hero_engine.storage.batch import Batch, Feedback

Reward = Callable[[list[Image.Image], list[str]], Sequence[float] | Tensor]
"""(images, their prompts) -> one number an image, higher for better."""


class RewardDdpo(PolicyGradientMethod[RewardDdpoSettings]):
    """DDPO on the same batches, from N(0, I), with any reward.

        run = Method.create(config, reward=lambda images, prompts: [...])

    Without a `reward`, the one that `reward_model` names. Feedback only counts towards the reports.
    Rewards are normalised per prompt, as DDPO does.
    """

    def __init__(self, config: RunConfig, reward: Reward | None = None) -> None:
        super().__init__(config)
        self.reward = reward if reward is not None else load_reward(self.settings)

    def _learn(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> None:
        with timed(report, "reward"):
            prompts = [batch.prompt_of(index) for index in range(len(batch.images))]
            rewards = checked(self.reward(batch.images, prompts), len(batch.images))
        self._policy_gradient(batch, rewards, report, on_progress)
        summary = FeedbackSummary.of(feedback)
        report.set_rewards(rewards.tolist(), summary.good, summary.bad)


def checked(rewards: Sequence[float] | Tensor, n: int) -> Float[Tensor, " batch"]:
    """The rewards of n images as a tensor. Raises `RewardError` unless they are n numbers."""
    values = [float(reward) for reward in rewards]
    if len(values) != n:
        raise RewardError(
            f"The reward gave {len(values)} numbers for {n} images; let it give one an image."
        )
    broken = [index for index, value in enumerate(values) if not math.isfinite(value)]
    if broken:
        raise RewardError(
            f"The reward of image {broken[0]} is {values[broken[0]]}; let it give a finite number "
            "for every image."
        )
    return torch.tensor(values, dtype=torch.float32)
