import math

import pytest
import torch

from hero_engine.diffusion.sampling import Transitions
from hero_engine.feedback.summary import FeedbackSummary
from hero_engine.methods import policy_gradient
from hero_engine.methods.d3po import D3po, draw_preferences, preference_losses
from hero_engine.storage.batch import Feedback

FEEDBACK = Feedback((True, False, False, False, True, False, None, False))


@pytest.fixture
def run(make_config):
    return D3po(make_config(method="d3po", d3po_beta=200.0, num_inference_steps=6, trained_steps=3))


def test_losses_by_hand():
    losses = preference_losses(
        torch.tensor([0.0, 0.05, 2.0, 0.05]),
        torch.tensor([0.0, -0.02, -0.02, -2.0]),
        beta=3.0,
        clip=0.1,
    )
    margins = [0.0, 0.07, math.log(1.1) + 0.02, 0.05 - math.log(0.9)]
    assert losses.tolist() == pytest.approx([math.log(1 + math.exp(-3 * m)) for m in margins])


def test_gradient_by_hand_and_none_outside_the_clip():
    good = torch.tensor([0.05, 2.0, 0.05], requires_grad=True)
    bad = torch.tensor([-0.02, -0.02, -2.0], requires_grad=True)
    preference_losses(good, bad, beta=3.0, clip=0.1).sum().backward()
    margins = torch.tensor([0.07, math.log(1.1) + 0.02, 0.05 - math.log(0.9)])
    slope = 3.0 * torch.sigmoid(-3.0 * margins)
    torch.testing.assert_close(good.grad, -slope * torch.tensor([1.0, 0.0, 1.0]))
    torch.testing.assert_close(bad.grad, slope * torch.tensor([1.0, 1.0, 0.0]))


def test_every_judged_image_is_preferred_or_not():
    good, bad = [1, 4], [0, 2, 5, 6, 7]
    pairs = draw_preferences(good, bad, torch.Generator().manual_seed(0))
    assert pairs.shape == (5, 2)
    assert sorted(pairs[:, 1].tolist()) == bad
    assert sorted(pairs[:, 0].bincount()[good].tolist()) == [2, 3]


def test_both_images_are_compared_at_the_same_steps(run):
    steps = run.generate().transitions.steps
    assert torch.equal(steps, steps[:1].expand(8, -1))


def prepared(run):
    """What the loss of two preferences needs, with weights far from the pretrained ones."""
    batch = run.generate()
    torch.manual_seed(1)
    for parameter in run.policy.parameters:
        torch.nn.init.normal_(parameter, std=0.1)
    denoise = run.policy.denoiser(batch.prompt)
    transitions = run._with_reference(denoise, batch.transitions, FeedbackSummary.of(FEEDBACK))
    preferences = torch.tensor([[0, 1], [4, 2]])
    return denoise, transitions, preferences


def test_gradient_agrees_with_finite_differences(run):
    _, transitions, preferences = prepared(run)
    run.policy.pipe.to(torch.float64)
    run.policy.prompts._known.clear()
    denoise = run.policy.denoiser("one rose")
    transitions = Transitions(
        transitions.steps, *(t.double() for t in list(vars(transitions).values())[1:])
    )

    def loss():
        return float(run._accumulate_gradient(denoise, transitions, preferences)[0].mean())

    parameter = run.policy.parameters[5]
    loss()
    gradient = parameter.grad.clone()
    direction = gradient / gradient.norm()
    values = []
    for step in (1e-3, -1e-3):
        parameter.data += step * direction
        values.append(step * loss())
        parameter.data -= step * direction
    slope = sum(values) / (2 * 1e-3**2)
    assert slope == pytest.approx(float(gradient.norm()), rel=1e-3)


def test_gradient_does_not_depend_on_the_forward_batch(run):
    denoise, transitions, preferences = prepared(run)
    gradients = []
    for size in (2, 4, 100):
        run.settings = run.settings.model_copy(update={"forward_batch_size": size})
        run.optimizer.zero_grad()
        run._accumulate_gradient(denoise, transitions, preferences)
        gradients.append(torch.cat([p.grad.flatten() for p in run.policy.parameters]))
    for other in gradients[1:]:
        assert (other - gradients[0]).abs().max() / gradients[0].abs().max() < 1e-3


def test_the_reference_is_the_pretrained_model(run):
    batch = run.generate()
    denoise = run.policy.denoiser(batch.prompt)
    reference = run._with_reference(denoise, batch.transitions, FeedbackSummary.of(FEEDBACK))
    judged = [0, 1, 2, 3, 4, 5, 7]
    torch.testing.assert_close(
        reference.log_prob[judged], batch.transitions.log_prob[judged], atol=2e-6, rtol=0
    )
    denoise, later, _ = prepared(run)
    assert torch.equal(later.log_prob[judged], reference.log_prob[judged])


def test_learning_prefers_the_good_steps(run):
    batch = run.generate()

    def margin():
        denoise = run.policy.denoiser(batch.prompt)
        pairs = policy_gradient.flatten_pairs(batch.transitions)
        with torch.no_grad():
            ratios = policy_gradient.pair_log_probs(denoise, run.schedule, pairs, run.policy.device)
        ratios = (ratios - pairs.log_prob).view(8, -1).mean(dim=1)
        return float(ratios[[0, 4]].mean() - ratios[[1, 2, 3, 5, 7]].mean())

    report = run.learn(batch, FEEDBACK)
    assert report.updated
    assert report.loss == pytest.approx(math.log(2), abs=0.05)
    assert margin() > 1e-5
