"""How far some optimizer steps have moved the model, and when that is enough: a trust region.

Of Gaussian steps with the same deviation, the KL is the squared difference of the means, and so, up
to a factor a timestep, of the predictions. Fixed latents at fixed timesteps measure it.
"""

import torch

from hero_engine.diffusion import forward_process
from hero_engine.diffusion.forward_process import Noised
from hero_engine.diffusion.sampling import Denoiser


class ChangeBound:
    """Called, it says whether the mean squared change of the predictions exceeds `limit`."""

    def __init__(
        self, denoise: Denoiser, probe: Noised, limit: float, device: torch.device
    ) -> None:
        self._denoise, self._probe, self._limit = denoise, probe.to(device), limit
        self._before = self._predict()
        self.change = 0.0
        """As measured last."""

    def __call__(self) -> bool:
        """Measure the change on the probe; costs one forward pass without gradient."""
        self.change = float(forward_process.squared_errors(self._predict(), self._before).mean())
        return self.change > self._limit

    @torch.no_grad()
    def _predict(self) -> torch.Tensor:
        return self._denoise(self._probe.z_t, self._probe.timesteps)
