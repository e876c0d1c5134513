"""The search for the best pass, on machines whose times and memories are formulas."""

import pytest

from hero_engine.trial.batch_size import DoesNotFit, Pass, even_sizes, find

PLENTY = 10**12


class Machine:
    """A pass takes `fixed + each * size` seconds and `grows * size` bytes of those there are."""

    def __init__(self, fixed: float, each: float, grows: int = 1, limit: int = PLENTY) -> None:
        self.fixed, self.each, self.grows, self.limit = fixed, each, grows, limit
        self.tried: list[int] = []

    def __call__(self, size: int) -> Pass:
        self.tried.append(size)
        if self.grows * size > self.limit:
            raise DoesNotFit
        seconds = self.fixed + self.each * size
        return Pass(size, seconds, seconds, self.grows * size)


@pytest.mark.parametrize(
    ("whole", "sizes"),
    [
        (1, [1]),
        (2, [1, 2]),
        (40, [1, 2, 3, 5, 10, 20, 40]),
        (64, [1, 2, 4, 8, 16, 32, 64]),
    ],
)
def test_sizes_split_a_whole_evenly(whole, sizes):
    assert even_sizes(whole) == sizes


def test_the_whole_goes_at_once_where_that_is_fastest():
    machine = Machine(fixed=0.1, each=0.001)
    assert find(40, machine, PLENTY).size == 40
    assert machine.tried == [2, 3, 5, 10, 20, 40]


def test_a_pass_does_not_grow_for_little():
    # Milliseconds a latent: 20, 15, 12.5, 11.25, 10.63, 10.31: the last gains 3 %.
    assert find(64, Machine(fixed=0.02, each=0.01), PLENTY).size == 32
    assert find(64, Machine(fixed=0.0, each=0.01), PLENTY).size == 2


def test_a_larger_pass_must_fit_by_the_memory_of_the_one_before():
    machine = Machine(fixed=0.1, each=0.001, grows=10)
    assert find(64, machine, 200).size == 16  # 160 of 200 bytes is the margin; 32 would take 320
    assert machine.tried == [2, 4, 8, 16]


def test_a_pass_that_does_not_fit_after_all_is_halved():
    assert find(64, Machine(fixed=0.1, each=0.001, grows=10, limit=90), PLENTY).size == 8
    assert find(64, Machine(fixed=0.1, each=0.001, grows=10, limit=15), PLENTY).size == 1


def test_where_not_one_latent_fits_there_is_nothing_to_find():
    with pytest.raises(DoesNotFit):
        find(64, Machine(fixed=0.1, each=0.001, grows=10, limit=5), PLENTY)
    with pytest.raises(DoesNotFit):
        find(1, Machine(fixed=0.1, each=0.001, grows=10, limit=5), PLENTY)


def test_a_slow_machine_is_not_asked_for_more():
    machine = Machine(fixed=1.0, each=1.0)
    assert find(64, machine, PLENTY).size == 2
    assert machine.tried == [2]  # 3 s, and by that 6 s for four


def test_on_a_busy_machine_the_work_counts_too():
    def attempt(size: int) -> Pass:
        work = 0.1 + 0.001 * size
        return Pass(size, 0.05 if size == 2 else 9 * work, work, 0)

    assert find(40, attempt, PLENTY).size == 40


def test_where_many_cores_share_a_pass_the_clock_counts_too():
    def attempt(size: int) -> Pass:
        return Pass(size, 0.02, 0.01 * size, 0)

    assert find(64, attempt, PLENTY).size == 64
