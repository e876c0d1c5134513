"""`python -m tinyworld.samples --prompt "1 hand" --out grid.png`: a grid of the model's images."""

import argparse
from pathlib import Path

from tinyworld.grid import grid
from tinyworld.world import scenes


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tinyworld.samples", description=__doc__)
    parser.add_argument("--prompt", help="what the model draws; without it, the world's renders")
    parser.add_argument("--out", type=Path, required=True, help="the PNG file to write")
    parser.add_argument("--count", type=int, default=32, help="number of images")
    parser.add_argument("--columns", type=int, default=8, help="images in a row")
    parser.add_argument("--zoom", type=int, default=1, help="enlargement, without smoothing")
    parser.add_argument("--steps", type=int, default=50, help="DDIM steps")
    parser.add_argument("--guidance", type=float, default=3.0, help="guidance scale")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.prompt is None:
        images = [scene.image for scene in scenes(arguments.count, arguments.seed)]
    else:
        from tinyworld.generate import generate, load_pipeline

        images = generate(
            load_pipeline(),
            arguments.prompt,
            arguments.count,
            steps=arguments.steps,
            guidance_scale=arguments.guidance,
            seed=arguments.seed,
        )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    grid(images, arguments.columns, arguments.zoom).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
