"""What the pretrained model draws by itself, and shall not forget: DreamBooth's prior."""

import torch
from jaxtyping import Float
from torch import Tensor

from hero_engine.methods.shared_settings import DenoisingSettings
from hero_engine.models.drawing import Streams, draw
from hero_engine.models.policy import Policy
from hero_engine.report import OnProgress
from hero_engine.streams import stream


def prior_prompt(policy: Policy, settings: DenoisingSettings) -> str:
    """What it is drawn for."""
    return settings.class_prompt or policy.config.prompt


def draw_prior(
    policy: Policy, settings: DenoisingSettings, on_progress: OnProgress | None = None
) -> Float[Tensor, "prior channel height width"]:
    """`prior_images` clean latents of the pretrained model; the same in every epoch."""
    seed = policy.config.seed
    noises = torch.randn(
        settings.prior_images, *policy.latent_shape, generator=stream(seed, 0, "prior noise")
    )
    with policy.pretrained():
        return draw(
            policy,
            noises,
            Streams(seed, 0, "prior sampling"),
            prompt=prior_prompt(policy, settings),
            decode=False,
            stage="prior",
            on_progress=on_progress,
        ).latents
