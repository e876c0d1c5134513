import torch

from hero_engine.methods.dreambooth import DreamBooth, four_best
from hero_engine.methods.prior import draw_prior
from hero_engine.storage.batch import Feedback

FIELDS = {
    "method": "dreambooth",
    "denoising_steps": 3,
    "denoising_batch_size": 4,
    "prior_images": 5,
}


def numbered(*values):
    return torch.tensor(values)[:, None, None, None]


def test_the_best_come_first_and_the_earlier_ones_stay():
    kept, is_best = torch.zeros(0, 1, 1, 1), torch.zeros(0, dtype=torch.bool)
    history = []
    for epoch in range(6):
        latents = numbered(*(epoch * 10.0 + i for i in range(4)))
        feedback = Feedback((True, False, True, None), best=2 if epoch != 1 else None)
        kept, is_best = four_best(kept, is_best, latents, feedback)
        history.append(kept.flatten().tolist())
    assert history[:3] == [[2, 0], [2, 0, 10, 12], [2, 22, 0, 10]]
    assert history[3:] == [[2, 22, 32, 0], [2, 22, 32, 42], [2, 22, 32, 42]]
    assert is_best.all()


def test_the_prior_is_the_pretrained_models_and_drawn_once(make_config, tmp_path):
    run = DreamBooth(make_config(**FIELDS, class_prompt="a rose"))
    progress = []
    run.learn(
        run.generate(), Feedback((True, False) * 4), on_progress=lambda p: progress.append(p.stage)
    )
    assert list(dict.fromkeys(progress)) == ["prior", "denoising"]
    prior = run.prior.clone()
    assert prior.shape == (5, *run.policy.latent_shape)
    report = run.learn(run.generate(), Feedback((True, False) * 4))
    assert "prior" not in report.seconds
    late = DreamBooth(make_config(**FIELDS, class_prompt="a rose"))
    late.policy.load_lora_state(run.policy.lora_state())
    assert torch.equal(draw_prior(late.policy, late.settings), prior)


def test_without_weight_no_prior_is_drawn(make_config):
    run = DreamBooth(make_config(**FIELDS, prior_weight=0.0))
    assert run.learn(run.generate(), Feedback((True, False) * 4)).updated
    assert run.prior is None


def test_training_and_class_prompts_are_their_own(make_config):
    states = []
    for prompts in ({}, {"instance_prompt": "v rose"}, {"class_prompt": "a rose"}):
        run = DreamBooth(make_config(**FIELDS, **prompts))
        batch = run.generate()
        assert batch.prompt == "one rose"
        run.learn(batch, Feedback((True, False) * 4))
        states.append(torch.cat([v.flatten() for v in run.policy.lora_state().values()]))
    assert not torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
