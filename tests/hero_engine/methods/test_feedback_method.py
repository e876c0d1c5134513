import pytest
import torch

from hero_engine.feedback.embedding import LARGEST_SIDE, Embedding
from hero_engine.methods import feedback_method
from hero_engine.methods.base import Method
from hero_engine.storage.batch import Feedback


@pytest.mark.parametrize("method", ["hero", "hero+"])
@pytest.mark.parametrize(("written", "side"), [(1, None), (2, LARGEST_SIDE)])
def test_runs_of_format_1_keep_the_embedding_that_they_began_with(
    make_config, monkeypatch, method, written, side
):
    asked = []

    def embedding(shape, largest_side):
        asked.append((shape, largest_side))
        return Embedding(shape, largest_side)

    monkeypatch.setattr(feedback_method, "Embedding", embedding)
    run = Method.create(make_config(method=method, format=written))
    assert asked == [(run.policy.latent_shape, side)]


def test_the_embedding_is_drawn_from_the_seed(make_config):
    one, same, other = (
        Method.create(make_config(seed=seed)).embedding.state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_an_epoch_that_ends_early_leaves_the_embedding_as_it_was(hero):
    """Interrupted calls change nothing of the run: E learns as a copy."""
    before = {name: tensor.clone() for name, tensor in hero.embedding.state_dict().items()}

    def stop(progress):
        if progress.stage == "embedding" and progress.done == 3:
            raise KeyboardInterrupt

    batch = hero.generate()
    with pytest.raises(KeyboardInterrupt):
        hero.learn(batch, Feedback((True, False) * 4, best=0), on_progress=stop)
    after = hero.embedding.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert (hero.epoch, hero.bank, hero.anchor) == (0, None, None)
