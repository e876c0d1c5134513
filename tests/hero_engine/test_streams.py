import itertools

import torch

from hero_engine.streams import row_streams, stream, stream_seed


def test_every_argument_gives_another_stream():
    seeds = [
        stream_seed(*arguments)
        for arguments in itertools.product((0, 1, 23), (0, 1, 12), ("noise", "sampling"), (0, 1, 2))
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_stream_is_at_its_beginning_whenever_it_is_asked_for():
    one, other = (torch.randn(4, generator=stream(3, 1, "noise")) for _ in range(2))
    assert torch.equal(one, other)


def test_the_numbers_are_those_that_runs_were_begun_with():
    """A change here would change every run that is under way."""
    assert stream_seed(3, 1, "sampling", 2) == 5205376672827595581
    assert stream(3, 1, "sampling, by row", 2).initial_seed() == stream_seed(
        3, 1, "sampling, by row", 2
    )


def test_a_row_has_its_stream_whatever_rows_stand_beside_it():
    together = [g.initial_seed() for g in row_streams(3, 1, "sampling", range(6))]
    apart = [g.initial_seed() for row in range(6) for g in row_streams(3, 1, "sampling", [row])]
    assert together == apart
    assert len(set(together)) == 6
    parts = {stream_seed(3, 1, "sampling", part) for part in range(6)}
    assert not parts & set(together)
