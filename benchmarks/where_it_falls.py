"""What goes wrong in hero+ after its first epochs, where nothing holds the cleaner noise levels.

    python -m benchmarks.where_it_falls [--prompt "..."] [--seed 9301] [--epochs 3]

The first form of hero+ learns for some epochs from an annotator without errors. Then the same 128
fresh noises are drawn in several ways, and the judge says what fails: with less guidance, with the
pretrained model's predictions for the empty caption, and with those of the pretrained model at the
cleaner half of the timesteps.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.cells import RESULTS
from benchmarks.jobs import command, console
from benchmarks.paper.cells import FIRST_PLUS
from benchmarks.sheets import Sheet, share
from benchmarks.training import labels_of, spread
from hero_engine.diffusion import sampling
from hero_engine.diffusion.kernel import Denoiser
from hero_engine.methods.hero_plus import HeroPlus
from hero_engine.presets import preset
from hero_engine.streams import row_streams, stream
from tinyworld.annotator import Annotator
from tinyworld.judge import Judge
from tinyworld.tasks import Task, task

IMAGES, SEED, AT_ONCE = 128, 50_000, 32
CLEANER_HALF = 500
"""Timesteps below it, of 1000."""
LESS_GUIDANCE = 2.0


@dataclass(frozen=True)
class Ways:
    """A run's predictions, put together in several ways; each follows what the run learns."""

    method: HeroPlus
    empty: Denoiser
    caption: Denoiser

    @classmethod
    def of(cls, method: HeroPlus) -> Ways:
        """Of a run."""
        denoiser = method.policy.denoiser
        return cls(method, denoiser("", guided=False), denoiser(method.prompt, guided=False))

    def guided(self, scale: float) -> Denoiser:
        """Classifier-free guidance of that scale."""
        return lambda z_t, t: _guided(self.empty(z_t, t), self.caption(z_t, t), scale)

    def empty_of_the_pretrained(self, scale: float) -> Denoiser:
        """The same, away from what the pretrained model says of the empty caption."""

        def predict(z_t: Tensor, t: Tensor) -> Tensor:
            with self.method.policy.pretrained():
                empty = self.empty(z_t, t)
            return _guided(empty, self.caption(z_t, t), scale)

        return predict

    def cleaner_half_of_the_pretrained(self, scale: float) -> Denoiser:
        """The same, but the pretrained model draws at the cleaner half of the timesteps."""
        guided = self.guided(scale)

        def predict(z_t: Tensor, t: Tensor) -> Tensor:
            if float(t.max()) >= CLEANER_HALF:
                return guided(z_t, t)
            with self.method.policy.pretrained():
                return guided(z_t, t)

        return predict


def _guided(empty: Tensor, caption: Tensor, scale: float) -> Tensor:
    return empty + scale * (caption - empty)


@torch.no_grad()
def drawn(method: HeroPlus, denoise: Denoiser) -> Tensor:
    """Clean latents [IMAGES channel height width], from the same noises for every way."""
    noises = torch.randn(IMAGES, *method.policy.latent_shape, generator=stream(SEED, 0, "noise"))
    parts = []
    for rows in torch.arange(IMAGES).split(AT_ONCE):
        streams = row_streams(SEED, 0, "sampling", rows.tolist())
        z_0, _ = sampling.sample(denoise, method.schedule, noises[rows], streams, None, None)
        parts.append(z_0)
    return torch.cat(parts)


def add_row(
    table: Sheet, name: str, method: HeroPlus, denoise: Denoiser, judge: Judge, wanted: Task
) -> None:
    """What the judge says of images that were drawn so."""
    latents = drawn(method, denoise)
    images = list(method.policy.decode(latents))
    said = judge.describe(images)
    good = torch.tensor(judge.success(images, wanted))
    failed = [
        sum(one.get(head) != value for one in said) for head, value in wanted.conditions.items()
    ]
    table.add(name, share(float(good.float().mean())), share(spread(latents[good])), *failed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--prompt", default="a white cat sitting inside a cardboard box")
    parser.add_argument("--seed", type=int, default=9301)
    parser.add_argument("--epochs", type=int, default=3)
    said = parser.parse_args()
    judge, wanted = Judge.load(), task(said.prompt)
    method = HeroPlus(preset("tiny", prompt=said.prompt, seed=said.seed, **FIRST_PLUS))
    label = labels_of(Annotator(said.prompt, seed=said.seed, judge=judge))
    heads = [head.partition(".")[2] or head for head in wanted.conditions]
    table = Sheet(
        f"hero+ in its first form after {said.epochs} epochs, “{said.prompt}”, seed {said.seed}",
        ["drawn", "good", "spread", *(f"{head} wrong" for head in heads)],
    )
    scale = method.config.sampling.guidance_scale
    ways = Ways.of(method)
    add_row(table, "pretrained", method, ways.guided(scale), judge, wanted)
    for _ in range(said.epochs):
        batch = method.generate()
        method.learn(batch, label(method, batch))
    for name, denoise in (
        ("as it is", ways.guided(scale)),
        (f"guidance {LESS_GUIDANCE:g} for {scale:g}", ways.guided(LESS_GUIDANCE)),
        ("empty caption: pretrained", ways.empty_of_the_pretrained(scale)),
        ("cleaner half: pretrained", ways.cleaner_half_of_the_pretrained(scale)),
    ):
        add_row(table, name, method, denoise, judge, wanted)
    out = RESULTS / "where_it_falls.json"
    result = {"command": command("where_it_falls"), "header": table.header, "rows": table.rows}
    out.write_text(json.dumps(result, indent=1) + "\n")
    page = f"# {table.title}\n\n`{command('where_it_falls')}`\n\n{table.markdown()}"
    out.with_suffix(".md").write_text(page)
    screen = console()
    screen.print(table.rich())
    screen.print(f"Written to {out}")


if __name__ == "__main__":
    main()
