"""When the votes on a comparison's pairs are looked at."""

from backend.store import Store
from tests.backend.comparing.compared import comparison
from tests.backend.conftest import CONFIG, Clock


def test_an_open_one_is_looked_at_once_in_a_while(store: Store, clock: Clock):
    made = comparison(store, store.create_run(CONFIG, project_id=5).id)
    assert [each.id for each in store.take_due_comparisons(30)] == [made.id]
    assert store.take_due_comparisons(30) == []
    clock.pass_seconds(30)
    assert len(store.take_due_comparisons(30)) == 1


def test_a_clock_that_is_set_back_keeps_none_from_its_votes(store: Store, clock: Clock):
    comparison(store, store.create_run(CONFIG, project_id=5).id)
    clock.pass_seconds(3600)
    assert len(store.take_due_comparisons(30)) == 1
    clock.pass_seconds(-3600)
    assert len(store.take_due_comparisons(30)) == 1
    assert store.take_due_comparisons(30) == []


def test_a_text_with_the_sign_that_separates_texts_stays_one(store: Store):
    run = store.create_run(CONFIG)
    made = comparison(store, run.id, prompts=("a\x1erose",), criteria=("red\x1eround",))
    assert (made.prompts, made.criteria) == (("a rose",), ("red round",))
    made = comparison(store, run.id, prompts=("a rose", "a hand"), criteria=("", ""))
    assert (made.prompts, made.criteria) == (("a rose", "a hand"), ("", ""))
