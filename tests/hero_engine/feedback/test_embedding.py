import math

import pytest
import torch

from hero_engine.feedback.embedding import (
    Embedding,
    cosine_distance,
    train_embedding,
    triplet_losses,
)


def test_sizes_are_the_papers_for_stable_diffusion():
    with torch.device("meta"):
        network = Embedding((4, 64, 64))
    dense = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    convolutions = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.kernel_size for layer in convolutions] == [(3, 3)] * 3
    features = network.embed[:-2](torch.empty(1, 4, 64, 64, device="meta"))
    assert features.shape == (1, 64, 8, 8)
    assert [(layer.in_features, layer.out_features) for layer in dense] == [
        (4096, 4096),
        (4096, 2048),
        (2048, 1024),
        (1024, 512),
    ]


@pytest.mark.parametrize(
    ("shape", "dim"), [((4, 8, 8), 64), ((4, 16, 16), 256), ((4, 12, 20), 384), ((8, 32, 32), 1024)]
)
def test_other_latents_follow_the_same_rule(shape, dim):
    network = Embedding(shape)
    latents = torch.randn(2, *shape)
    assert network(latents).shape == (2, dim)
    assert network.head(latents).shape == (2, dim // 8)


def meta_embedding(shape, *size):
    with torch.device("meta"):
        return Embedding(shape, *size)


@pytest.mark.parametrize("shape", [(4, 128, 128), (16, 128, 128), (4, 96, 128), (16, 120, 72)])
def test_latents_larger_than_the_papers_are_halved_first(shape):
    network = meta_embedding(shape)
    dense = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    _, height, width = shape
    dim = 64 * math.ceil(height / 2 / 8) * math.ceil(width / 2 / 8)
    assert dense[0].in_features == dense[0].out_features == dim <= 4096
    assert network.head(torch.empty(2, *shape, device="meta")).shape == (2, dim // 8)


def test_sdxl_latents_cost_no_more_than_the_papers():
    def size(network):
        return sum(parameter.numel() for parameter in network.parameters())

    paper = meta_embedding((4, 64, 64))
    assert size(meta_embedding((4, 128, 128))) == size(paper) < 30e6
    assert meta_embedding((4, 128, 128)).embed[-1].out_features == 4096
    # without the mean, as in runs of format 1, 16384 squared and more
    assert size(meta_embedding((4, 128, 128), None)) > 440e6


LAYERS = (*(f"embed.{n}" for n in (0, 3, 6, 10)), *(f"project.{n}" for n in (0, 2, 4)))


@pytest.mark.parametrize("shape", [(4, 64, 64), (4, 16, 16), (4, 12, 20)])
def test_latents_of_the_papers_size_or_less_have_the_weights_they_always_had(shape):
    now, before = (
        {name: tensor.shape for name, tensor in network.state_dict().items()}
        for network in (meta_embedding(shape), meta_embedding(shape, None))
    )
    assert now == before
    assert set(now) == {f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")}


def test_the_halves_are_means():
    torch.manual_seed(0)
    large, small = Embedding((1, 16, 16), 8), Embedding((1, 8, 8))
    mean = large.embed[0]
    large.embed = torch.nn.Sequential(mean, *small.embed)
    latents = torch.randn(2, 1, 16, 16)
    means = latents.view(2, 1, 8, 2, 8, 2).mean(dim=(3, 5))
    torch.testing.assert_close(large(latents), small(means))


def test_cosine_distance_by_hand():
    points = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0], [1.0, 1.0]])
    expected = torch.tensor([0.0, 1.0, 2.0, 1 - 2**-0.5])
    torch.testing.assert_close(cosine_distance(points, torch.tensor([1.0, 0.0])), expected)


def test_triplet_loss_is_the_brute_force_one_over_all_pairs():
    anchor, good, bad = torch.randn(6), torch.randn(4, 6), torch.randn(3, 6)

    def distance(x, y):
        return 1 - torch.dot(x, y) / (x.norm() * y.norm())

    losses = triplet_losses(anchor, good, bad, 0.5)
    for i in range(4):
        for j in range(3):
            expected = max(distance(anchor, good[i]) - distance(anchor, bad[j]) + 0.5, 0.0)
            assert losses[i, j].item() == pytest.approx(float(expected), abs=1e-6)


def test_triplet_loss_is_zero_once_the_margin_is_kept():
    anchor = torch.tensor([1.0, 0.0])
    assert triplet_losses(anchor, anchor[None], -anchor[None], 0.5).item() == 0
    assert triplet_losses(anchor, anchor[None], anchor[None], 0.5).item() == 0.5
    assert triplet_losses(anchor, -anchor[None], anchor[None], 0.5).item() == 2.5


def test_gradient_pulls_the_good_to_the_best_and_pushes_the_bad_away():
    anchor = torch.tensor([1.0, 0.0])
    good = torch.tensor([[0.5, 1.0]], requires_grad=True)
    bad = torch.tensor([[0.5, -1.0]], requires_grad=True)
    triplet_losses(anchor, good, bad, 0.5).sum().backward()
    with torch.no_grad():
        moved_good, moved_bad = good - 0.1 * good.grad, bad - 0.1 * bad.grad
    assert cosine_distance(moved_good, anchor) < cosine_distance(good, anchor)
    assert cosine_distance(moved_bad, anchor) > cosine_distance(bad, anchor)


def two_kinds(n, seed):
    """Good latents are bright in their left half, bad ones in their right half."""
    generator = torch.Generator().manual_seed(seed)
    good, bad = torch.randn(2, n, 4, 8, 8, generator=generator)
    good[..., :4] += 1.0
    bad[..., 4:] += 1.0
    return good, bad


def train(network, good, bad, **overrides):
    options = {
        "steps": 60,
        "learning_rate": 1e-3,
        "batch_size": 2048,
        "margin": 0.5,
        "generator": torch.Generator().manual_seed(0),
    }
    return train_embedding(network, good[0], good, bad, **{**options, **overrides})


def test_training_separates_latents_it_has_not_seen():
    torch.manual_seed(0)
    network = Embedding((4, 8, 8))
    good, bad = two_kinds(16, seed=0)
    loss = train(network, good, bad)
    assert loss < 0.1
    new_good, new_bad = two_kinds(16, seed=1)
    with torch.no_grad():
        anchor = network(good[:1])[0]
        assert (
            cosine_distance(network(new_good), anchor).mean() + 0.1
            < cosine_distance(network(new_bad), anchor).mean()
        )


def test_a_step_sees_at_most_batch_size_pairs(monkeypatch):
    seen = []
    mean = torch.Tensor.mean

    def recording(tensor, *args, **kwargs):
        seen.append(tensor.numel())
        return mean(tensor, *args, **kwargs)

    good, bad = two_kinds(6, seed=0)
    monkeypatch.setattr(torch.Tensor, "mean", recording)
    train(Embedding((4, 8, 8)), good, bad, steps=1)
    train(Embedding((4, 8, 8)), good, bad, steps=1, batch_size=10)
    assert seen == [36, 10]


def test_progress_is_told_after_each_step():
    steps = []
    good, bad = two_kinds(2, seed=0)
    train(Embedding((4, 8, 8)), good, bad, steps=3, on_step=steps.append)
    assert steps == [1, 2, 3]
