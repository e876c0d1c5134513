"""From a wish to pairs in Label Studio: each step can be interrupted and done again."""

import logging
import random
import secrets
from collections.abc import Callable

from backend.comparing.drawing import OnDrawn, draw_pairs
from backend.comparing.models import BASE, parse_model
from backend.errors import BackendUnreachable, BadInput, PrivateAddressRefused, SettingsInvalid
from backend.label_studio import Gateway
from backend.run.comparison import ComparedModel, Comparison
from backend.run.records import Run
from backend.settings import Settings
from backend.show.run_model import run_model
from backend.starting.start_run import pixelated
from backend.store import Store
from backend.tasks.pairs import pair_task

logger = logging.getLogger(__name__)

PAIRS = 100
"""Unless a person says otherwise: an interval of about 10 % on either side."""


def chosen(
    store: Store,
    run: Run,
    *,
    against: str | None = None,
    pairs: int | None = None,
    annotators_per_pair: int | None = None,
    seed: int | None = None,
    new: bool = False,
) -> Comparison:
    """The comparison that a person means: the newest that fits what they said, or a new one.

    Args:
        against: as `parse_model`; the base model if nothing fits and nothing is said.
        new: another one, whatever there is.

    Raises:
        BadInput: the models cannot be compared, or the one that is there was made otherwise.
    """
    model = None if against is None else parse_model(store, run, against)
    if not new and (there := _there(store, run, model)) is not None:
        _check_same(there, pairs, annotators_per_pair, seed)
        return there
    model = model or parse_model(store, run, BASE)
    judged = run_model(store.epochs(run.id))
    if judged and not judged.epoch and model.epoch is None and run.parent_id is None:
        raise BadInput(
            f"Cannot compare the run {run.id} with the base model: its labels speak for the base "
            "model, so that is still the run's own; label another epoch."
        )
    number = pairs or PAIRS
    if number < len(run.prompts):
        raise BadInput(
            f"Cannot compare with {number} pair{'' if number == 1 else 's'}: the run {run.id} has "
            f"{len(run.prompts)} prompts, which take turns; say --pairs {len(run.prompts)} or more."
        )
    return store.create_comparison(
        run.id,
        epoch=run.epoch,
        model_epoch=run.epoch if judged is None else judged.epoch,
        against_run_id=model.run_id,
        against_epoch=model.epoch,
        prompts=run.prompts,
        criteria=tuple(run.labelling.criteria_of(prompt) for prompt in run.prompts),
        pairs=number,
        annotators_per_pair=annotators_per_pair or 1,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        sides=drawn_sides(number, secrets.SystemRandom()),
    )


def drawn_sides(pairs: int, lot: random.Random) -> str:
    """The run's image on the left of one half of the pairs, which one is drawn by lot."""
    letters = ["l", "r"] * (pairs // 2) + [lot.choice("lr")] * (pairs % 2)
    lot.shuffle(letters)
    return "".join(letters)


def publish(
    settings: Settings,
    store: Store,
    gateway: Gateway,
    comparison: Comparison,
    on_drawn: OnDrawn,
    on_publish: Callable[[], None] = lambda: None,
) -> Comparison:
    """Draw what is not drawn yet, and put the pairs into a project of their own.

    Args:
        on_publish: called once all is drawn.

    Raises:
        BadInput, EngineFailed, DiskFull, LabelStudioError, ImageUnresolvable
    """
    draw_pairs(settings, store, comparison, on_drawn)
    on_publish()
    config = store.run(comparison.run_id).config
    project = gateway.ensure_pairs_project(comparison, pixelated=pixelated(config))
    gateway.connect_storage(project.id, comparison.id)
    try:
        gateway.connect_webhook(project.id)
    except (BackendUnreachable, PrivateAddressRefused, SettingsInvalid) as error:
        logger.warning("the votes come without webhooks, by the poll: %s", error)
    tasks = [pair_task(settings, comparison, pair) for pair in range(comparison.pairs)]
    gateway.publish_pairs(project.id, comparison, tasks)
    store.comparison_published(comparison, project.id)
    return next(each for each in store.comparisons(comparison.run_id) if each.id == comparison.id)


def label_address(settings: Settings, comparison: Comparison) -> str:
    """Where people compare: the first pair that they have not judged."""
    project = f"{settings.public_label_studio_url}/projects/{comparison.project_id}"
    return f"{project}/data?labeling=1"


def _there(store: Store, run: Run, model: ComparedModel | None) -> Comparison | None:
    """The newest comparison of the run with this model, or any; one that a person left half-made
    counts only while the run stands where it stood."""
    for each in store.comparisons(run.id):
        if model is not None and each.against != model:
            continue
        if each.published_at is not None or each.epoch == run.epoch:
            return each
    return None


def _check_same(
    there: Comparison, pairs: int | None, annotators_per_pair: int | None, seed: int | None
) -> None:
    said = {
        "--pairs": (pairs, there.pairs),
        "--annotators-per-pair": (annotators_per_pair, there.annotators_per_pair),
        "--seed": (seed, there.seed),
    }
    for option, (wanted, made) in said.items():
        if wanted is not None and wanted != made:
            raise BadInput(
                f"There is a comparison already, made with {option} {made}; say --new to make "
                "another one, or leave the option out to see how it stands."
            )
