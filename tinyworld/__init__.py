"""The offline stand-in for Stable Diffusion and for people: a small world, a model, a judge."""
