"""What the models of other families learn from: the world's latents and captions, encoded once."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from jaxtyping import Float, Int
from torch import Tensor
from transformers import CLIPTokenizer

from tinyworld.bundled import PIPELINE
from tinyworld.data import Rendered
from tinyworld.diffusion import encode
from tinyworld.families.encoders import grown_encoder
from tinyworld.text import padded_tokens

FOLDER = Path(".hero/tinyworld")
IMAGES = 24_000


class Texts:
    """Every different caption by the grown encoder; row 0 is the empty one."""

    hidden: Float[Tensor, "captions 20 96"]
    pooled: Float[Tensor, "captions 96"]
    rows: Int[Tensor, " count"]
    """Of each image's caption."""

    @torch.no_grad()
    def __init__(self, captions: list[str]) -> None:
        different = ["", *sorted(set(captions))]
        tokenizer = CLIPTokenizer.from_pretrained(PIPELINE / "tokenizer")
        tokens = padded_tokens(tokenizer, different)
        encoded = grown_encoder(PIPELINE)(tokens, output_hidden_states=True)
        self.hidden, self.pooled = encoded.hidden_states[-2], encoded.text_embeds
        found = {caption: row for row, caption in enumerate(different)}
        self.rows = torch.tensor([found[caption] for caption in captions])


def latents_of(folder: Path, data: Rendered) -> Float[Tensor, "count 4 16 16"]:
    """The renders' latents by the bundled autoencoder, computed once."""
    file = folder / f"latents-bundled-{data.seed}-{len(data.images)}.pt"
    if not file.exists():
        torch.save(encode(AutoencoderKL.from_pretrained(PIPELINE / "vae"), data), file)
    return torch.load(file, weights_only=True)


def bundled_denoiser() -> UNet2DConditionModel:
    """The teacher: the bundled pipeline's denoiser, frozen."""
    denoiser = UNet2DConditionModel.from_pretrained(PIPELINE / "unet", torch_dtype=torch.float32)
    return denoiser.requires_grad_(False)
