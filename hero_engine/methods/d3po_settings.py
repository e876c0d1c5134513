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
