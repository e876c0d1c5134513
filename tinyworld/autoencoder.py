"""The autoencoder: 64 x 64 x 3 images to 16 x 16 x 4 latents of unit variance, and back."""

from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from tinyworld.data import Rendered, rendered
from tinyworld.fitting import Plan, fit

PLAN = Plan(
    stage="autoencoder",
    steps=5000,
    batch_size=16,
    learning_rate=2e-3,
    steps_after_growth=4200,
)
KL_WEIGHT = 1e-3
EDGE_WEIGHT = 0.5


def new_autoencoder() -> AutoencoderKL:
    """An untrained autoencoder of 0.23 M parameters; reduces each side by four."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 32),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )


class ReconstructionLoss(nn.Module):
    """L1 on pixels and on their differences (edges), squared error, and a little KL."""

    def __init__(self, autoencoder: AutoencoderKL, data: Rendered) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.data = data

    def forward(self, indices: Int[Tensor, " batch"], generator: torch.Generator) -> Tensor:
        """The mean loss of the images at `indices`."""
        images = self.data.batch(indices)
        posterior = self.autoencoder.encode(images).latent_dist
        decoded = self.autoencoder.decode(posterior.sample(generator)).sample
        edges = sum(l1_loss(decoded.diff(dim=axis), images.diff(dim=axis)) for axis in (-1, -2))
        distance = l1_loss(decoded, images) + mse_loss(decoded, images) + EDGE_WEIGHT * edges
        return distance + KL_WEIGHT * posterior.kl().mean() / posterior.mean[0].numel()


def train(rank: int, folder: Path, count: int, seed: int, grown_from: Path | None) -> None:
    """Trains the autoencoder, a new one or that of a pipeline; rank 0 writes it to `folder/vae`,
    standardised."""
    torch.manual_seed(seed)
    data = rendered(folder, count, seed)
    if grown_from is None:
        plan, begun = PLAN, new_autoencoder()
    else:
        plan = PLAN.after_growth()
        begun = AutoencoderKL.from_pretrained(grown_from / "vae", torch_dtype=torch.float32)
    loss = ReconstructionLoss(begun, data)
    fit(rank, plan, loss, folder, seed, len(data.images), _keep(folder) if rank == 0 else None)


def _keep(folder: Path) -> Callable[[ReconstructionLoss, int], None]:
    def keep(ema: ReconstructionLoss, step: int) -> None:
        trained = new_autoencoder()
        trained.load_state_dict(ema.autoencoder.state_dict())
        indices = torch.arange(0, len(ema.data.images), max(1, len(ema.data.images) // 1024))
        standardise(trained, ema.data.batch(indices))
        trained.save_pretrained(folder / "vae")

    return keep


@torch.no_grad()
def standardise(autoencoder: AutoencoderKL, images: Float[Tensor, "batch 3 height width"]) -> None:
    """Folds each latent channel's mean and deviation on `images` into the 1 x 1 convolutions on
    either side of the latent, so that latents have mean 0 and deviation 1 with
    `scaling_factor` 1."""
    channels = autoencoder.config["latent_channels"]
    moments = torch.cat([autoencoder.encode(part).latent_dist.mean for part in images.split(64)])
    mean, deviation = moments.mean((0, 2, 3)), moments.std((0, 2, 3))
    weight, bias = _convolution(autoencoder.post_quant_conv)
    bias.add_((weight[:, :, 0, 0] * mean).sum(1))
    weight.mul_(deviation[None, :, None, None])
    weight, bias = _convolution(autoencoder.quant_conv)
    weight[:channels] /= deviation[:, None, None, None]
    bias[:channels] = (bias[:channels] - mean) / deviation
    bias[channels:] -= 2 * deviation.log()


def _convolution(part: nn.Conv2d | None) -> tuple[Tensor, Tensor]:
    if part is None or part.bias is None:
        raise ValueError("Only an autoencoder with both 1 x 1 convolutions can be standardised.")
    return part.weight, part.bias
