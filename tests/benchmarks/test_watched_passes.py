"""What the network is watched to be given is what it gets."""

from collections import Counter

import torch

from benchmarks.speed import network_alone
from benchmarks.watched_passes import watched
from hero_engine.methods.base import Method
from hero_engine.presets import preset
from hero_engine.storage.batch import Feedback

FEW = {
    "images_per_epoch": 6,
    "num_inference_steps": 3,
    "embedding_steps": 1,
    "denoising_steps": 2,
    "denoising_repeats": 0,
    "denoising_full_share": 0.0,
}


def test_every_pass_of_an_epoch_is_counted(monkeypatch):
    monkeypatch.setattr("hero_engine.models.policy.halves_for", lambda *_: None)
    run = Method.create(preset("tiny", **FEW))
    got = Counter()

    def note(network, given, named):
        got[len(given[0]), torch.is_grad_enabled()] += 1

    run.policy.network.register_forward_pre_hook(note, with_kwargs=True)
    with watched(run.policy) as passes:
        run.learn(run.generate(), Feedback((True, False) * 3, best=0))
    assert Counter({(one.evaluations, one.with_gradient): n for one, n in passes.items()}) == got
    # a step learns from 16 latents and holds 8 others
    assert {n: got[n, True] for n in (16, 8)} == {16: 2, 8: 2}
    assert sum(n * times for (n, back), times in got.items() if back) == 2 * 24
    evaluations = sum(n * times for (n, _), times in got.items())
    alone = network_alone(run, passes)
    assert alone["unet_evaluations"] == evaluations
    assert alone["seconds"] > 0
