"""Settings of D3PO."""

from typing import Literal

from pydantic import Field

from hero_engine.methods.shared_settings import TrajectorySettings


class D3poSettings(TrajectorySettings):
    """D3PO: direct preference optimisation of denoising steps; the paper compares with it."""

    name: Literal["d3po"] = "d3po"
    d3po_beta: float = Field(
        0.1,
        gt=0.0,
        description="Temperature of the preference (beta). Log-probabilities are means over a "
        "latent's dimensions, so DPO's usual 0.1 is a tenth of their number here; the authors' 0.1 "
        "hardly holds a model to the pretrained one.",
    )
    d3po_clip: float = Field(
        0.1,
        gt=0.0,
        lt=1.0,
        description="Clip of each ratio to the pretrained model's likelihood (eps). It is not "
        "rescaled by the latent's dimensions as clip_range is; the tiny model's benchmarks take "
        "0.003.",
    )

    @property
    def images_in_a_step(self) -> int:
        """As many good ones as bad ones."""
        return 2 * max(1, self.minibatch_size // 2)

    @property
    def largest_pass(self) -> int:
        """As many of good images as of bad ones."""
        return 2 * max(1, super().largest_pass // 2)
