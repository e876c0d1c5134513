import pytest
import torch

from hero_engine.methods.steps import take_steps


def test_each_step_has_its_own_gradient_scaled_down_to_the_norm():
    a, b = (torch.nn.Parameter(torch.zeros(())) for _ in range(2))
    optimizer = torch.optim.SGD([a, b], lr=7.0)
    told = []

    def add_gradient(factor):
        (factor * (3 * a + 4 * b)).backward()
        return factor

    made, norms = take_steps(
        optimizer,
        [lambda factor=factor: add_gradient(factor) for factor in (0.1, 2.0)],
        learning_rate=0.5,
        max_grad_norm=1.0,
        on_step=told.append,
    )
    assert made == [0.1, 2.0]
    assert [float(norm) for norm in norms] == pytest.approx([0.5, 10.0])
    # steps of 0.5 * (0.3, 0.4) and, at norm 1, of 0.5 * (0.6, 0.8)
    assert (a.item(), b.item()) == (pytest.approx(-0.45), pytest.approx(-0.6))
    assert told == [1, 2]
    assert a.grad is None and b.grad is None
