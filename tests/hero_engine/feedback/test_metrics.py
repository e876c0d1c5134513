import pytest
import torch
from torch.nn.functional import cosine_similarity

from hero_engine.feedback.metrics import in_batch_diversity, success_rate


def test_success_rate_counts_what_was_judged():
    assert success_rate([True, False, None, True]) == pytest.approx(2 / 3)
    assert success_rate([None, None]) is None


def test_diversity_is_one_minus_the_mean_pairwise_similarity():
    features = torch.randn(6, 5)
    pairs = [cosine_similarity(features[i], features[j], dim=0) for i in range(6) for j in range(i)]
    assert in_batch_diversity(features) == pytest.approx(1 - float(sum(pairs)) / 15, abs=1e-6)


def test_diversity_of_copies_is_zero_and_of_one_image_unknown():
    assert in_batch_diversity(torch.randn(1, 5).expand(4, 5)) == pytest.approx(0, abs=1e-9)
    assert in_batch_diversity(torch.randn(1, 5)) is None
