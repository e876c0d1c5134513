"""The noises of the good images, with a README that draws from them in plain diffusers."""

from pathlib import Path

from backend import engine
from backend.exports.formats import write_card
from backend.exports.loading import loading
from backend.exports.source import Source
from backend.exports.target import file_name

_CARD = """
# Noise bank of the run {run}

`noise_bank.safetensors` holds the initial noises z_T of the images that were called good in the
last epoch that had any: `good` [good, channel, height, width], and `best`
[channel, height, width] if one was ever chosen. Images drawn round them are good more often than
those from fresh noise. The same noise gives the same image, with the model that the run has made:
put its LoRA beside this file with `hero export {run} --what lora --out <this folder>`.

```python
import math

import torch
from diffusers import {imports}
{finding}from safetensors.torch import load_file

bank = load_file("noise_bank.safetensors")


def draw(n, generator):
    # A share of {best_image_ratio} round the best noise, the others round good ones (Eq. 5).
    round_best = math.floor({best_image_ratio} * n + 0.5) if "best" in bank else 0
    chosen = torch.randint(len(bank["good"]), (n - round_best,), generator=generator)
    centres = bank["good"][chosen]
    if "best" in bank:
        centres = torch.cat([bank["best"].expand(round_best, -1, -1, -1), centres])
    noise = torch.randn(centres.shape, generator=generator)
    return {share_kept} * centres + math.sqrt({noise_variance}) * noise


pipe = {loading}
{sampler}pipe.load_lora_weights(".", weight_name={lora!r})
generator = torch.Generator().manual_seed(0)
noises = draw(4, generator)
images = pipe(
    prompt={prompt!r},
    num_images_per_prompt=len(noises),
    num_inference_steps={num_inference_steps},
    guidance_scale={guidance_scale},
    generator=generator,
{arguments}).images
```
{note}"""

_DDIM = {
    "imports": "DDIMScheduler, DiffusionPipeline",
    "sampler": "pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)\n",
    "arguments": (
        "    latents=noises,\n    negative_prompt={negative_prompt!r},\n    eta={eta},\n"
    ),
    "note": "",
}
_FLOW = {
    "imports": "DiffusionPipeline",
    "sampler": "",
    "arguments": "    latents=noises,\n    negative_prompt={negative_prompt!r},\n",
    "note": """
The pipeline's own sampler adds no noise on the way, as the run's does, so these images are not the
run's to the last pixel. They are those of `hero generate --noise bank --scheduler euler`.
""",
}
_PACKED = """    # the network takes latents packed, four pixels a token
    latents=noises.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).permute(0, 2, 4, 1, 3, 5)
    .flatten(3)
    .flatten(1, 2),
    height=noises.shape[2] * pipe.vae_scale_factor,
    width=noises.shape[3] * pipe.vae_scale_factor,
"""
_FLUX = {**_FLOW, "arguments": _PACKED}
_QWEN = {
    **_FLOW,
    "arguments": _PACKED
    + "    negative_prompt={negative_prompt!r},\n    true_cfg_scale={guidance_scale},\n",
}
_Z_IMAGE = {
    **_FLOW,
    "arguments": """    latents=noises,
    height=noises.shape[2] * pipe.vae_scale_factor,
    width=noises.shape[3] * pipe.vae_scale_factor,
    negative_prompt={negative_prompt!r},
""",
}
_FLUX_2 = {
    **_FLOW,
    "arguments": """    # the network takes four pixels as one
    latents=noises.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).permute(0, 1, 3, 5, 2, 4)
    .flatten(1, 3),
    height=noises.shape[2] * pipe.vae_scale_factor,
    width=noises.shape[3] * pipe.vae_scale_factor,
    negative_prompt_embeds=pipe.encode_prompt({negative_prompt!r})[0],
""",
}
_SDXL = {
    **_DDIM,
    "arguments": _DDIM["arguments"]
    + """    height=noises.shape[2] * pipe.vae_scale_factor,
    width=noises.shape[3] * pipe.vae_scale_factor,
""",
}
_DRAWING = {
    "StableDiffusionXLPipeline": _SDXL,
    "StableDiffusion3Pipeline": _FLOW,
    "FluxPipeline": _FLUX,
    "ZImagePipeline": _Z_IMAGE,
    "QwenImagePipeline": _QWEN,
    "Flux2KleinPipeline": _FLUX_2,
}
"""How other pipelines than Stable Diffusion's draw from noises."""


def write(source: Source, format: str, path: Path) -> None:
    """Write the noise bank as the run's last epoch left it."""
    if source.run.epoch == 0:
        raise source.nothing("it has not learned from any epoch yet", "label the first one")
    engine.export_noise(source.settings, source.run, path)
    config = engine.read_config(source.run.config)
    fields = config.flat()
    additive = fields["noise_form"] == "additive"
    keep = "1.0" if additive else f"math.sqrt(1 - {fields['noise_variance']})"
    lora = file_name(source.run, "lora", "safetensors")
    use = engine.plain_use(config)
    if use.pipeline == "ZImagePipeline":
        fields["guidance_scale"] -= 1.0  # there, 0 is no guidance
    if use.pipeline == "StableDiffusionXLPipeline":
        fields["negative_prompt"] = fields["negative_prompt"] or None  # which may be zeros
    drawing = dict(_DRAWING.get(use.pipeline, _DDIM))
    if use.max_sequence_length:
        drawing["arguments"] += f"    max_sequence_length={use.max_sequence_length},\n"
    if use.ddim:
        said = "".join(f"    {name}={value!r},\n" for name, value in use.ddim.items())
        drawing["sampler"] = f"pipe.scheduler = DDIMScheduler(\n{said})\n"
    loader, drawing["loading"] = loading(fields, use, fields["model"])
    drawing["imports"] = drawing["imports"].replace("DiffusionPipeline", loader)
    drawing["arguments"] = drawing["arguments"].format(**fields)
    card = {"finding": "", **fields, **drawing}
    if engine.is_bundled(model := fields["model"]):
        card["finding"] = "from hero_engine.models.names import resolve\n"
        card["loading"] = drawing["loading"].replace(repr(model), f"resolve({model!r})", 1)
    write_card(path, _CARD.format(run=source.run.id, share_kept=keep, lora=lora, **card))
